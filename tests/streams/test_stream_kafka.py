"""Kafka topics: sent, read, moved between workers, and lost, with Tansu and with librdkafka's mock cluster."""

import functools
import time
import uuid
from collections import Counter

import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.streams.broker_parts import (
    BrokerAway,
    GroupInUse,
    MessagesGone,
    NotOurs,
    SourceWentBack,
    TopicMissing,
)
from oco2_outliers.streams.endpoints import PASSWORD, endpoint_of

pytest_plugins = ["kafka_server"]
confluent_kafka = pytest.importorskip(
    "confluent_kafka", reason="no client of Kafka; other test: test_notebooks.py, 24_kafka_topics")


@functools.cache
def broker_at(url, options="session=2&patience=5"):
    """A broker of ours; made once, because a client that sends needs half a second to begin."""
    from oco2_outliers.streams.kafka_topics import KafkaBroker

    return KafkaBroker(endpoint_of(f"{url}?{options}", ("kafka",), "broker"))


def new_name():
    """A name that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


class Store:
    """What stands in for the result store: positions, and what was told of partitions."""

    def __init__(self, **positions):
        self.positions, self.started, self.lost = dict(positions), [], []
        self.messages = []

    def start(self, partition):
        self.started.append(partition)
        return self.positions.get(partition)

    def take(self, messages):
        for each in messages:
            self.messages.append(each)
            self.positions[each.partition] = each.position


class Workers:
    """Listeners of one topic, closed at the end."""

    def __init__(self, url, topic, options="session=2&patience=5"):
        self.url, self.topic, self.group, self.options, self.open = url, topic, new_name(), options, []

    def __enter__(self):
        return self

    def __exit__(self, *about):
        for each in self.open:
            each.close()

    def listen(self, store, owner="one"):
        broker = broker_at(self.url, self.options)
        self.open.append(broker.listen(self.topic, self.group, start=store.start, lost=store.lost.append, owner=owner))
        return self.open[-1]


def read_until(enough, *pairs, seconds=30):
    """Read in turn with each listener into its store until `enough()`."""
    end = time.monotonic() + seconds
    while not enough():
        assert time.monotonic() < end, "nothing more came"
        for listener, store in pairs:
            store.take(listener.read(500, 0.05))


def numbered(n, channels=7):
    """Keys and bodies; a body tells its channel and its turn."""
    return [(f"NE001/c{i % channels}", b"c%d:%d" % (i % channels, i)) for i in range(n)]


def turns(messages):
    """By channel, the turns in the order that they were read."""
    found = {}
    for each in messages:
        channel, turn = each.body.split(b":")
        found.setdefault(channel, []).append(int(turn))
    return found


def assert_once(one, two, n):
    """No message was read twice, and none is missing."""
    read = one.messages + two.messages
    assert len({(each.partition, each.position) for each in read}) == len(read) == n


def test_messages_come_in_order_of_their_channel(mock_kafka):
    topic = mock_kafka.topic(new_name(), 3)
    assert broker_at(mock_kafka.url).send(topic, numbered(2000)) == 2000
    store = Store()
    with Workers(mock_kafka.url, topic) as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.messages) >= 2000, (listener, store))
        assert listener.read(500, 0.05) == []
        assert sorted(store.started) == ["0", "1", "2"]
        ends = listener.ends()
        assert ends == store.positions
        assert [listener.lag(part, position) for part, position in ends.items()] == [0, 0, 0]
        assert sum(listener.lag(part, None) for part in ends) == 2000
        with pytest.raises(NotOurs):
            listener.lag("7", None)
    assert all(each == sorted(each) for each in turns(store.messages).values())
    assert Counter(each.body for each in store.messages) == Counter(body for _, body in numbered(2000))
    assert sorted(store.lost) == ["0", "1", "2"]


def seen_beside(url, topic, n, store):
    """What is read of a topic beside all groups. Who hears late from a server is not sure for a moment, and says so."""
    listener = broker_at(url).listen(topic, None, start=store.start, lost=store.lost.append, owner="look")
    try:
        read_until(lambda: len(store.messages) >= n and listener.sure() and listener.whole(), (listener, store))
        ends = listener.ends()
        assert not any(listener.lag(*each) for each in ends.items())
    finally:
        listener.close()
    return ends


@pytest.mark.heavy
def test_who_only_looks_joins_no_group(mock_kafka):
    """Beside a worker, which keeps its partitions."""
    topic = mock_kafka.topic(new_name(), 3)
    broker_at(mock_kafka.url).send(topic, numbered(300))
    store, looking = Store(), Store()
    with Workers(mock_kafka.url, topic) as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.messages) >= 300, (listener, store))
        assert seen_beside(mock_kafka.url, topic, 300, looking) == store.positions
        broker_at(mock_kafka.url).send(topic, numbered(10))
        read_until(lambda: len(store.messages) >= 310, (listener, store))
        assert turns(looking.messages) == turns(store.messages[:300]) and not store.lost and not looking.lost
    after = Store(**looking.positions)
    seen_beside(mock_kafka.url, topic, 10, after)
    assert len(after.messages) == 10 and sorted(looking.started) == ["0", "1", "2"]


def test_the_store_decides_where_reading_goes_on(mock_kafka):
    topic = mock_kafka.topic(new_name())
    broker = broker_at(mock_kafka.url)
    broker.send(topic, numbered(100))
    first = Store()
    with Workers(mock_kafka.url, topic) as workers:
        listener = workers.listen(first)
        read_until(lambda: len(first.messages) >= 100, (listener, first))
        listener.ack(first.positions)  # the cluster hears that all of it is done
        listener.ack({"0": "nonsense", "5": "3", "x": "1"})  # no error: it is advice
    second = Store(**{"0": first.messages[59].position})
    with Workers(mock_kafka.url, topic) as workers:
        listener = workers.listen(second)
        read_until(lambda: len(second.messages) >= 40, (listener, second))
        assert listener.read(10, 0.05) == []
    assert [each.body for each in second.messages] == [body for _, body in numbered(100)[60:]]
    nothing = Store()
    with Workers(mock_kafka.url, topic) as workers:
        listener = workers.listen(nothing)
        read_until(lambda: len(nothing.messages) >= 100, (listener, nothing))
    assert len(nothing.messages) == 100


def test_a_store_at_the_end_waits_for_more(mock_kafka):
    topic = mock_kafka.topic(new_name())
    broker = broker_at(mock_kafka.url)
    broker.send(topic, numbered(3))
    store = Store()
    with Workers(mock_kafka.url, topic) as workers:
        read_until(lambda: len(store.messages) >= 3, (workers.listen(store), store))
    with Workers(mock_kafka.url, topic) as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.started) >= 2, (listener, store))
        broker.send(topic, numbered(5)[3:])
        read_until(lambda: len(store.messages) >= 5, (listener, store))
    assert [each.body for each in store.messages] == [body for _, body in numbered(5)]


def test_positions_that_the_topic_does_not_hold(mock_kafka, monkeypatch):
    monkeypatch.setattr("oco2_outliers.streams.kafka_topics._DOUBT", 0.3)
    topic = mock_kafka.topic(new_name())
    broker_at(mock_kafka.url).send(topic, numbered(9))
    for position in ("9", "100", "1@another", "1-0", "", "x" * 99):
        store = Store(**{"0": position})
        with Workers(mock_kafka.url, topic) as workers:
            listener = workers.listen(store)
            with pytest.raises(SourceWentBack, match="source went back.*nothing was judged again"):
                read_until(lambda: False, (listener, store))  # noqa: B023
        assert store.messages == []


def test_a_topic_that_was_made_anew(ailing_kafka):
    topic = ailing_kafka.topic(new_name())
    broker_at(ailing_kafka.url).send(topic, numbered(20))
    store = Store()
    with Workers(ailing_kafka.url, topic) as workers:
        read_until(lambda: len(store.messages) >= 20, (workers.listen(store), store))
    ailing_kafka.delete(topic)
    with Workers(ailing_kafka.url, topic) as workers, pytest.raises(TopicMissing, match="no such topic"):
        workers.listen(store)
    ailing_kafka.topic(topic)
    broker_at(ailing_kafka.url).send(topic, numbered(50))  # beyond the store's offset: only the id tells
    with Workers(ailing_kafka.url, topic) as workers:
        listener = workers.listen(store)
        with pytest.raises(SourceWentBack):
            read_until(lambda: False, (listener, store))
    assert len(store.messages) == 20


def test_messages_dropped_before_they_were_read(ailing_kafka):
    topic = ailing_kafka.topic(new_name())
    broker_at(ailing_kafka.url).send(topic, numbered(100))
    ailing_kafka.drop(topic, 0, 60)
    fresh = Store()
    with Workers(ailing_kafka.url, topic) as workers:  # a new store begins with what is there
        listener = workers.listen(fresh)
        read_until(lambda: len(fresh.messages) >= 40, (listener, fresh))
        assert fresh.messages[0].body == numbered(100)[60][1]
    old = Store(**{"0": "9"})
    with Workers(ailing_kafka.url, topic) as workers:
        listener = workers.listen(old)
        with pytest.raises(MessagesGone, match="50 messages from 10 on were dropped"):
            read_until(lambda: False, (listener, old))


@pytest.mark.heavy
def test_two_workers_share_and_one_leaves(mock_kafka):
    topic = mock_kafka.topic(new_name(), 4)
    broker = broker_at(mock_kafka.url)
    broker.send(topic, numbered(4000, 40))
    one, two = Store(), Store()
    two.positions = one.positions  # one store
    with Workers(mock_kafka.url, topic, "session=1.5&patience=5") as workers:
        first = workers.listen(one)
        read_until(lambda: len(one.messages) >= 1000, (first, one))
        second = workers.listen(two, "two")
        read_until(lambda: len(two.started) >= 2, (first, one), (second, two))
        broker.send(topic, numbered(2000, 40))
        read_until(lambda: len(one.messages) + len(two.messages) >= 6000, (first, one), (second, two))
        first.close()
        # On a busy machine a session may end early, and then the first loses more than it hands over.
        assert set(two.started[:2]) <= set(one.lost)
        broker.send(topic, numbered(400, 40))
        read_until(lambda: len(one.messages) + len(two.messages) >= 6400, (second, two))
        assert second.read(10, 0.1) == []
    assert_once(one, two, 6400)


@pytest.mark.slow
def test_partitions_that_are_lost_again_and_again(mock_kafka):
    """Half a second is too short a session for workers that take turns in one thread: they lose all, all the time."""
    topic = mock_kafka.topic(new_name(), 4)
    broker = broker_at(mock_kafka.url)
    one, two = Store(), Store()
    two.positions = one.positions
    with Workers(mock_kafka.url, topic, "session=0.5&patience=5") as workers:
        pairs = (workers.listen(one), one), (workers.listen(two, "two"), two)
        for turn in range(1, 11):
            broker.send(topic, numbered(1000, 40))
            read_until(lambda: len(one.messages) + len(two.messages) >= 1000 * turn, *pairs)  # noqa: B023
    assert_once(one, two, 10_000)
    assert len(one.lost) + len(two.lost) > 4


def test_a_store_that_fails_stops_the_worker(mock_kafka):
    topic = mock_kafka.topic(new_name())
    broker_at(mock_kafka.url).send(topic, numbered(5))

    class Full(Store):
        def start(self, partition):
            raise OSError("disk is full")

    with Workers(mock_kafka.url, topic) as workers:
        listener = workers.listen(Full())
        with pytest.raises(OSError, match="disk is full"):
            read_until(lambda: False, (listener, Store()))


@pytest.mark.slow
def test_a_broker_that_is_away_and_comes_back(ailing_kafka):
    topic = ailing_kafka.topic(new_name())
    broker = broker_at(ailing_kafka.url)
    broker.send(topic, numbered(10))
    store = Store()
    with Workers(ailing_kafka.url, topic, options="session=20&patience=30") as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.messages) >= 10, (listener, store))
        ailing_kafka.down(1, 2)
        assert listener.read(10, 0.1) == []
        assert listener.lag("0", store.positions["0"]) == 1  # nobody knows that there is nothing more
        assert [listener.read(10, 0.1) for _ in range(10)] == [[]] * 10  # it comes back to its caller
        ailing_kafka.up(1, 2)
        broker_at(ailing_kafka.url, "patience=20").send(topic, numbered(20)[10:])
        read_until(lambda: len(store.messages) >= 20, (listener, store))
    assert [each.body for each in store.messages] == [body for _, body in numbered(20)]


@pytest.mark.slow
@pytest.mark.parametrize("session", ["20", "1"])  # the second loses its partitions meanwhile
def test_nothing_is_skipped_or_read_twice_over_a_pause(ailing_kafka, session):
    """Thousands of messages are fetched ahead when the brokers go away, again and again."""
    topic = ailing_kafka.topic(new_name(), 2)
    broker_at(ailing_kafka.url).send(topic, numbered(6000))
    store = Store()
    with Workers(ailing_kafka.url, topic, options=f"session={session}&patience=30") as workers:
        listener = workers.listen(store)
        for n in (1000, 2500, 4000):
            read_until(lambda: len(store.messages) >= n, (listener, store))  # noqa: B023
            ailing_kafka.down(1, 2)
            end = time.monotonic() + 2
            while time.monotonic() < end:
                store.take(listener.read(100, 0.1))
            ailing_kafka.up(1, 2)
        read_until(lambda: len(store.messages) >= 6000, (listener, store))
        assert listener.read(10, 0.3) == []
    assert len({(each.partition, each.position) for each in store.messages}) == len(store.messages) == 6000
    assert all(each == sorted(each) for each in turns(store.messages).values())


@pytest.mark.slow
def test_a_broker_that_stays_away(ailing_kafka):
    topic = ailing_kafka.topic(new_name())
    broker = broker_at(ailing_kafka.url, "patience=1")
    broker.send(topic, numbered(10))
    store = Store()
    with Workers(ailing_kafka.url, topic, options="patience=1") as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.messages) >= 10, (listener, store))
        ailing_kafka.down(1, 2)
        with pytest.raises(BrokerAway, match="has not answered for 1 s"):
            read_until(lambda: False, (listener, store))
        with pytest.raises(BrokerAway):
            workers.listen(store)
        with pytest.raises(BrokerAway):
            broker.send(topic, numbered(10))


@pytest.mark.slow
def test_slow_leaders_and_leaders_that_move(ailing_kafka):
    topic = ailing_kafka.topic(new_name(), 1, 2)
    broker = broker_at(ailing_kafka.url, "patience=20")
    store = Store()
    with Workers(ailing_kafka.url, topic, options="session=1&patience=20") as workers:
        listener = workers.listen(store)
        ailing_kafka.fail("produce", "leader not available", "not enough replicas", "request timed out")
        assert broker.send(topic, numbered(50)) == 50
        for each in (1, 2):
            ailing_kafka.slow(200, each)
        ailing_kafka.fail("fetch", "leader not available", "unknown topic")
        ailing_kafka.fail("list offsets", "leader not available")
        read_until(lambda: len(store.messages) >= 50, (listener, store))
        ailing_kafka.lead(topic, 0, 2)
        assert broker.send(topic, numbered(80)[50:]) == 30
        ailing_kafka.lead(topic, 0, 1)
        read_until(lambda: len(store.messages) >= 80, (listener, store))
    assert [each.body for each in store.messages] == [body for _, body in numbered(80)]  # once, and in order


def test_an_offset_said_to_be_out_of_range_that_is_there(ailing_kafka):
    topic = ailing_kafka.topic(new_name())
    broker = broker_at(ailing_kafka.url)
    store = Store()
    broker.send(topic, numbered(10))
    with Workers(ailing_kafka.url, topic) as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.messages) >= 10, (listener, store))
        ailing_kafka.fail("fetch", *["out of range"] * 2)
        for _ in range(8):
            assert listener.read(10, 0.05) == []
        broker.send(topic, numbered(20)[10:])
        read_until(lambda: len(store.messages) >= 20, (listener, store))
    assert [each.body for each in store.messages] == [body for _, body in numbered(20)]


def test_what_is_refused(mock_kafka):
    topic = mock_kafka.topic(new_name())
    broker = broker_at(mock_kafka.url)
    with pytest.raises(TopicMissing, match="no such topic"):
        broker.send("nothing-here", numbered(1))
    with pytest.raises(InputError, match="MSG_SIZE_TOO_LARGE|too large"):
        broker.send(topic, [("a/b", b"x" * 2_000_000)])
    assert broker.send(topic, [("a/b", b""), ("", b"x"), ("\udcff/\u00e9", b"y")]) == 3
    for name in ("^.*", "../x", "", "a b"):
        with pytest.raises(InputError, match="a name has"):
            broker.send(name, [])
        with pytest.raises(InputError, match="a name has"):
            broker.create_topic(name)
    with pytest.raises(InputError, match="partitions"):
        broker.create_topic("fine", 0)
    with pytest.raises(InputError, match="group"):
        broker.listen(topic, "^g", start=Store().start, lost=print, owner="one")


def test_a_password_that_is_refused(tansu, monkeypatch):
    monkeypatch.setenv(PASSWORD, "mum's word")
    port = tansu.url.rstrip("/").rpartition(":")[2]
    broker = broker_at(f"kafka://judge@127.0.0.1:{port}/", "patience=20")
    for act in (lambda: broker.send("flow", numbered(1)), lambda: broker.create_topic("flow"),
                lambda: broker.listen("flow", "g", start=print, lost=print, owner="one")):
        with pytest.raises(InputError, match="refused.*SASL") as told:
            act()
        assert "mum" not in str(told.value) and "\n" not in str(told.value)


def test_a_reader_of_hostile_speed(mock_kafka):
    """Reads of one message, of none, and with no time at all lose nothing."""
    topic = mock_kafka.topic(new_name(), 2)
    broker_at(mock_kafka.url).send(topic, numbered(60))
    store = Store()
    with Workers(mock_kafka.url, topic) as workers:
        listener = workers.listen(store)
        end = time.monotonic() + 20
        while len(store.messages) < 60 and time.monotonic() < end:
            store.take(listener.read(1, 0))
            found = listener.read(3, 0.01)
            assert len(found) <= 3
            store.take(found)
    assert Counter(each.body for each in store.messages) == Counter(body for _, body in numbered(60))


def test_a_worker_that_the_group_does_not_know_any_more(ailing_kafka):
    """As after a long sleep: it loses its partitions, joins again, and asks the store anew."""
    topic = ailing_kafka.topic(new_name())
    broker = broker_at(ailing_kafka.url)
    broker.send(topic, numbered(10))
    store = Store()
    with Workers(ailing_kafka.url, topic, "session=1&patience=5") as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.messages) >= 10, (listener, store))
        ailing_kafka.fail("heartbeat", "unknown member")
        read_until(lambda: len(store.started) == 2, (listener, store))
        assert store.lost == ["0"]
        broker.send(topic, numbered(20)[10:])
        read_until(lambda: len(store.messages) >= 20, (listener, store))
    assert [each.body for each in store.messages] == [body for _, body in numbered(20)]


def test_two_workers_of_one_name(ailing_kafka):
    topic = ailing_kafka.topic(new_name())
    store = Store()
    with Workers(ailing_kafka.url, topic, "session=1&patience=5&instance=same") as workers:
        listener = workers.listen(store)
        read_until(lambda: store.started, (listener, store))
        ailing_kafka.fail("heartbeat", "fenced instance")
        with pytest.raises(GroupInUse, match="same instance name"):
            read_until(lambda: False, (listener, store))


def known_groups(server):
    """The names of all groups that a server knows; asked again where the answer came too late, as on a busy machine."""
    from confluent_kafka.admin import AdminClient

    asking, end = AdminClient({"bootstrap.servers": f"127.0.0.1:{server.port}"}), time.monotonic() + 180
    while True:
        told = asking.list_consumer_groups(request_timeout=30).result(60)
        if not told.errors:
            return {each.group_id for each in told.valid}
        assert time.monotonic() < end, told.errors


def test_tansu_end_to_end(tansu):
    broker = broker_at(tansu.url)
    topic = new_name()
    with pytest.raises(TopicMissing):
        broker.send(topic, numbered(1))
    assert broker.create_topic(topic, 2) and not broker.create_topic(topic, 2)
    assert broker.send(topic, numbered(1000)) == 1000
    store = Store()
    with Workers(tansu.url, topic, options="session=0.6") as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.messages) >= 1000, (listener, store))
        listener.ack(store.positions)
        assert listener.ends() == store.positions
    assert all(each == sorted(each) for each in turns(store.messages).values())
    half = Store(**{part: each.position for part in "01"
                    for each in [[m for m in store.messages if m.partition == part][100]]})
    with Workers(tansu.url, topic, options="session=0.6") as workers:
        read_until(lambda: len(half.messages) >= 798, (workers.listen(half), half))
    assert half.positions == store.positions and len(half.messages) == 798
    before, looking = known_groups(tansu), Store()
    assert seen_beside(tansu.url, topic, 1000, looking) == store.positions
    assert known_groups(tansu) == before and len(looking.messages) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("refilled", [0, 10, 300])
def test_tansu_killed_is_empty(mortal_tansu, refilled):
    """A worker that runs on, and one that starts again, both say that the source went back."""
    topic = new_name()
    broker = broker_at(mortal_tansu.url)
    broker.create_topic(topic)
    broker.send(topic, numbered(100))
    store = Store()
    with Workers(mortal_tansu.url, topic, options="session=1&patience=20") as workers:
        listener = workers.listen(store)
        read_until(lambda: len(store.messages) >= 100, (listener, store))
        mortal_tansu.kill()
        assert listener.read(10, 0.2) == []
        mortal_tansu.start()
        if refilled:
            again = broker_at(mortal_tansu.url, "session=3")  # a client of its own
            again.create_topic(topic)
            again.send(topic, numbered(refilled))
        with pytest.raises(SourceWentBack, match="nothing was judged again"):
            read_until(lambda: False, (listener, store))
    with Workers(mortal_tansu.url, topic, options="session=1") as workers:
        if not refilled:
            with pytest.raises(TopicMissing):
                workers.listen(store)
        else:
            with pytest.raises(SourceWentBack):
                read_until(lambda: False, (workers.listen(store), store))
    assert len(store.messages) == 100


@pytest.mark.slow
def test_tansu_workers_come_and_go(tansu):
    broker = broker_at(tansu.url)
    topic = new_name()
    broker.create_topic(topic, 4)
    broker.send(topic, numbered(4000, 40))
    one, two = Store(), Store()
    with Workers(tansu.url, topic, options="session=2") as workers:
        first = workers.listen(one)
        read_until(lambda: len(one.messages) >= 2000, (first, one))
        second = workers.listen(two, "two")
        two.positions = one.positions
        read_until(lambda: len(two.started) >= 2, (first, one), (second, two))
        broker.send(topic, numbered(2000, 40))
        read_until(lambda: len(one.messages) + len(two.messages) >= 6000, (first, one), (second, two))
        first.close()
        broker.send(topic, numbered(1000, 40))
        read_until(lambda: len(one.messages) + len(two.messages) >= 7000, (second, two), seconds=60)
        assert second.read(10, 0.2) == []
    assert_once(one, two, 7000)
