"""Redis as a broker: a real server, killed, frozen, emptied and cut short; workers that die, freeze and wake up."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from redis_server import forgetful_redis, locked_redis, redis_server, safe_redis  # noqa: F401 - fixtures

from oco2_outliers.ground.errors import InputError
from oco2_outliers.streams import redis_groups
from oco2_outliers.streams.batch_rows import Changes
from oco2_outliers.streams.broker_parts import (
    BrokerAway,
    Fenced,
    GroupInUse,
    MessagesGone,
    NotOurs,
    SourceWentBack,
    StreamError,
    TopicMissing,
    partition_of,
)
from oco2_outliers.streams.endpoints import endpoint_of
from oco2_outliers.streams.redis_broker import RedisBroker
from oco2_outliers.streams.replaying import lag, stream_until
from oco2_outliers.streams.result_store import open_store

pytest.importorskip("redis", reason="no client; other test: test_stream_file_log.py::test_any_order")
numbers = itertools.count()


def broker_of(server, **options):
    asked = {"patience": "20", "session": "0.5", "timeout": "5"} | options
    words = "&".join(f"{name}={value}" for name, value in asked.items())
    return RedisBroker(endpoint_of(f"{server.url}?{words}", ("redis",), "broker"))


@pytest.fixture
def broker(redis_server):  # noqa: F811
    made = broker_of(redis_server)
    yield made
    made.close()


@pytest.fixture
def topic(broker):
    name = f"flow{next(numbers)}"
    assert broker.create_topic(name) and not broker.create_topic(name)
    return name


def listen(broker, topic, group="judge", after=None, owner="me", lost=print, **more):
    return broker.listen(topic, group, start=(after or {}).get, lost=lost, owner=owner, **more)


def numbered(*bounds, site="a"):
    return [(f"{site}/c", b"%s %d" % (site.encode(), i)) for i in range(*bounds)]


def bodies(messages):
    return [message.body for message in messages]


def drained(listener, most=1000, wait=0.0):
    seen = []
    while messages := listener.read(most, wait):
        seen += messages
    return seen


# ---------------------------------------------------------------- sending and reading

def test_what_is_sent_is_read_and_counted(broker, topic):
    assert broker.send(topic, numbered(2500)) == 2500
    reader = listen(broker, topic)
    first = reader.read(7, 1)
    assert bodies(first) == [body for _, body in numbered(7)]
    assert reader.lag("0", None) == 2500 and reader.lag("0", first[-1].position) == 2493
    rest = drained(reader, 600)
    assert bodies(first + rest) == [body for _, body in numbered(2500)]
    assert reader.ends() == {"0": rest[-1].position} and reader.lag("0", rest[-1].position) == 0
    with pytest.raises(NotOurs):
        reader.lag("1", None)
    reader.close()


@pytest.mark.parametrize("n", [3, 4])
def test_partitions_keep_the_order_of_each_channel(broker, n):
    topic = f"flow{next(numbers)}"
    assert broker.create_topic(topic, n) and not broker.create_topic(topic)
    sent = [m for i in range(50) for site in "abcdef" for m in numbered(i, i + 1, site=site)]
    broker.send(topic, sent)
    reader = listen(broker, topic)
    seen = drained(reader, 40)
    assert len(seen) == 300
    for site in "abcdef":
        name = str(partition_of(f"{site}/c", n))
        assert bodies(m for m in seen if m.body.startswith(site.encode())) == [
            body for _, body in numbered(50, site=site)]
        assert {m.partition for m in seen if m.body.startswith(site.encode())} == {name}
    reader.close()


def kept_of(client):
    """All that a server has: its keys, and the consumers of each group of its streams."""
    keys = sorted(client.keys("*"))
    return keys, [(key, group["name"], [each["name"] for each in client.xinfo_consumers(key, group["name"])])
                  for key in keys if client.type(key) == b"stream" for group in client.xinfo_groups(key)]


@pytest.mark.parametrize("partitions", [1, 3])
def test_who_only_looks_leaves_nothing_behind(broker, redis_server, tmp_path, partitions):  # noqa: F811
    """As `series lag` and `series replay` do, beside a worker that has the group and goes on."""
    topic, client = f"flow{next(numbers)}", redis_server.client()
    broker.create_topic(topic, partitions)
    broker.send(topic, [message for site in "abcdef" for message in numbered(50, site=site)])
    worker = listen(broker, topic)
    half = {message.partition: message.position for message in drained(worker)[:150]}
    judged = sum(int(position.split("@")[1]) for position in half.values())
    before = kept_of(client)
    with open_store(tmp_path / "r.db", {"topic": topic}) as store:
        epochs = {name: store.claim(name, "me") for name in half}
        store.commit(Changes(positions=half), epochs)
        assert lag(store, broker, topic)["behind"].sum() == 300 - judged
        again = list(stream_until(store, broker, topic))
    assert len(again) == judged and {each.partition: each.position for each in again} == half
    assert kept_of(client) == before and before[1]
    broker.send(topic, numbered(50, 60))
    assert bodies(worker.read(20, 5)) == [body for _, body in numbered(50, 60)]
    worker.close()


@pytest.mark.parametrize("at", [0, 1, 99, 100, 250, 300])
def test_a_restart_from_any_position_reads_what_comes_after_it(broker, topic, at):
    broker.send(topic, numbered(300))
    reader = listen(broker, topic)
    seen = drained(reader, 100)
    reader.close()
    again = listen(broker, topic, after={"0": seen[at - 1].position} if at else {})
    assert drained(again, 70) == seen[at:]
    again.close()


def test_a_message_that_comes_wakes_the_listener(broker, topic):
    reader = listen(broker, topic)
    assert reader.read(9, 0.05) == [] == reader.read(9, 0)
    sending = threading.Timer(0.2, lambda: broker.send(topic, numbered(1)))
    sending.start()
    assert bodies(reader.read(9, 10)) == [b"a 0"]
    sending.join()  # it tidies up after its message, and the broker must live as long
    reader.close()


def test_odd_messages_come_back_as_they_were(broker, topic, redis_server):  # noqa: F811
    odd = [("", b""), ("\ud800/\u6d4b" * 999, b"\0" * 2_000_000), ("a/c", bytes(range(256)))]
    broker.send(topic, odd)
    redis_server.client().xadd(topic, {"site": "NE001", "value": "1.5"})  # by another program
    reader = listen(broker, topic)
    assert bodies(drained(reader, 2)) == [body for _, body in odd] + [b'{"site": "NE001", "value": "1.5"}']
    reader.close()


def test_what_is_missing_or_misnamed_is_told(broker, redis_server):  # noqa: F811
    for act, error, words in ((lambda: broker.send("rain", numbered(1)), TopicMissing, "no topic rain: make it first"),
                              (lambda: listen(broker, "rain"), TopicMissing, "no topic rain"),
                              (lambda: listen(broker, "rain", after={"0": "5-0@1"}), SourceWentBack, "judged again"),
                              (lambda: broker.create_topic("a:b"), InputError, "topic 'a:b'"),
                              (lambda: listen(broker, "rain", "../x"), InputError, "group '../x'")):
        with pytest.raises(error, match=words):
            act()
    redis_server.client().set("word", "x")
    with pytest.raises(StreamError):
        broker.create_topic("word")


def test_a_position_of_another_broker_is_refused_and_the_group_is_free_again(broker, topic):
    broker.send(topic, numbered(1))
    for position in ("7", "41:5210:9f3c01aa", "1-1"):
        with pytest.raises(StreamError, match="belongs to another broker"):
            listen(broker, topic, after={"0": position}, owner="one")
    listen(broker, topic, owner="two").close()


# ---------------------------------------------------------------- what Redis remembers of a group

def test_what_was_handed_out_and_not_stored_is_read_again_in_order(broker, topic, redis_server):  # noqa: F811
    """A worker was given 500 messages, stored 200, acknowledged 100 and died."""
    client = redis_server.client()
    broker.send(topic, numbered(600))
    client.xgroup_create(topic, "judge", "0")
    given = client.xreadgroup("judge", "dead", {topic: ">"}, count=500)[0][1]
    client.xack(topic, "judge", *[entry for entry, _ in given[:100]])
    assert client.xpending(topic, "judge")["pending"] == 400
    stored = {"0": f"{given[199][0].decode()}@200"}
    reader = listen(broker, topic, after=stored)
    assert client.xpending(topic, "judge")["pending"] == 300  # judged ones are acknowledged
    assert client.xinfo_groups(topic)[0]["entries-read"] == 200
    assert bodies(drained(reader, 150)) == [body for _, body in numbered(200, 600)]
    reader.ack({"0": reader.ends()["0"]})
    group = client.xinfo_groups(topic)[0]
    assert (group["pending"], group["lag"], group["consumers"]) == (0, 0, 1)
    reader.close()
    assert client.xinfo_groups(topic)[0]["consumers"] == 0


def test_the_store_is_believed_whatever_the_group_says(broker, topic, redis_server):  # noqa: F811
    """The group is ahead of the store, or behind it."""
    client = redis_server.client()
    broker.send(topic, numbered(10))
    reader = listen(broker, topic)
    seen = reader.read(10, 1)
    reader.ack({"0": seen[-1].position})
    reader.close()
    for n in (3, 0, 9, 10):
        again = listen(broker, topic, after={"0": seen[n - 1].position} if n else {})
        assert drained(again) == seen[n:]
        again.close()
    client.xgroup_destroy(topic, "judge")
    again = listen(broker, topic, after={"0": seen[4].position})
    assert drained(again) == seen[5:]
    client.xgroup_destroy(topic, "judge")  # by somebody else, while it is read
    broker.send(topic, numbered(10, 12))
    assert bodies(drained(again, wait=1)) == [b"a 10", b"a 11"]
    again.close()


# ---------------------------------------------------------------- two workers

def test_a_group_that_is_read_is_in_use(broker, topic):
    broker.send(topic, numbered(5))
    reader, stop = listen(broker, topic, owner="first"), threading.Event()

    def go_on():
        while not stop.is_set():
            reader.read(9, 0.2)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for _ in range(2):
            with pytest.raises(GroupInUse, match="in use by first: end that worker"):
                listen(broker, topic, owner="second")
        listen(broker, topic, "another", owner="second").close()
    finally:
        stop.set()
        thread.join()
    reader.close()
    listen(broker, topic, owner="second").close()  # at once


def test_one_of_two_that_want_a_free_group_gets_it(broker, topic, redis_server):  # noqa: F811
    won, told = [], []

    def want(name):
        try:
            reader = listen(broker_of(redis_server), topic, owner=name)
        except GroupInUse as error:
            told.append(error)
            return
        won.append(name)
        end = time.monotonic() + 20
        while not told and time.monotonic() < end:
            reader.read(1, 0.05)
        reader.close()

    threads = [threading.Thread(target=want, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 == len(told)


def test_a_worker_that_is_started_again_under_its_name_need_not_wait(broker, topic):
    broker.send(topic, numbered(5))
    lost = []
    first = listen(broker, topic, owner="pod-0", lost=lost.append)
    seen = first.read(3, 1)
    second = listen(broker, topic, owner="pod-0", after={"0": seen[-1].position})
    assert bodies(drained(second)) == [b"a 3", b"a 4"]
    with pytest.raises(Fenced, match="this one must end"):
        first.read(9, 0)
    assert lost == ["0"]
    first.close(), second.close()


WORKER = """
import sys
from oco2_outliers.streams.broker_parts import Fenced
from oco2_outliers.streams.endpoints import endpoint_of
from oco2_outliers.streams.redis_broker import RedisBroker

broker = RedisBroker(endpoint_of(sys.argv[1], ("redis",), "broker"))
listener = broker.listen(sys.argv[2], "judge", start=lambda _: None, owner="worker",
                         lost=lambda name: print("lost", name, flush=True))
print("holds", flush=True)
try:
    while True:
        for message in listener.read(100, 0.2):
            print(message.body.decode(), flush=True)
except Fenced:
    print("fenced", flush=True)
"""


@pytest.fixture
def worker(broker, topic, redis_server):  # noqa: F811
    """A process of its own that reads the group."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, f"{redis_server.url}?session=2", topic],
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "holds\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_killed_worker_is_soon_in_nobodys_way(broker, topic, worker, redis_server, monkeypatch):  # noqa: F811
    monkeypatch.setattr(redis_groups, "_RECONNECTS", 0.3)
    broker.send(topic, numbered(2))
    assert [worker.stdout.readline() for _ in range(2)] == ["a 0\n", "a 1\n"]
    worker.kill()
    worker.wait()
    reader = listen(broker_of(redis_server, session=30), topic)
    assert bodies(drained(reader)) == [b"a 0", b"a 1"]  # nobody had stored them
    reader.close()


@pytest.mark.parametrize("how", ["session", "take over"])
def test_a_frozen_worker_loses_its_group_and_takes_nothing_with_it(broker, topic, worker, how):
    """It is frozen while it waits for messages; they come, and a second worker must see every one."""
    broker.send(topic, numbered(3))
    assert [worker.stdout.readline() for _ in range(3)] == ["a 0\n", "a 1\n", "a 2\n"]
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        broker.send(topic, numbered(3, 6))
        second = listen(broker, topic, take_over=how == "take over")
        assert bodies(drained(second)) == [body for _, body in numbered(6)]
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    broker.send(topic, numbered(6, 9))
    assert bodies(drained(second, wait=0.5)) == [body for _, body in numbered(6, 9)]
    assert worker.communicate(timeout=30)[0].endswith("lost 0\nfenced\n")
    assert drained(second) == []
    second.close()


# ---------------------------------------------------------------- a server that dies

def test_a_server_that_is_killed_loses_nothing_and_nobody(broker, topic, redis_server):  # noqa: F811
    """A sender and a reader live through three deaths of the server; each message comes once, in order."""
    reader, seen, sent = listen(broker, topic), [], []

    def send():
        for first in range(0, 3000, 100):
            sent.append(broker.send(topic, numbered(first, first + 100)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for deaths in range(1, 4):
            end = time.monotonic() + 60
            while len(seen) < 500 * deaths:
                assert time.monotonic() < end, "nothing more came"
                seen += reader.read(90, 0.5)
            redis_server.kill()
            assert reader.read(90, 0.1) == []
            redis_server.start()
        end = time.monotonic() + 60
        while len(seen) < 3000 and time.monotonic() < end:
            seen += reader.read(90, 0.5)
    finally:
        thread.join()
    assert sum(sent) == 3000 and bodies(seen) == [body for _, body in numbered(3000)]
    assert len({m.position for m in seen}) == 3000 and reader.lag("0", seen[-1].position) == 0
    reader.close()


@pytest.mark.slow
def test_twenty_deaths_of_a_server_while_a_sender_works(broker, topic, redis_server):  # noqa: F811
    """At random moments, with fixed seeds."""
    import random

    thread = threading.Thread(target=lambda: broker.send(topic, (m for m in numbered(60_000))))
    thread.start()
    for turn in range(20):
        time.sleep(random.Random(turn).uniform(0.01, 0.4))
        redis_server.kill()
        redis_server.start()
    thread.join()
    reader = listen(broker, topic)
    assert bodies(drained(reader, 5000)) == [body for _, body in numbered(60_000)]
    reader.close()


def test_a_server_that_stays_away_is_given_up(forgetful_redis):  # noqa: F811
    broker = broker_of(forgetful_redis, patience=0.3)
    broker.create_topic("flow")
    reader = listen(broker, "flow")
    forgetful_redis.kill()
    with pytest.raises(BrokerAway, match="redis://127.0.0.1:[0-9]+/0 has not answered for 0.3 s .*refused"):
        while True:
            assert reader.read(9, 0.05) == []
    reader.ack({}), reader.close()
    with pytest.raises(BrokerAway):
        broker.send("flow", numbered(1))
    late = listen(broker, "flow")  # a worker that is started now can be told to end, too
    assert late.read(9, 0.01) == [] and late.ends() == {}
    with pytest.raises(BrokerAway):
        late.read(9, 20)
    late.close()


def test_a_worker_that_is_started_before_its_server_waits_for_it(forgetful_redis):  # noqa: F811
    broker = broker_of(forgetful_redis)
    forgetful_redis.kill()
    asked = []
    reader = broker.listen("flow", "judge", start=asked.append, lost=print, owner="me")
    assert reader.read(9, 0.01) == [] == asked
    forgetful_redis.start()
    broker.create_topic("flow")
    broker.send("flow", numbered(2))
    assert bodies(reader.read(9, 20)) == [b"a 0", b"a 1"] and asked == ["0"]
    reader.close()


def test_a_worker_whose_group_may_be_in_use_can_be_told_to_end(broker, topic, redis_server):  # noqa: F811
    """The other one is frozen: for its session nobody knows whether it lives."""
    other = listen(broker_of(redis_server, session=60), topic, owner="other")
    reader = listen(broker_of(redis_server, session=60), topic, owner="me")
    assert reader.read(9, 0.01) == [] and reader.ends() == {}
    other.read(1, 0.01), other._member.client.execute_command("PING")
    with pytest.raises(GroupInUse, match="in use by other"):
        for _ in range(99):
            other.read(1, 0.01)
            reader.read(9, 0.05)
    reader.close(), other.close()


def test_a_server_that_is_frozen_is_waited_for(forgetful_redis):  # noqa: F811
    broker = broker_of(forgetful_redis, timeout=0.2)
    broker.create_topic("flow")
    reader = listen(broker, "flow")
    broker.send("flow", numbered(3))
    assert reader.lag("0", None) == 3
    forgetful_redis.freeze()
    threading.Timer(1.4, forgetful_redis.freeze, (False,)).start()
    assert reader.read(9, 0.01) == [] and reader.lag("0", None) == 3
    assert reader.lag("0", reader.ends()["0"]) == 1  # nobody knows what has come since
    assert bodies(reader.read(9, 20)) == [b"a 0", b"a 1", b"a 2"]
    reader.close()


# ---------------------------------------------------------------- another past

@pytest.fixture
def judged(broker, topic):
    """A topic of ten messages, of which a store has judged six."""
    broker.send(topic, numbered(10))
    reader = listen(broker, topic)
    seen = reader.read(6, 1)
    yield {"0": seen[-1].position}, reader
    reader.close()


def test_a_server_that_forgot_all_went_back(forgetful_redis):  # noqa: F811
    broker = broker_of(forgetful_redis)
    broker.create_topic("flow")
    broker.send("flow", numbered(10))
    reader, idle = listen(broker, "flow"), listen(broker, "flow", "idle")
    drained(idle)
    after = {"0": reader.read(6, 1)[-1].position}
    forgetful_redis.kill()
    forgetful_redis.start()
    for made in (False, True):
        if made:
            broker.create_topic("flow")
            broker.send("flow", numbered(50))
        with pytest.raises(SourceWentBack, match="nothing was judged again"):
            listen(broker, "flow", "another", after=after)
        for each in (reader, idle):
            with pytest.raises(SourceWentBack, match="nothing was judged again"):
                each.read(9, 5)
    reader.close(), idle.close()


@pytest.mark.parametrize("how", ["made anew", "cut short too far", "the last ones are lost"])
def test_a_stream_that_is_another_is_told_while_it_is_read(broker, topic, judged, redis_server, how):  # noqa: F811
    client, (after, reader) = redis_server.client(), judged
    last = drained(reader)[-1].position
    if how == "cut short too far":
        broker.send(topic, numbered(10, 20))
        client.xtrim(topic, maxlen=3, approximate=False)
        error, words = MessagesGone, "dropped about 7 messages that were never read"
    else:
        client.delete(topic)
        error, words = SourceWentBack, f"does not hold the message at {last}"
        if how == "the last ones are lost":
            client.xadd(topic, {"a/c": "other"}, id="5-0")
            client.execute_command("XSETID", topic, after["0"].split("@")[0], "ENTRIESADDED", 6)
        client.xadd(topic, {"a/c": "new"})
        client.xgroup_create(topic, "judge", "0")
    with pytest.raises(error, match=words):
        reader.read(9, 5)
    with pytest.raises(error, match=words):
        listen(broker, topic, after={"0": last})


def test_a_stream_that_is_kept_short_behind_the_reader_is_fine(broker, topic, judged, redis_server):  # noqa: F811
    client, (after, reader) = redis_server.client(), judged
    client.xtrim(topic, maxlen=4, approximate=False)
    assert bodies(drained(reader)) == [body for _, body in numbered(6, 10)]
    reader.close()
    again = listen(broker, topic, after=after)
    assert bodies(drained(again)) == [body for _, body in numbered(6, 10)]
    again.close()
    client.xtrim(topic, maxlen=3, approximate=False)
    with pytest.raises(MessagesGone, match="about 1 messages"):
        listen(broker, topic, after=after)
    fresh = listen(broker, topic, "fresh")  # a new store begins with what is there
    assert bodies(drained(fresh)) == [b"a 7", b"a 8", b"a 9"] and fresh.lag("0", None) == 3
    fresh.close()


def test_an_entry_that_was_deleted_by_hand_is_no_other_past(broker, topic, judged, redis_server):  # noqa: F811
    client, (after, reader) = redis_server.client(), judged
    client.xdel(topic, after["0"].split("@")[0])
    assert len(drained(reader)) == 4
    reader.close()
    listen(broker, topic, after=after).close()


# ---------------------------------------------------------------- passwords

def test_a_password_is_needed_and_never_told(locked_redis, monkeypatch):  # noqa: F811
    monkeypatch.delenv("OCO2_STREAM_PASSWORD", raising=False)
    for word in (None, "hunter2"):
        if word:
            monkeypatch.setenv("OCO2_STREAM_PASSWORD", word)
        with pytest.raises(InputError, match="OCO2_STREAM_PASSWORD") as told:
            broker_of(locked_redis).create_topic("flow")
        assert "hunter2" not in str(told.value)
    monkeypatch.setenv("OCO2_STREAM_PASSWORD", locked_redis.password)
    broker = broker_of(locked_redis)
    assert broker.create_topic("flow") and broker.send("flow", numbered(1)) == 1
    reader = listen(broker, "flow")
    assert bodies(drained(reader)) == [b"a 0"]
    assert locked_redis.password not in repr(vars(broker)) + repr(vars(reader)) + str(broker._endpoint)
    reader.close()


def test_a_server_is_believed_by_its_certificate_alone(safe_redis):  # noqa: F811
    url = f"rediss://127.0.0.1:{safe_redis.safe_port}/0?timeout=5"
    with pytest.raises(InputError, match="certificate is not to be trusted"):
        RedisBroker(endpoint_of(url, ("rediss",), "broker")).create_topic("flow")
    broker = RedisBroker(endpoint_of(f"{url}&ca={safe_redis.certificate}", ("rediss",), "broker"))
    assert broker.create_topic("flow") and broker.send("flow", numbered(1)) == 1
    reader = listen(broker, "flow")
    assert bodies(drained(reader)) == [b"a 0"]
    reader.close()
    with pytest.raises(InputError, match="name the file"):  # the name does not stand in the certificate
        RedisBroker(endpoint_of(f"{url}&ca={safe_redis.certificate}".replace("127.0.0.1", "localhost"), ("rediss",),
                                "broker")).create_topic("flow")


@pytest.mark.slow
def test_a_message_of_100_megabytes_passes(broker, topic):
    broker.send(topic, [*numbered(3), ("a/c", bytes(100 * 2**20)), *numbered(3, 6)])
    reader = listen(broker, topic)
    seen = drained(reader, wait=0.1)
    assert [len(each.body) for each in seen] == [3, 3, 3, 100 * 2**20, 3, 3, 3] and reader.read(9, 0.1) == []
    reader.close()


def test_a_user_with_few_rights_reads_and_sends(locked_redis, monkeypatch):  # noqa: F811
    """It may not list the connections: then a worker that died is waited for as one that is frozen."""
    monkeypatch.setenv("OCO2_STREAM_PASSWORD", "few")
    locked_redis.client().execute_command(
        "ACL", "SETUSER", "judge", "on", ">few", "~*", "+@stream", "+@transaction", "+@connection", "+@keyspace",
        "+@string", "-@dangerous", "-@admin", "-client|list")
    url = locked_redis.url.replace("://", "://judge@") + "?session=0.5"
    broker = RedisBroker(endpoint_of(url, ("redis",), "broker"))
    broker.create_topic("flow", 2)
    broker.send("flow", numbered(5))
    first = listen(broker, "flow", owner="one")
    second = listen(broker, "flow", owner="two")  # the first has not read for half a second
    assert len(drained(second)) == 5
    first.close(), second.close(), broker.close()
