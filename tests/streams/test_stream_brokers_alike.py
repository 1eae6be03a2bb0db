"""One stream through every broker that a test can have: the table is the same as through a log of files."""

import json
import warnings

import numpy as np
import pytest

from oco2_outliers.series.freezing import freeze
from oco2_outliers.series.simulated import simulate_series
from oco2_outliers.streams.messages import Reading, message_of
from oco2_outliers.streams.opening_brokers import open_broker
from oco2_outliers.streams.pipeline import Pipeline, Source
from oco2_outliers.streams.result_store import open_store
from oco2_outliers.streams.store_tables import TABLES

pytest_plugins = ["kafka_server", "mqtt_server"]
OTHER = "other test: test_stream_brokers_alike.py::test_a_log_of_files"


@pytest.fixture(scope="module")
def frozen():
    """A judge of two channels."""
    return freeze(simulate_series("seasonal", days=60, step="1 h", random_state=4), window=24, n_surrogates=2)


@pytest.fixture(scope="module")
def bodies():
    """Thirty days of a sensor with a peak and a gap, a reading out of turn, one twice, and a message that is none."""
    table = simulate_series("seasonal", days=30, step="1 h", random_state=5)
    values = table["value"].to_numpy(copy=True)
    values[400] = 40.0
    times = table["time"].to_numpy("datetime64[ns]").astype(np.int64).tolist()
    sent = [("site_1/value", message_of(Reading("site_1", "value", *each)))
            for each in zip(times, values.tolist(), strict=True)]
    sent[100], sent[101] = sent[101], sent[100]
    return [*sent[:200], *sent[210:300], sent[299], ("site_1/value", b"nonsense"), *sent[300:]]


class Killed(BaseException):
    """In the place of SIGKILL: nothing of ours catches it."""


def through(url, bodies, frozen, place, steps):
    """The rows of a store that a stream was read into, with workers that die at steps."""
    broker = open_broker(url)
    broker.create_topic("sewers")
    if url.startswith("mqtt"):  # so that the server keeps what is sent
        first = broker.listen("sewers", "judges", start=lambda partition: None, lost=print, owner="first")
        first.read(1, 0.0)
        first.close()
    assert broker.send("sewers", bodies) == len(bodies)
    for step, turn in [*steps, (None, 0)]:
        left = [turn]

        def watch(name, step=step, left=left):
            left[0] -= name == step
            if name == step and left[0] < 0:
                raise Killed

        with open_store(place, {"topic": "sewers"}) as store:
            pipeline = Pipeline(Source(broker, "sewers"), frozen, store, wait=0.2, most=97, watch=watch)
            try:
                pipeline.run(until="end", final=step is None)
            except Killed:
                assert step
            else:
                assert step is None, f"nobody died at {step}"
    with open_store(place) as store:
        return [without_position(*json.loads(line)) for line in store.dump()]


def without_position(name, *cells):
    """A row of a store without its place in the stream, which each broker calls by a name of its own."""
    return name, {column: cell for column, cell in zip(TABLES[name].columns, cells, strict=True)
                  if column not in ("partition", "position")}


STEPS = [("judged", 0), ("stored", 2), ("told", 1), ("judged", 1), ("stored", 0)]


@pytest.fixture(scope="module")
def undisturbed(bodies, frozen, tmp_path_factory):
    """The rows through a log of files, with nobody dying."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return through(f"file://{folder}/topics", bodies, frozen, folder / "a.db", [])


def test_a_log_of_files(bodies, frozen, undisturbed, tmp_path):
    assert through(f"file://{tmp_path}/topics", bodies, frozen, tmp_path / "a.db", STEPS) == undisturbed


@pytest.mark.heavy
def test_kafka(bodies, frozen, undisturbed, tmp_path, tansu):
    pytest.importorskip("confluent_kafka", reason=f"no client of Kafka; {OTHER}")
    assert through(f"{tansu.url}?session=0.6", bodies, frozen, tmp_path / "a.db", STEPS) == undisturbed


def test_mqtt(bodies, frozen, undisturbed, tmp_path, mosquitto):
    """What was stored and not yet confirmed comes again: it stands in the table once, and is counted."""
    pytest.importorskip("paho.mqtt.client", reason=f"no client of MQTT; {OTHER}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = through(mosquitto.url, bodies, frozen, tmp_path / "a.db", STEPS)
    of_readings = ("verdicts", "stretches", "channels")
    assert [row for row in found if row[0] in of_readings] == [row for row in undisturbed if row[0] in of_readings]
    assert any(name == "dead" for name, _ in found)
    (twice,) = (row["n"] for name, row in found if name == "counts" and row["word"] == "duplicate")
    assert twice > 97
