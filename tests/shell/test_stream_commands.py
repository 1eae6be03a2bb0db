"""The commands for streams: what they move, print and refuse, and with which exit code they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.series.freezing import load_frozen
from oco2_outliers.series.judging import judge
from oco2_outliers.series.reading_files import read_series
from oco2_outliers.series.simulated import simulate_series
from oco2_outliers.streams import broker_parts, opening_brokers, opening_historians
from oco2_outliers.streams.endpoints import endpoint_of
from oco2_outliers.streams.file_broker import FileBroker, FileListener
from oco2_outliers.streams.historian_parts import HistorianAway
from oco2_outliers.streams.messages import read_message
from oco2_outliers.streams.result_store import open_store

DAYS = 40
BARE = "time,site,channel,value\n" + "".join(f"2021-01-01 0{hour}:00,A,v,{hour}\n" for hour in range(5))


@pytest.fixture(autouse=True)
def nobody_looks_on(monkeypatch):
    """Another test of this process may have brought in IPython's kernel, for which bars are shown."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


@pytest.fixture(scope="session")
def plant(tmp_path_factory):
    """A folder with the readings of two hourly sensors, and a model that was frozen on forty days of them."""
    folder = tmp_path_factory.mktemp("plant")
    whole = simulate_series("seasonal", days=DAYS + 6, step="1 h", random_state=1)
    whole = pd.concat([whole[["time", "site", "channel", "value"]].assign(site=site) for site in ("A", "B")])
    whole["time"] = pd.to_datetime(whole["time"], utc=True)
    begin = whole["time"].min() + pd.Timedelta(days=DAYS)
    whole[whole["time"] < begin].to_csv(folder / "history.csv", index=False)
    whole[whole["time"] >= begin].to_csv(folder / "new.csv", index=False)
    words = ["--window", "24", "--n-surrogates", "2", "-o", str(folder / "model.npz")]
    assert main(["series", "freeze", str(folder / "history.csv"), *words]) == 0
    return folder


@pytest.fixture
def work(plant, tmp_path, monkeypatch):
    """A folder to work in, with the readings and the model of the plant."""
    monkeypatch.chdir(tmp_path)
    for name in ("new.csv", "model.npz"):
        Path(name).symlink_to(plant / name)
    return tmp_path


class Memory:
    """A historian of two channels in memory."""

    def __init__(self, source="new.csv"):
        self.table = read_series(source).table
        self.asked = []

    def __str__(self):
        return "memory"

    def channels(self):
        return [("A", "value"), ("B", "value")]

    def read(self, site, channel, start=None, end=None, rows=50_000):
        self.asked.append((site, channel, start, end))
        times = self.table["time"]
        kept = (self.table["site"] == site) & ((start is None) | (times >= pd.Timestamp(start or 0, tz="UTC")))
        kept &= (end is None) | (times < pd.Timestamp(end or 0, tz="UTC"))
        yield self.table[kept][["time", "site", "channel", "value"]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def memory(work, monkeypatch):
    """`open_historian` gives a historian in memory; the calls are kept."""
    found, calls = Memory(), []
    monkeypatch.setattr(opening_historians, "open_historian", lambda *words: (calls.append(words), found)[1])
    found.opened = calls
    return found


def run(*words):
    return main(["series", *map(str, words)])


def listen(work, *words, topic="sewers", store="results.db"):
    return run("listen", f"file://{work}/broker", "--topic", topic, "--model", "model.npz", "--store", store, *words)


def send(work, *words, topic="sewers", source="new.csv"):
    return run("send", source, f"file://{work}/broker", "--topic", topic, *words)


def bodies(work, topic="sewers"):
    """The readings in a topic, in their order."""
    broker = FileBroker(endpoint_of(f"file://{work}/broker", ("file",), "broker"))
    listener = broker.listen(topic, "looking", start=lambda _: None, lost=lambda _: None, owner="test")
    found = [read_message(message.body)[0][0] for message in listener.read(10**6, 0.1)]
    listener.close()
    broker.close()
    return found


# ---------------------------------------------------------------- fetch

def test_fetch_writes_what_the_historian_has(memory, capsys):
    assert run("fetch", "sqlite:///plant.db", "value", "-o", "all.csv") == 0
    assert "wrote 288 readings of 2 channels to all.csv" in capsys.readouterr().out
    left, right = read_series("all.csv").table, read_series("new.csv").table
    pd.testing.assert_frame_equal(left.drop(columns="source"), right.drop(columns="source"))
    assert memory.opened == [("sqlite:///plant.db", None)]


def test_fetch_takes_a_site_and_a_span(memory, capsys):
    start = memory.table["time"].min()
    words = ["--site", "B", "--start", start.isoformat(), "--end", (start + pd.Timedelta(hours=5)).isoformat()]
    assert run("fetch", "sqlite:///plant.db", "value", "-o", "some.csv", *words) == 0
    assert run("fetch", "sqlite:///plant.db", "B/value", "-o", "same.csv", *words[2:]) == 0
    assert Path("same.csv").read_bytes() == Path("some.csv").read_bytes() and memory.asked.pop()
    assert memory.asked == [("B", "value", start.value, start.value + 5 * 3600 * 10**9)]
    assert len(pd.read_csv("some.csv")) == 5 and set(pd.read_csv("some.csv")["site"]) == {"B"}


def test_fetch_reads_the_configuration(memory):
    Path("streams.yaml").write_text("historian: {url: 'sqlite:///x.db', table: scada, columns: {value: reading}}")
    assert run("fetch", "-", "value", "-o", "some.csv", "--config", "streams.yaml") == 0
    assert memory.opened == [("sqlite:///x.db", {"table": "scada", "value": "reading"})]


def test_a_table_is_not_replaced_and_nothing_half_written_stays(memory, monkeypatch, capsys):
    Path("some.csv").write_text("mine")
    assert run("fetch", "sqlite:///plant.db", "value", "-o", "some.csv") == 2
    assert "--overwrite" in capsys.readouterr().err and Path("some.csv").read_text() == "mine"

    def away(*words, **more):
        yield memory.table.head(3)
        raise HistorianAway("historian: no answer for 60 s")

    monkeypatch.setattr(memory, "read", away)
    before = sorted(os.listdir())
    assert run("fetch", "sqlite:///plant.db", "value", "-o", "some.csv", "--overwrite") == 3
    said = capsys.readouterr().err
    assert said == "oco2-outliers: historian: no answer for 60 s\n" and sorted(os.listdir()) == before
    assert Path("some.csv").read_text() == "mine"


# ---------------------------------------------------------------- send

def test_send_brings_every_reading_in_the_order_of_time(work, capsys):
    assert send(work, "--create") == 0
    assert "made the topic sewers\nsent 288 messages of 2 channels to sewers\n" in capsys.readouterr().out
    table = read_series("new.csv").table
    found = bodies(work)
    assert [each.time for each in found] == sorted(each.time for each in found)
    wanted = {(site, time.value): value for site, time, value in zip(table["site"], table["time"], table["value"])}
    assert {(each.site, each.time): each.value for each in found} == wanted


def test_send_takes_a_historian_a_site_and_a_span(memory, work):
    start = memory.table["time"].min()
    until = (start + pd.Timedelta(hours=3)).isoformat()
    assert send(work, "--create", "--site", "A", "--end", until, source="sqlite:///plant.db") == 0
    assert [each.site for each in bodies(work)] == ["A"] * 3
    assert send(work, "--site", "B", "--channel", "value", "--end", until) == 0
    assert [each.site for each in bodies(work)] == ["A"] * 3 + ["B"] * 3


def test_dead_letters_are_told_by_reason_and_nothing_else_is_a_failure(work, capsys):
    broker = FileBroker(endpoint_of(f"file://{work}/broker", ("file",), "broker"))
    broker.create_topic("odd", 1)
    broker.send("odd", [("k", b"no reading"), ("k", b"none either"), ("k", b'{"site": 1')])
    assert listen(work, "--until", "end", topic="odd", store="odd.db") == 2
    told = capsys.readouterr()
    assert "3 dead letters" in told.out and " dead: " in told.out
    assert "none of 3 messages held a reading that could be judged" in told.err
    assert send(work, topic="odd") == 0
    assert listen(work, "--until", "end", topic="odd", store="odd.db") == 0
    broker.close()


def test_send_keeps_a_pace(work, monkeypatch):
    from oco2_outliers.streams import moving

    slept = []
    monkeypatch.setattr(moving.paced, "__defaults__", (None, lambda: sum(slept), slept.append))
    assert send(work, "--create", "--speed", "60") == 0
    assert slept[:3] == [60.0, 60.0, 60.0] and len(slept) == 6 * 24 - 1


def test_times_without_a_zone_are_sent_as_utc_or_in_a_zone(work, capsys):
    Path("bare.csv").write_text(BARE)
    assert send(work, "--create", source="bare.csv") == 0
    assert "note: times without a zone are sent as UTC" in capsys.readouterr().out
    assert send(work, "--create", "--timezone", "Europe/Berlin", source="bare.csv", topic="zoned") == 0
    first, zoned = bodies(work)[0], bodies(work, "zoned")[0]
    assert first.time - zoned.time == 3600 * 10**9 and first.time == pd.Timestamp("2021-01-01").value


@contextmanager
def broker_that(monkeypatch, error, after):
    """A broker that fails after some messages."""
    class Bad:
        closed = sent = 0

        def create_topic(self, topic, partitions=1):
            return True

        def send(self, topic, messages):
            if self.sent >= after:
                raise error
            self.sent += len(messages)
            return len(messages)

        def close(self):
            Bad.closed += 1

    monkeypatch.setattr(opening_brokers, "open_broker", lambda url: Bad())
    yield
    assert Bad.closed == 1


@pytest.mark.parametrize("error, code", [(broker_parts.BrokerAway("broker: no answer for 60 s"), 3),
                                         (broker_parts.TopicMissing("no topic sewers: make it (--create)"), 2)])
def test_a_broker_that_fails_is_told_in_one_line_with_what_was_sent(work, monkeypatch, capsys, error, code):
    from oco2_outliers.streams import moving

    monkeypatch.setattr(moving, "_TOGETHER", 100)
    with broker_that(monkeypatch, error, 200):
        assert send(work) == code
    assert capsys.readouterr().err == f"oco2-outliers: {error}; 200 messages had been sent before\n"


# ---------------------------------------------------------------- listen, replay, lag

def test_what_was_listened_to_equals_judge_and_replays(work, capsys):
    assert send(work, "--create") == 0
    assert run("lag", "results.db", f"file://{work}/broker") == 2  # no store yet
    assert listen(work, "--max-messages", "100") == 0
    assert "100 messages: " in capsys.readouterr().out
    assert run("lag", "results.db", f"file://{work}/broker") == 0
    assert "188 messages behind in 1 partition\n" in capsys.readouterr().out
    assert listen(work, "--until", "end", "--final", "--wait", "100 ms") == 0
    assert "stopped: the source holds nothing more" in capsys.readouterr().out
    assert run("replay", "results.db") == 0
    assert "computed again: no difference" in capsys.readouterr().out
    assert run("replay", "results.db", "--broker", f"file://{work}/broker") == 0
    with open_store("results.db") as store:
        found, wanted = store.points(), judge(read_series("new.csv"), model=load_frozen("model.npz")).points
        assert store.about["lateness"] == "3" and store.about["model file"] == str(work / "model.npz")
    wanted = wanted.sort_values(["site", "channel", "time"], ignore_index=True)
    found = found.sort_values(["site", "channel", "time"], ignore_index=True)
    assert np.array_equal(found["score"], wanted["score"], equal_nan=True) and len(found) == 288
    assert found["outlier"].tolist() == wanted["outlier"].tolist()


def test_a_store_that_somebody_changed_is_told_by_replay(work, capsys):
    import sqlite3

    assert send(work, "--create") == 0 and listen(work, "--until", "end", "--final", "--wait", "0.1") == 0
    with sqlite3.connect("results.db") as base:
        base.execute("UPDATE verdicts SET score = score + 1 WHERE site = 'A' AND time IN (SELECT time FROM verdicts "
                     "WHERE site = 'A' AND score > 0 LIMIT 2)")
    base.close()
    assert run("replay", "results.db", "--most", "1") == 1
    said = capsys.readouterr().out
    assert "computed again: 2 differences, the first 1 of them:" in said and "score is" in said


def test_other_settings_are_refused_and_a_reset_moves_the_store_away(work, capsys):
    assert send(work, "--create") == 0 and listen(work, "--max-messages", "9") == 0
    capsys.readouterr()
    assert listen(work, "--lateness", "5", "--max-messages", "9") == 2
    assert "another configuration" in capsys.readouterr().err
    assert listen(work, "--lateness", "5", "--max-messages", "9", "--reset") == 0
    assert "the old store is now" in capsys.readouterr().out and Path("results.db.old-1").is_file()
    assert run("replay", "results.db", "--model", "absent.npz") == 2
    assert "give --model" in capsys.readouterr().err


def test_a_configuration_is_enough(work):
    assert send(work, "--create") == 0
    Path("streams.yaml").write_text(f"broker: {{url: 'file://{work}/broker', topic: sewers}}\nstore: results.db\n"
                                    "model: model.npz\nlateness: 4\nbatch: {wait: 100 ms}\n")
    assert run("listen", "--config", "streams.yaml", "--until", "end") == 0
    with open_store("results.db") as store:
        assert store.about["lateness"] == "4" and store.tally()["judged"] == 288
    assert run("lag", "results.db", "-", "--config", "streams.yaml") == 0
    assert run("listen", "-", "--config", "streams.yaml", "--lateness", "3", "--until", "end") == 2


def test_sigterm_ends_it_after_a_batch_with_exit_code_0(work, monkeypatch, capsys):
    assert send(work, "--create") == 0
    read = FileListener.read

    def interrupted(self, most, wait):
        os.kill(os.getpid(), signal.SIGTERM)
        return read(self, most, wait)

    monkeypatch.setattr(FileListener, "read", interrupted)
    assert listen(work, "--most", "50") == 0
    said = capsys.readouterr().out
    assert "50 messages: " in said and "stopped: it was told to" in said
    monkeypatch.setattr(FileListener, "read", read)
    assert listen(work, "--until", "end") == 0 and "238 messages: " in capsys.readouterr().out


def test_a_store_that_was_made_for_a_topic_that_is_not_there_goes_again(work, capsys):
    assert send(work, "--create") == 0
    assert listen(work, topic="sewer") == 2 and not Path("results.db").exists()
    assert listen(work, "--max-messages", "5") == 0
    assert listen(work, topic="sewer") == 2 and Path("results.db").is_file()


# ---------------------------------------------------------------- what is refused

URL = "file://./broker"
REFUSED = {
    "no broker": (["listen", "--topic", "a", "--model", "model.npz", "--store", "s.db"], "no broker.url is given"),
    "no topic": (["send", "new.csv", URL], "no broker.topic is given"),
    "no model": (["listen", URL, "--topic", "a", "--store", "s.db"], "no model is given"),
    "no store": (["listen", URL, "--topic", "a", "--model", "model.npz"], "no store is given"),
    "no historian": (["fetch", "-", "value", "-o", "a.csv"], "no historian.url is given"),
    "a dash and no broker": (["lag", "s.db", "-"], "no broker.url is given"),
    "no such model": (["listen", URL, "--topic", "a", "--model", "none.npz", "--store", "s.db"], "none.npz"),
    "a model that is a table": (["listen", URL, "--topic", "a", "--model", "new.csv", "--store", "s.db"], "new.csv"),
    "no such topic": (["listen", URL, "--topic", "a", "--model", "model.npz", "--store", "s.db"],
                      "no topic a: make it first"),
    "no such table": (["send", "none.csv", URL, "--topic", "a"], "no such file: none.csv"),
    "a table of nothing": (["send", "empty.csv", URL, "--topic", "a"], "empty.csv"),
    "no such site": (["send", "new.csv", URL, "--topic", "a", "--site", "C"], "no channel 'C'; there are A / value"),
    "no such channel": (["send", "new.csv", URL, "--topic", "a", "--channel", "x"], "there is no channel 'x'"),
    "no such channel there": (["send", "new.csv", URL, "--topic", "a", "--site", "A", "--channel", "x"], "'A / x'"),
    "a speed of zero": (["send", "new.csv", URL, "--topic", "a", "--speed", "0"], "speed must be a finite number"),
    "a speed of nan": (["send", "new.csv", URL, "--topic", "a", "--speed", "nan"], "speed must be a finite number"),
    "a speed in words": (["send", "new.csv", URL, "--topic", "a", "--speed", "fast"], "--speed"),
    "no partitions": (["send", "new.csv", URL, "--topic", "a", "--partitions", "0"], "--partitions"),
    "a start that is no time": (["send", "new.csv", URL, "--topic", "a", "--start", "soon"], "time 'soon' is neither"),
    "a start after the end": (["send", "new.csv", URL, "--topic", "a", "--start", "2014-01-02", "--end", "2014-01-01"],
                              "must lie before the end"),
    "seconds for a start": (["send", "new.csv", URL, "--topic", "a", "--start", "1364299200"], "no count of nano"),
    "no such zone": (["send", "bare.csv", URL, "--topic", "a", "--timezone", "Moon/Crater"], "Moon/Crater"),
    "a password in the broker": (["send", "new.csv", "redis://me:hunter2@one", "--topic", "a"], "take it out"),
    "a password in the historian": (["fetch", "postgresql://me:hunter2@one/x", "value", "-o", "a.csv"], "take it out"),
    "a password in an option": (["listen", "kafka://one/?password=hunter2", "--topic", "a"], "take it out"),
    "a table of another ending": (["fetch", "sqlite:///p.db", "value", "-o", "a.txt"], "--out must end in .csv"),
    "a table on a server": (["fetch", "sqlite:///p.db", "value", "-o", "http://one/a.csv"], "path of this disk"),
    "a table in no folder": (["fetch", "sqlite:///p.db", "value", "-o", "none/a.csv"], "no such folder: none"),
    "no such configuration": (["listen", "--config", "none.yaml"], "no such file: none.yaml"),
    "a slip in the configuration": (["listen", "--config", "slip.yaml"], "unknown key 'latness' (nearest: lateness)"),
    "a secret in the configuration": (["listen", "--config", "secret.yaml"], "'password' is a secret"),
    "an unknown form": (["listen", URL, "--topic", "a", "--form", "xml"], "form must be auto, json, csv, influx"),
    "a lateness below zero": (["listen", URL, "--lateness", "-1"], "lateness must be a whole number"),
    "an empty batch": (["listen", URL, "--most", "0"], "batch.most must be a whole number"),
    "a wait in apples": (["listen", URL, "--wait", "5 apples"], "batch.wait must be a span of time"),
    "a port that is none": (["listen", URL, "--health-port", "70000"], "health.port must be a whole number"),
    "a store that is a table": (["listen", URL, "--topic", "a", "--model", "model.npz", "--store", "new.csv"], "new.c"),
    "a model that is there": (["freeze", "new.csv", "-o", "model.npz"], "--overwrite"),
    "a model of another ending": (["freeze", "new.csv", "-o", "model.pkl"], "--out must end in .npz"),
    "a window in words": (["freeze", "new.csv", "-o", "m.npz", "--window", "soon"], "--window"),
    "no such check": (["freeze", "new.csv", "-o", "m.npz", "--leave-out", "magic"], "there is no check 'magic'"),
    "an alpha of zero": (["freeze", "new.csv", "-o", "m.npz", "--alpha", "0"], "alpha must be a finite number above 0"),
    "no such store": (["replay", "none.db"], "none.db (series listen makes one)"),
    "a table to replay": (["replay", "slip.yaml"], "slip.yaml"),
    "a lag of no store": (["lag", "none.db", URL], "none.db"),
    "a topic of odd letters": (["send", "new.csv", URL, "--topic", "../../etc", "--create"], "../../etc"),
    "a word too many": (["lag", "s.db", URL, "more"], "more"),
}


@pytest.fixture
def odd(work):
    Path("empty.csv").write_text("")
    Path("bare.csv").write_text(BARE)
    Path("slip.yaml").write_text("latness: 3")
    Path("secret.yaml").write_text("broker: {password: hunter2}")
    return work


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_in_one_line(name, odd, capsys):
    words, why = REFUSED[name]
    before = sorted(os.listdir())
    code, line = main(["series", *words]), capsys.readouterr().err
    assert code == 2 and line.count("\n") == 1 and why in line, (code, line)
    assert "Error:" not in line and "hunter2" not in line
    assert sorted(os.listdir()) == before


def test_help_imports_nothing_of_streams():
    code = ("import sys; from oco2_outliers.cli import main\n"
            "assert main(['series', '--help']) == 0 and main(['series', 'listen', '--help']) == 0\n"
            "print([m for m in sys.modules if m.startswith('oco2_outliers.streams.') or m in "
            "('pandas', 'numpy', 'yaml', 'sqlite3', 'confluent_kafka', 'redis', 'paho', 'cassandra', 'sqlalchemy')])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_first_verdict_needs_no_estimators(work):
    """A pod judges its first reading before it could have loaded what learning, drawing and calibrating need."""
    send(work, "--create")
    words = ["listen", f"file://{work}/broker", "--topic", "sewers", "--model", "model.npz", "--store", "results.db"]
    code = ("import sys; from oco2_outliers.cli import main\n"
            f"assert main({['series', *words, '--max-messages', '200']}) == 0\n"
            "print([m for m in ('sklearn', 'scipy.stats', 'scipy.signal', 'matplotlib', 'cv2', 'fsspec', 'asyncio', "
            "'oco2_outliers.series.detectors', 'oco2_outliers.isolation') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "200 readings judged" in done.stdout and done.stdout.splitlines()[-1] == "[]"
    with open_store("results.db") as store:
        assert len(store.points()) == 200


def test_every_command_has_help(capsys):
    for name in ("fetch", "send", "listen", "replay", "lag", "freeze"):
        assert run(name, "--help") == 0
        assert f"series {name} [OPTIONS]" in capsys.readouterr().out
