"""MQTT topics with a real mosquitto: confirmed late, sent again, taken over, and what cannot be had."""

import shutil
import subprocess
import time
import uuid
import warnings

import pytest
from certificates import certificate

from oco2_outliers.ground.errors import InputError
from oco2_outliers.streams.broker_parts import BrokerAway, GroupInUse, NotOurs
from oco2_outliers.streams.endpoints import PASSWORD, endpoint_of

pytest_plugins = ["mqtt_server"]
pytest.importorskip("paho.mqtt.client", reason="no client of MQTT; other test: test_notebooks.py, 26_mqtt_topics")
pytestmark = pytest.mark.filterwarnings("ignore:.*MQTT cannot replay")


def broker_at(url, options="patience=5"):
    """A broker of ours."""
    from oco2_outliers.streams.mqtt_topics import MqttBroker

    return MqttBroker(endpoint_of(f"{url}?{options}", ("mqtt",), "broker"))


def new_name():
    """A name that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


def numbered(n, first=0):
    """Keys and bodies."""
    return [(f"NE001/c{i % 3}", b"%d" % i) for i in range(first, n)]


def bodies(messages):
    """What was sent."""
    return [int(each.body) for each in messages]


class Workers:
    """Listeners of one topic and group, closed at the end; `position` is where the store stands."""

    def __init__(self, url, topic, options="patience=5"):
        self.broker, self.topic, self.group, self.open = broker_at(url, options), topic, new_name(), []

    def __enter__(self):
        return self

    def __exit__(self, *about):
        for each in self.open:
            each.close()

    def listen(self, position=None, connect=True):
        self.open.append(self.broker.listen(self.topic, self.group, start=lambda partition: position, lost=print,
                                            owner="one"))
        assert not connect or self.open[-1]._ready()  # so that the session is there
        return self.open[-1]


def read_all(listener, n, most=500, ack=True, seconds=20):
    """Read `n` messages."""
    found, end = [], time.monotonic() + seconds
    while len(found) < n and time.monotonic() < end:
        found += listener.read(most, 0.1)
        if ack and found:
            listener.ack({"0": found[-1].position})
    return found


def read_until(enough, listener, seconds=60):
    """Read and confirm until `enough` says so of what was found."""
    found, end = [], time.monotonic() + seconds
    while not enough(found):
        assert time.monotonic() < end, f"nothing more came after {len(found)} messages"
        found += read_all(listener, 1)
    return found


def test_messages_come_in_order_and_are_counted(mosquitto):
    topic = f"site/{new_name()}"
    with Workers(mosquitto.url, topic) as workers:
        listener = workers.listen()
        assert workers.broker.send(topic, numbered(3000)) == 3000
        found = read_all(listener, 3000)
        assert bodies(found) == list(range(3000)) and [int(each.position) for each in found] == list(range(1, 3001))
        assert listener.read(10, 0.05) == [] and {each.partition for each in found} == {"0"}
        assert listener.ends() == {"0": "3000"}
        assert (listener.lag("0", "3000"), listener.lag("0", "2990"), listener.lag("0", None)) == (0, 10, 3000)
        with pytest.raises(NotOurs):
            listener.lag("1", None)


def test_nobody_can_only_look(mosquitto):
    """A session of its own would stay at the server for a week, and fill up."""
    with pytest.raises(InputError, match="MQTT shows what it keeps to nobody but the worker"):
        broker_at(mosquitto.url).listen("flow", None, start=print, lost=print, owner="look")


def test_what_was_not_confirmed_comes_again(mosquitto):
    topic = new_name()
    with Workers(mosquitto.url, topic) as workers:
        first = workers.listen()
        workers.broker.send(topic, numbered(20))
        found = read_all(first, 20, ack=False)
        first.ack({"0": found[11].position})
        first.ack({"0": found[3].position})  # going back confirms nothing, and harms nothing
        first.ack({"1": "9", "0": "x"})
        first.close()
        workers.broker.send(topic, numbered(25, 20))  # kept while nobody is there
        second = workers.listen(found[11].position)
        again = read_all(second, 13)
        assert bodies(again) == list(range(12, 25)) and again[0].position == "13"
        assert second.read(10, 0.05) == []


def test_what_was_fetched_and_not_handed_out_comes_again(mosquitto):
    topic = new_name()
    with Workers(mosquitto.url, topic) as workers:
        first = workers.listen()
        workers.broker.send(topic, numbered(50))
        found = read_all(first, 10, most=10, ack=True)
        first.close()
        second = workers.listen(found[-1].position)
        assert bodies(read_all(second, 40)) == list(range(10, 50))


def test_a_server_killed_and_started_again(mortal_mosquitto):
    topic = new_name()
    with Workers(mortal_mosquitto.url, topic, "patience=30") as workers:
        listener = workers.listen()
        workers.broker.send(topic, numbered(30))
        found = read_all(listener, 30, ack=False)
        listener.ack({"0": found[9].position})
        listener.read(1, 0.2)
        mortal_mosquitto.kill()
        assert listener.read(10, 0.1) == []  # it comes back to its caller
        assert listener.lag("0", found[-1].position) == 1  # nobody knows that there is nothing more
        listener.ack({"0": found[19].position})  # too late: the server is away
        mortal_mosquitto.start()
        again = read_until(lambda found: found and found[-1].body == b"29", listener)
        # 0 to 9 are confirmed; what the server had not written of that comes again, too
        assert bodies(again) == list(range(bodies(again)[0], 30)) and bodies(again)[0] <= 10
        workers.broker.send(topic, numbered(35, 30))
        assert bodies(read_all(listener, 5)) == list(range(30, 35))


def test_a_server_that_stays_away(mortal_mosquitto):
    topic = new_name()
    with Workers(mortal_mosquitto.url, topic, "patience=0.5") as workers:
        listener = workers.listen()
        workers.broker.send(topic, numbered(3))
        read_all(listener, 3)
        mortal_mosquitto.kill()
        with pytest.raises(BrokerAway, match="has not answered for 0.5 s"):
            read_all(listener, 1)
        with pytest.raises(BrokerAway):
            workers.broker.send(topic, numbered(3))
        with pytest.raises(BrokerAway):
            read_all(workers.listen(connect=False), 1)


def test_a_sender_whose_server_is_killed(mortal_mosquitto):
    topic = new_name()

    def deadly():
        for i, each in enumerate(numbered(150)):
            if i == 100:
                mortal_mosquitto.kill()
                mortal_mosquitto.start()
            yield each

    with Workers(mortal_mosquitto.url, topic, "patience=30") as workers:
        listener = workers.listen()
        assert workers.broker.send(topic, deadly()) == 150
        found = read_until(lambda found: len(set(bodies(found))) == 150, listener)
    assert set(bodies(found)) == set(range(150))  # some may come twice


def test_two_workers_of_a_group(mosquitto):
    """mosquitto 2.0.11 says nothing when it throws a client out: then three cuts are taken for it."""
    topic = new_name()
    with Workers(mosquitto.url, topic) as workers:
        first = workers.listen()
        second = workers.listen()
        pair = [first, second]
        with pytest.raises(GroupInUse, match="another worker of this group"):
            read_all_in_turn(pair)
        other = second if first._link.opened == 0.0 else first
        workers.broker.send(topic, numbered(5))
        assert bodies(read_all(other, 5)) == list(range(5))


def read_all_in_turn(listeners, seconds=20):
    """Read with each in turn."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for each in listeners:
            each.read(10, 0.02)


def test_a_session_that_is_gone_is_told(mosquitto):
    topic = new_name()
    with Workers(mosquitto.url, topic) as workers:
        with pytest.warns(UserWarning, match="MQTT cannot replay"):
            workers.listen()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            workers.listen("7")
        assert not any("no session" in str(each.message) for each in said)
        workers.group = new_name()
        with pytest.warns(UserWarning, match="the server has no session of ours any more"):
            workers.listen("7")


def test_open_levels_and_retained_messages(mosquitto):
    site = new_name()
    broker = broker_at(mosquitto.url)
    publish(mosquitto, f"{site}/old", b"1", retain=True)
    with Workers(mosquitto.url, f"{site}/+") as workers:
        listener = workers.listen()
        broker.send(f"{site}/velocity", [("a/b", b"2")])
        with pytest.warns(UserWarning, match="nobody had asked for 1 message"):
            broker.send(f"{site}/deeper/velocity", [("a/b", b"3")])
        publish(mosquitto, f"{site}/once", b"4", qos=0)
        publish(mosquitto, f"{site}/twice", b"5", qos=2)
        assert bodies(read_all(listener, 4)) == [1, 2, 4, 5]
        listener.close()
        again = workers.listen("4")
        assert again.read(10, 0.1) == []  # the retained one does not come twice within a session


def publish(server, topic, body, qos=1, retain=False):
    """Send as a device does."""
    import paho.mqtt.publish as sending

    sending.single(topic, body, qos=qos, retain=retain, hostname="127.0.0.1", port=server.port)


def test_a_reader_that_does_not_confirm_gets_only_so_many(mosquitto, monkeypatch):
    monkeypatch.setattr("oco2_outliers.streams.mqtt_topics.RECEIVE_MOST", 50)
    topic = new_name()
    with Workers(mosquitto.url, topic) as workers:
        listener = workers.listen()
        workers.broker.send(topic, numbered(500))
        found = read_all(listener, 51, ack=False, seconds=0.5)
        assert len(found) == 50
        listener.ack({"0": found[-1].position})
        found += read_all(listener, 450)
        assert bodies(found) == list(range(500))


def test_long_and_odd_messages(mosquitto):
    topic = f"é/{new_name()}"
    with Workers(mosquitto.url, topic) as workers:
        listener = workers.listen()
        sent = [b"", b"\xff\x00\n", b"x" * 3_000_000]
        assert workers.broker.send(topic, [("", each) for each in sent]) == 3
        assert [each.body for each in read_all(listener, 3)] == sent
        with pytest.raises(InputError, match="too long"):
            workers.broker.send(topic, [("a/b", b"x" * 2**24)])


GUARDED = """allow_anonymous false
password_file {folder}/words
acl_file {folder}/rights
"""


@pytest.fixture
def guarded(monkeypatch):
    """A server with a user who may only read what is below site/."""
    from mqtt_server import WHERE, Mosquitto

    tool = shutil.which("mosquitto_passwd", path=WHERE)
    if tool is None or shutil.which("mosquitto", path=WHERE) is None:
        pytest.skip("no mosquitto on this machine; other test: test_notebooks.py, 26_mqtt_topics")
    server = Mosquitto(GUARDED)
    subprocess.run([tool, "-c", "-b", str(server.folder / "words"), "judge", "mum's word"], check=True)
    (server.folder / "rights").write_text("user judge\ntopic read site/#\ntopic write site/#\n", encoding="utf-8")
    monkeypatch.setenv(PASSWORD, "mum's word")
    yield server.start()
    server.stop()


def test_passwords_and_rights(guarded, monkeypatch):
    url = guarded.url.replace("mqtt://", "mqtt://judge@")
    with Workers(url, "site/flow") as workers:
        listener = workers.listen()
        assert workers.broker.send("site/flow", numbered(3)) == 3
        assert bodies(read_all(listener, 3)) == [0, 1, 2]
        with pytest.raises(InputError, match="refused: not allowed to"):
            workers.broker.send("secret/flow", numbered(3))
    monkeypatch.setenv(PASSWORD, "wrong, too")
    for act in (lambda: broker_at(url).send("site/flow", numbered(1)),
                lambda: broker_at(url).listen("site/flow", "g", start=str, lost=print, owner="one").read(1, 1)):
        with pytest.raises(InputError, match="refused") as told:
            act()
        assert "wrong, too" not in str(told.value)
    monkeypatch.delenv(PASSWORD)
    with pytest.raises(InputError, match="refused"):
        broker_at(guarded.url).send("site/flow", numbered(1))


def test_a_connection_that_nobody_can_read(tmp_path):
    from mqtt_server import OPEN, Mosquitto

    cert, key = certificate(tmp_path)
    server = Mosquitto(f"{OPEN}certfile {cert}\nkeyfile {key}\nrequire_certificate false\n")
    try:
        server.start()
    except FileNotFoundError as error:
        pytest.skip(f"{error}; other test: test_notebooks.py, 26_mqtt_topics")
    try:
        with Workers(server.url, "flow", f"ca={cert}&patience=5") as workers:
            listener = workers.listen()
            assert workers.broker.send("flow", numbered(300)) == 300
            assert bodies(read_all(listener, 300)) == list(range(300))
        with pytest.raises(InputError, match="its certificate is refused"):
            broker_at(server.url, "tls=yes").send("flow", numbered(1))
        with pytest.raises(BrokerAway):
            broker_at(server.url, "patience=0.3").send("flow", numbered(1))  # without TLS
        with pytest.raises(InputError, match="certificate cannot be read"):
            broker_at(server.url, f"ca={tmp_path}/none.pem").send("flow", numbered(1))
    finally:
        server.stop()
