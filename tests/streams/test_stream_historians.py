"""One set of behaviours over all historians: a file of SQLite, a folder of Parquet, PostgreSQL, Cassandra.

PostgreSQL is a real server. Of Cassandra only the client is proven: the real driver speaks to `cql_stub.py`.
"""

import logging
import math
import shutil
import sqlite3
import ssl
import sys
import tempfile
import threading
import uuid

import numpy as np
import pandas as pd
import pytest
from certificates import certificate
from cql_stub import Column, CqlStub, Fault, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import PASSWORD, USER, PostgresServer

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.files import MACHINE
from oco2_outliers.streams import file_historians
from oco2_outliers.streams.cassandra_tables import Buckets
from oco2_outliers.streams.endpoints import endpoint_of
from oco2_outliers.streams.file_broker import FileBroker
from oco2_outliers.streams.historian_parts import FIRST_TIME, LAST_TIME, HistorianAway
from oco2_outliers.streams.messages import read_message
from oco2_outliers.streams.moving import Asked, outgoing, sending
from oco2_outliers.streams.opening_historians import open_historian

SECRET = "OCO2_HISTORIAN_PASSWORD"
HOSTILE = ["../x", "..", "/etc/passwd", "a/b\\c", "'; DROP TABLE readings; --", '"; DROP TABLE readings; --',
           "x' OR '1'='1", "<script>alert(1)</script>", "%s%(x)s{}:p", "🌊 niveau", "a\nb\tc\x1b[31m", " ", "NUL",
           "CON.parquet", "a" * 1000, "NULL", "nan", "?", "$1", "ä", "a\u0308"]


@pytest.fixture(scope="session")
def postgres():
    """The server of all tests."""
    pytest.importorskip("psycopg", reason="no psycopg; other test: the same calls with [sqlite]")
    try:
        server = PostgresServer()
    except FileNotFoundError as error:
        pytest.skip(f"{error}; other test: the same calls with [sqlite]")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def schema(postgres, monkeypatch):
    """The options of a new and empty place of the server."""
    monkeypatch.setenv(SECRET, PASSWORD)
    name = f"s{uuid.uuid4().hex[:12]}"
    postgres.run(f"CREATE SCHEMA {name}")
    return {"schema": name}


@pytest.fixture
def stub():
    """A server that speaks as Cassandra does, in as far as the client needs it."""
    pytest.importorskip("cassandra", reason="no cassandra-driver; other test: the same calls with [sqlite]")
    with CqlStub() as server:
        yield server


@pytest.fixture(params=["sqlite", "folder", "postgresql", "cassandra"])
def address(request, tmp_path):
    """The address of a new and empty historian of each kind."""
    if request.param == "postgresql":
        place = request.getfixturevalue("schema")
        return request.getfixturevalue("postgres").url(**place)
    if request.param == "cassandra":
        return request.getfixturevalue("stub").url()
    return f"sqlite:///{tmp_path}/plant.db" if request.param == "sqlite" else f"file://{tmp_path}/plant"


@pytest.fixture
def historian(address):
    """A new and empty historian of each kind."""
    with open_historian(address) as opened:
        yield opened


def frame_of(times, values, site="NE001", channel="level"):
    """Readings of one channel; times in nanoseconds."""
    when = pd.to_datetime(pd.Series(times, dtype="int64"), unit="ns", utc=True)
    return pd.DataFrame({"time": when, "site": pd.Series([site] * len(times), dtype="str"),
                         "channel": pd.Series([channel] * len(times), dtype="str"),
                         "value": np.asarray(values, np.float64)})


def all_of(historian, site="NE001", channel="level", **span):
    """All frames of a channel as one."""
    frames = list(historian.read(site, channel, **span))
    return pd.concat(frames, ignore_index=True) if frames else frame_of([], [])


def pairs_of(frame):
    """Times and values, so that NaN equals NaN."""
    return [(time.value, None if math.isnan(value) else value) for time, value in zip(frame.time, frame.value)]


def refused(call, *given, match, kind=InputError, **named):
    """The one line with which a call is refused."""
    with pytest.raises(kind, match=match) as told:
        call(*given, **named)
    assert "\n" not in str(told.value) and "hunter2" not in str(told.value)
    return str(told.value)


# ---------------------------------------------------------------- one set of behaviours

EDGES = [FIRST_TIME, -(10**18) - 1, -1, 0, 1, 1_364_299_200_123_456_789, 4_200_000_000_123_456_789, LAST_TIME]


def test_what_was_written_comes_back(historian):
    values = [0.1, -0.0, math.nan, 5e-324, -1.7976931348623157e308, 1 / 3, 2**53 + 2.0, -7]
    frame = frame_of(EDGES, values)
    assert historian.write(frame) == 8
    back = all_of(historian)
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert back.dtypes.astype(str).tolist() == ["datetime64[ns, UTC]", "str", "str", "float64"]
    assert math.copysign(1, back.value[1]) == 1 and historian.channels() == [("NE001", "level")]


def test_a_span_is_half_open_and_in_order(historian):
    times = [60, 20, 40, 0, 80]
    historian.write(frame_of(times, times))
    assert all_of(historian, start=20, end=60).value.tolist() == [20, 40]
    assert all_of(historian).value.tolist() == sorted(times)
    cut = [all_of(historian, start=a, end=b).value.tolist() for a, b in ((None, 20), (20, 60), (60, None))]
    assert sum(cut, []) == sorted(times)
    for empty in ({"start": 20, "end": 20}, {"start": 81}, {"end": 0}, {"start": 41, "end": 60}):
        assert list(historian.read("NE001", "level", **empty)) == []
    assert all_of(historian, start="1970-01-01T00:00:00.00000004Z").value.tolist() == [40, 60, 80]


def test_frames_are_bounded(historian):
    historian.write(frame_of(range(7), range(7)))
    frames = list(historian.read("NE001", "level", rows=3))
    assert [len(frame) for frame in frames] == [3, 3, 1] and [frame.index[0] for frame in frames] == [0, 0, 0]
    assert [len(frame) for frame in historian.read("NE001", "level", rows=7)] == [7]
    first = historian.read("NE001", "level", rows=1)
    assert next(first).value[0] == 0
    first.close()
    assert len(all_of(historian)) == 7


def test_a_channel_may_cross_months_and_years(historian):
    times = pd.date_range("1969-11-15", periods=6, freq="21D", tz="UTC", unit="ns").asi8
    historian.write(frame_of(times, range(6)))
    assert all_of(historian, rows=2).value.tolist() == [0, 1, 2, 3, 4, 5]
    assert all_of(historian, start=int(times[2]), end="1970-01-20").value.tolist() == [2, 3]


def test_nothing_stands_twice(historian):
    frame = frame_of([1, 2, 3], [0.5, math.nan, 7])
    assert historian.write(frame) == 3 and historian.write(frame) == 0
    assert historian.write(pd.concat([frame, frame_of([0, 4, 4], [1, 2, 2])])) == 2
    assert pairs_of(all_of(historian)) == [(0, 1), (1, 0.5), (2, None), (3, 7), (4, 2)]


def test_another_value_is_refused_and_nothing_written(historian):
    historian.write(frame_of([1, 2, 3], [0.5, math.nan, 7]))
    for time, value in ((1, 0.25), (2, 1.0), (3, math.nan), (3, np.nextafter(7, 8))):
        more = pd.concat([frame_of([5], [1], "AA"), frame_of([time, 4], [value, 4]), frame_of([5], [1], "ZZ")])
        refused(historian.write, more, match="channel 'level' at site 'NE001' has the value .* nothing was written")
    assert pairs_of(all_of(historian)) == [(1, 0.5), (2, None), (3, 7)] and historian.channels() == [("NE001", "level")]


def test_names_do_no_harm(historian, tmp_path):
    outside = set(tmp_path.parent.iterdir())
    frames = [frame_of([n], [n], name, HOSTILE[-n]) for n, name in enumerate(HOSTILE)]
    assert historian.write(pd.concat(frames)) == len(HOSTILE) == historian.write(pd.concat(frames)) + len(HOSTILE)
    for n, name in enumerate(HOSTILE):
        assert pairs_of(all_of(historian, name, HOSTILE[-n])) == [(n, n)]
    assert historian.channels() == sorted((name, HOSTILE[-n]) for n, name in enumerate(HOSTILE))
    assert set(tmp_path.parent.iterdir()) == outside


BAD = [({"site": "x" * 10_000}, "10,000 bytes"), ({"channel": ""}, "not empty"), ({"site": "a\0b"}, "number zero"),
       ({"channel": "\ud800"}, "UTF-8"), ({"time": pd.NaT}, "no time in row"), ({"value": math.inf}, "infinite"),
       ({"value": "high"}, "must hold numbers"), ({"site": None}, "missing in row")]


def test_what_cannot_be_kept_is_refused(historian):
    good = pd.concat([frame_of([1], [1], "AA"), frame_of([1, 2], [1, 2])], ignore_index=True)
    for change, words in BAD:
        (name, value), = change.items()
        kind = "datetime64[ns, UTC]" if name == "time" else object if isinstance(value, str | None) else float
        bad = good.assign(**{name: pd.Series([*good[name].tolist()[:2], value], dtype=kind)})
        refused(historian.write, bad, match=words)
        if name in ("site", "channel") and value is not None:
            refused(historian.read, **({"site": "a", "channel": "b"} | change), match=words)
    assert historian.write(good) == 3


def test_an_absent_channel_is_told(historian):
    historian.write(pd.concat([frame_of([1], [1], "<b>", "level"), *(frame_of([1], [1], "B", c) for c in "vwxy")]))
    line = refused(next, historian.read("<b>", "levle"), match="there is no channel 'levle' at site '<b>'; there are ")
    assert "('<b>', 'level')" in line and "and others" in line
    refused(next, historian.read("b", "level", start=5), match="there is no channel")


def test_a_writer_does_not_disturb_a_reader(historian, address):
    historian.write(frame_of(range(0, 60, 10), range(6)))
    frames = historian.read("NE001", "level", rows=2)
    got = next(frames).value.tolist()
    with open_historian(address) as other:
        assert other.write(frame_of([55, 1000], [9, 9])) == 2
    got += [value for frame in frames for value in frame.value]
    assert [value for value in got if value != 9] == [0, 1, 2, 3, 4, 5]
    assert len(all_of(historian)) == 8


def test_two_who_write_the_same_write_it_once(address):
    frame = frame_of(range(400), range(400))
    parts, counts, errors = [frame[start:start + 100] for start in range(0, 400, 50)], [], []

    def write(order):
        try:
            with open_historian(address) as historian:
                counts.extend(historian.write(parts[place]) for place in order)
        except Exception as error:
            errors.append(error)

    with open_historian(address) as historian:
        historian.write(frame_of([10**9], [1]))  # so that nobody has to make it
    threads = [threading.Thread(target=write, args=(order,)) for order in (range(8), range(7, -1, -1))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with open_historian(address) as historian:
        assert errors == [] and pairs_of(all_of(historian))[:-1] == pairs_of(frame)
    if not address.startswith("cassandra"):  # which compares first, and does not know what another one is sending
        assert sum(counts) == 400


READINGS = st.lists(st.tuples(st.sampled_from(EDGES + list(range(20))), st.sampled_from(["a", "b"])), unique=True,
                    max_size=25)


@settings(max_examples=10)
@given(READINGS, st.data())
@pytest.mark.parametrize("kind", [".db", ""], ids=["sqlite", "folder"])
def test_any_cut_and_any_repetition_give_the_same(kind, readings, data):
    whole = pd.concat([frame_of([], []), *(frame_of([time], [time % 7], "s", name) for time, name in readings)])
    with tempfile.TemporaryDirectory() as folder, open_historian(f"{folder}/x{kind}") as historian:
        fresh = 0
        for _ in range(3):
            places = data.draw(st.lists(st.integers(0, max(len(whole) - 1, 0)), max_size=20)) if len(whole) else []
            fresh += historian.write(whole.iloc[places])
        fresh += historian.write(whole)
        assert fresh == len(readings)
        for name in {name for _, name in readings}:
            expected = sorted((time, time % 7) for time, each in readings if each == name)
            assert pairs_of(all_of(historian, "s", name, rows=3)) == expected


def test_a_closed_historian_opens_again(historian):
    historian.write(frame_of([1], [1]))
    historian.close()
    historian.close()
    assert historian.write(frame_of([1, 2], [1, 2])) == 1 and len(all_of(historian)) == 2


# ---------------------------------------------------------------- SQLite

@pytest.fixture
def lite(tmp_path):
    """The path of a file with some readings."""
    with open_historian(f"sqlite:///{tmp_path}/plant.db") as historian:
        historian.write(frame_of(range(2000), range(2000)))
    return tmp_path / "plant.db"


def test_sqlite_that_is_cut_or_no_database(lite):
    data = lite.read_bytes()
    lite.write_bytes(data[:len(data) // 2 + 100])
    refused(all_of, open_historian(lite), match="plant.db: the file is damaged or was cut")
    lite.write_bytes(b"not a database " * 100)
    refused(all_of, open_historian(lite), match="is no SQLite database")
    refused(open_historian(lite).write, frame_of([1], [1]), match="is no SQLite database")
    lite.unlink()
    refused(all_of, open_historian(lite), match="no such historian", kind=FileNotFoundError)
    assert not lite.exists()


def test_sqlite_that_is_locked(lite):
    other = sqlite3.connect(lite, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    historian = open_historian(f"sqlite:///{lite}?timeout=0.05")
    refused(historian.write, frame_of([1], [1]), match="another program is writing: try again")
    refused(all_of, historian, match="another program is writing: try again")
    other.execute("ROLLBACK")
    other.close()
    assert historian.write(frame_of([9999], [1])) == 1
    historian.close()


def test_sqlite_of_another_program(tmp_path):
    with sqlite3.connect(tmp_path / "scada.db") as other:
        other.execute("CREATE TABLE Log (Tag TEXT, Kind TEXT, T INTEGER, V, PRIMARY KEY (T, Kind, Tag))")
        other.executemany("INSERT INTO Log VALUES ('NE001', 'level', ?, ?)", [(2, 5), (1, 0.5), (3, None)])
        other.execute("INSERT INTO Log VALUES (NULL, 'level', 1, 1)")
    other.close()
    url = f"sqlite:///{tmp_path}/scada.db?table=Log&site=Tag&channel=Kind&time=T&value=V"
    with open_historian(url) as historian:
        assert pairs_of(all_of(historian)) == [(1, 0.5), (2, 5), (3, None)]
        assert historian.channels() == [("NE001", "level")]
        assert historian.write(frame_of([3, 4], [math.nan, 1])) == 1
    with sqlite3.connect(tmp_path / "scada.db") as other:
        other.execute("INSERT INTO Log VALUES ('NE001', 'level', 5, 'high')")
    other.close()
    with open_historian(url) as historian:
        refused(all_of, historian, match="the value 'high' is no number")


def test_sqlite_on_a_full_disk(lite):
    historian = open_historian(lite)
    historian.connection().execute("PRAGMA max_page_count = 20")
    refused(historian.write, frame_of(range(5000, 50_000), range(45_000)), match="disk is full, nothing was written")
    assert len(all_of(historian)) == 2000 and historian.write(frame_of([2000], [1])) == 1
    historian.close()


# ---------------------------------------------------------------- a folder of Parquet

def test_a_folder_of_other_files_is_no_historian(tmp_path):
    frame_of([1], [1]).to_parquet(tmp_path / "readings.parquet")
    for call in (lambda opened: opened.channels(), lambda opened: opened.write(frame_of([1], [1])), all_of):
        refused(call, open_historian(tmp_path), match="has files but no channels.json: it is no historian")


def test_a_foreign_file_in_the_folder_of_a_channel(tmp_path):
    historian = open_historian(tmp_path / "plant")
    historian.write(frame_of([1], [1]))
    month = next((tmp_path / "plant").glob("*/1970-01.parquet"))
    shutil.copy(month, month.with_name("copy of 1970-01.parquet"))
    assert len(all_of(historian)) == 1
    shutil.copy(month, month.with_name("1970-02.parquet"))
    refused(all_of, historian, match="1970-02.parquet holds readings of another month")
    pd.DataFrame({"time": [1], "value": [1.0]}).to_parquet(month.with_name("1970-02.parquet"))
    refused(all_of, historian, match="1970-02.parquet is no month of readings")
    refused(historian.write, frame_of([3 * 10**15], [1]), match="1970-02.parquet is no month of readings")


def test_a_write_that_is_stopped_is_finished_by_the_same_write(tmp_path, monkeypatch):
    historian = open_historian(tmp_path / "plant")
    times = pd.date_range("2013-01-01", periods=4, freq="31D", tz="UTC", unit="ns").asi8
    plain, calls = file_historians._write_month, []

    def stopped(path, piece):
        calls.append(path.name)
        if len(calls) == 3:
            (path.parent / f".{path.name}.{MACHINE}-1-00000000.part").write_bytes(b"half")
            raise KeyboardInterrupt
        plain(path, piece)

    monkeypatch.setattr(file_historians, "_write_month", stopped)
    with pytest.raises(KeyboardInterrupt):
        historian.write(frame_of(times, range(4)))
    monkeypatch.setattr(file_historians, "_write_month", plain)
    assert all_of(historian).value.tolist() == [0, 1]
    assert historian.write(frame_of(times, range(4))) == 2 and all_of(historian).value.tolist() == [0, 1, 2, 3]


def test_a_folder_that_is_locked(tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="no such locks; other test: test_sqlite_that_is_locked")
    historian = open_historian(tmp_path / "plant", {"timeout": "0.05"})
    historian.write(frame_of([1], [1]))
    with open(tmp_path / "plant" / ".writing", "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused(historian.write, frame_of([2], [1]), match="another program is writing: try again")
    assert historian.write(frame_of([2], [1])) == 1


def test_links_within_the_folder_are_not_followed(tmp_path):
    historian = open_historian(tmp_path / "plant")
    historian.write(frame_of([1], [1]))
    month = next((tmp_path / "plant").glob("*/1970-01.parquet"))
    outside = tmp_path / "outside.parquet"
    month.rename(outside)
    month.symlink_to(outside)
    refused(all_of, historian, match="symbolic link")
    refused(historian.write, frame_of([2], [1]), match="symbolic link")


# ---------------------------------------------------------------- PostgreSQL

def test_postgres_tells_what_is_wrong(postgres, schema, monkeypatch):
    refused(all_of, open_historian(postgres.url(table="none")), match="no table none: name another by")
    refused(open_historian(postgres.url(schema="none")).write, frame_of([1], [1]), match="no schema of that name")
    other = postgres.url().replace("/postgres?", "/none?")
    refused(all_of, open_historian(other), match="no database of that name")
    monkeypatch.setenv(SECRET, "wrong-hunter2")
    refused(all_of, open_historian(postgres.url()), match="wrong user or password")
    monkeypatch.delenv(SECRET)
    refused(all_of, open_historian(postgres.url()), match="wrong user or password")
    silent = postgres.url().replace(f":{postgres.port}", ":1")
    refused(all_of, open_historian(silent), match="the server cannot be reached", kind=HistorianAway)


def test_postgres_needs_its_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    opened = open_historian("postgresql://127.0.0.1/plant")
    refused(all_of, opened, match=r'psycopg is not installed: pip install "oco2_outliers\[stream\]"')


def test_postgres_password_from_a_file(postgres, schema, tmp_path, monkeypatch):
    monkeypatch.delenv(SECRET)
    (tmp_path / "word").write_text(PASSWORD + "\n")
    monkeypatch.setenv(f"{SECRET}_FILE", str(tmp_path / "word"))
    with open_historian(postgres.url(**schema)) as historian:
        assert historian.write(frame_of([1], [1])) == 1 and PASSWORD not in repr(historian)


def test_postgres_of_another_program(postgres, schema):
    where = schema["schema"]
    postgres.run(f'CREATE TABLE {where}."Log" (sensor int, kind varchar(20), "T" timestamptz, v double precision, '
                 f'quality int, UNIQUE (sensor, kind, "T"))',
                 f"INSERT INTO {where}.\"Log\" VALUES (17, 'level', '2013-03-26 12:00:00.000001+01', 0.5, 1), "
                 f"(17, 'level', '2013-03-26 12:00:00+01', NULL, 2), (18, 'level', '1969-12-31', 3, 2)")
    names = {"table": "Log", "site": "sensor", "channel": "kind", "time": "T", "value": "v"}
    with open_historian(postgres.url(**schema), names) as historian:
        noon = pd.Timestamp("2013-03-26 11:00", tz="UTC").value
        assert pairs_of(all_of(historian, "17")) == [(noon, None), (noon + 1000, 0.5)]
        assert pairs_of(all_of(historian, "17", start=noon + 1)) == [(noon + 1000, 0.5)]
        assert pairs_of(all_of(historian, "17", end=noon + 999)) == [(noon, None)]
        assert historian.channels() == [("17", "level"), ("18", "level")]
        assert historian.write(frame_of([noon, noon + 2000], [math.nan, 7], "17")) == 1
        refused(historian.write, frame_of([noon + 1], [1], "17"), match="would lose digits")
        refused(historian.write, frame_of([noon], [1], "x"), match="names sites or channels by numbers")
        refused(all_of, historian, "x", match="there is no channel 'level' at site 'x'")


def test_postgres_that_can_only_be_read(postgres, schema):
    where = schema["schema"]
    postgres.run(f"CREATE TABLE {where}.plain (site text, channel text, time bigint, value double precision)",
                 f"CREATE TABLE {where}.short (site text, channel text, time bigint, value real)",
                 f"CREATE TABLE {where}.naive (site text, channel text, time timestamp, value double precision)",
                 f"INSERT INTO {where}.plain VALUES ('NE001', 'level', 2, 1), ('NE001', 'level', 1, 'NaN'), "
                 f"(NULL, 'level', 1, 1)",
                 f"INSERT INTO {where}.short VALUES ('NE001', 'level', 1, 0.5)")
    with open_historian(postgres.url(**schema, table="plain")) as historian:
        assert pairs_of(all_of(historian)) == [(1, None), (2, 1)] and historian.channels() == [("NE001", "level")]
        refused(historian.write, frame_of([3], [1]), match="has no key of site, channel and time: it can only be read")
    with open_historian(postgres.url(**schema, table="short")) as historian:
        assert pairs_of(all_of(historian)) == [(1, 0.5)]
        refused(historian.write, frame_of([3], [1]), match="value is not double precision: it can only be read")
    refused(all_of, open_historian(postgres.url(**schema, table="naive")), match="or timestamptz, not 'TIMESTAMP'")


def test_postgres_that_is_slow_or_goes_away(postgres, schema):
    url, where = postgres.url(**schema), schema["schema"]
    with open_historian(url) as historian:
        historian.write(frame_of(range(3000), range(3000)))
    with postgres.connect() as other:
        other.autocommit = False
        other.execute(f"LOCK TABLE {where}.readings IN ACCESS EXCLUSIVE MODE")
        slow = open_historian(url, {"timeout": "0.1"})
        refused(all_of, slow, match="it took longer than .timeout= allows")
        slow.close()
    with open_historian(url) as historian:
        frames = historian.read("NE001", "level", rows=10)
        next(frames)
        postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'oco2_outliers'")
        refused(lambda: [*frames], match="the server cannot be reached, or went away", kind=HistorianAway)
        assert len(all_of(historian)) == 3000


def test_postgres_without_rights(postgres, schema, monkeypatch):
    where = schema["schema"]
    with open_historian(postgres.url(**schema)) as historian:
        historian.write(frame_of([1], [1]))
    postgres.run("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN PASSWORD 'hunter2'",
                 f"GRANT USAGE ON SCHEMA {where} TO reader", f"GRANT SELECT ON {where}.readings TO reader")
    monkeypatch.setenv(SECRET, "hunter2")
    with open_historian(postgres.url(**schema).replace(USER, "reader", 1)) as reader:
        assert len(all_of(reader)) == 1
        refused(reader.write, frame_of([2], [1]), match="the user may not do that")
    postgres.run(f"DROP SCHEMA {where} CASCADE", "DROP ROLE reader")


# ---------------------------------------------------------------- Cassandra: what our side says and does

def filled(stub, n=10, **options):
    """A historian of the stub with `n` readings; what it was asked so far is forgotten."""
    historian = open_historian(stub.url(**options))
    historian.write(frame_of(range(n), range(n)))
    stub.seen.clear()
    return historian


def test_cassandra_binds_what_comes_from_readings(stub):
    names = {name: frame_of([1], [1], name, name) for name in HOSTILE}
    with open_historian(stub.url()) as historian:
        historian.write(pd.concat(names.values()))
        for name in names:
            assert len(all_of(historian, name, name)) == 1
    prepared = stub.texts("PREPARE")
    assert len(prepared) == len(set(prepared)) == 4 and set(stub.texts()) == set(prepared)
    assert not any(name in text for text in prepared for name in HOSTILE if len(name) > 5)
    values = {value for _, _, values, _ in stub.seen for value in values if isinstance(value, str)}
    assert set(HOSTILE) <= values


def test_cassandra_is_asked_page_by_page(stub):
    with filled(stub) as historian:
        frames = historian.read("NE001", "level", 0, 100, rows=4)
        assert next(frames).value.tolist() == [0, 1, 2, 3] and len(stub.seen) == 1
        assert [len(frame) for frame in frames] == [4, 2]
        assert [page for *_, page in stub.seen] == [0, 1, 2] and len({str(seen[2]) for seen in stub.seen}) == 1


@pytest.mark.parametrize("page", [0, 1, 2])
def test_cassandra_that_fails_on_a_page_is_asked_again(stub, page):
    with filled(stub) as historian:
        for kind in ("overloaded", "read_timeout", "unavailable", "server_error", "forgotten"):
            stub.seen.clear()
            stub.faults[:] = [Fault(kind, match="SELECT \"time\"", page=page, times=1 if kind == "forgotten" else 3)]
            assert all_of(historian, start=0, end=100, rows=4).value.tolist() == list(range(10))
            asked = [page for name, _, _, page in stub.seen if name == "EXECUTE"]
            assert sorted(asked) == asked and asked.count(page) == len(asked) - 2 and stub.faults[0].times == 0


@pytest.mark.parametrize("kind, times", [("cut", 1), pytest.param("cut", 3, marks=pytest.mark.slow),
                                         pytest.param("half", 1, marks=pytest.mark.slow)])
def test_cassandra_whose_connection_breaks_is_asked_again(stub, kind, times):
    with filled(stub, wait=0.1, retries=9, timeout=0.5) as historian:
        stub.fail(kind, match="SELECT \"time\"", page=1, times=times)
        assert all_of(historian, start=0, end=100, rows=4).value.tolist() == list(range(10))
        asked = [page for name, _, _, page in stub.seen if name == "EXECUTE"]
        assert sorted(asked) == asked and asked.count(1) == 1 + times and stub.faults[0].times == 0


def test_cassandra_that_does_not_answer_in_time(stub):
    with filled(stub) as historian:
        historian.settings = historian.settings._replace(timeout=0.15)
        stub.fail("silent", match="SELECT \"time\"", page=1)
        assert all_of(historian, start=0, end=100, rows=4).value.tolist() == list(range(10))


def test_patience_with_cassandra_has_an_end(stub):
    with filled(stub, retries=2) as historian:
        stub.fail("overloaded", match="SELECT \"time\"", page=1, times=99)
        frames = historian.read("NE001", "level", 0, 100, rows=4)
        assert next(frames).value.tolist() == [0, 1, 2, 3]
        refused(next, frames, match="a node is overloaded .gave up after 3 tries.", kind=HistorianAway)
        assert stub.faults[0].times == 96
        stub.faults.clear()
        assert len(all_of(historian)) == 10


def test_cassandra_that_forbids_is_not_asked_again(stub):
    with filled(stub) as historian:
        stub.fail("unauthorized", match="SELECT", times=99)
        refused(all_of, historian, start=0, end=9, match="the user may not do that")
        stub.fail("unauthorized", match="INSERT", times=99)
        stub.faults[:1] = []
        refused(historian.write, frame_of([99], [1]), match="the user may not do that")
        assert [fault.times for fault in stub.faults] == [98]


@pytest.mark.parametrize("kind", ["overloaded", "write_timeout", pytest.param("cut", marks=pytest.mark.slow)])
def test_a_write_to_cassandra_ends_in_spite_of_faults(stub, kind):
    with filled(stub, wait=0.1, retries=9) as historian:
        stub.fail(kind, match="INSERT", times=3)
        assert historian.write(frame_of(range(100), range(100))) == 90 and stub.faults[0].times == 0
        assert pairs_of(all_of(historian)) == [(n, n) for n in range(100)]
        assert historian.write(frame_of(range(100), range(100))) == 0


def test_a_write_to_cassandra_that_is_given_up_can_be_done_again(stub):
    with filled(stub, retries=1) as historian:
        stub.fail("write_timeout", match="INSERT", times=60)
        refused(historian.write, frame_of(range(50), range(50)), match="gave up after 2 tries", kind=HistorianAway)
        stub.faults.clear()
        assert historian.write(frame_of(range(50), range(50))) > 0
        assert pairs_of(all_of(historian)) == [(n, n) for n in range(50)]


def test_nothing_is_a_tombstone(stub):
    with open_historian(stub.url()) as historian:
        historian.write(frame_of([1], [math.nan]))
    assert all(None not in values for _, text, values, _ in stub.seen if text.startswith("INSERT"))


def test_cassandra_that_lets_nobody_in(stub, monkeypatch):
    stub.user, stub.password = "judge", "hunter2"
    url = stub.url(user="judge")
    for secret in ("wrong-hunter2", ""):
        monkeypatch.setenv(SECRET, secret)
        refused(all_of, open_historian(url), match="wrong user or password")
    refused(all_of, open_historian(stub.url()), match="wrong user or password, or none was given")
    monkeypatch.setenv(SECRET, "hunter2")
    with open_historian(url) as historian:
        assert historian.write(frame_of([1], [1])) == 1 and "hunter2" not in repr(historian) + str(historian)


def test_cassandra_that_is_away(stub):
    refused(all_of, open_historian("cassandra://127.0.0.1:1/plant"), match="nobody answers", kind=HistorianAway)
    refused(all_of, open_historian("cassandra://no-such-host.invalid/plant"), match="no host of that name")
    # The driver's own lines go to its log, and nowhere where nobody listens.
    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("cassandra").handlers)


@pytest.mark.slow
def test_cassandra_over_tls(stub, tmp_path):
    for name in ("good", "other"):
        (tmp_path / name).mkdir()
    (good, key), (other, _) = (certificate(tmp_path / name) for name in ("good", "other"))
    stub.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stub.tls.load_cert_chain(good, key)
    with open_historian(stub.url(ca=good)) as historian:
        assert historian.write(frame_of(range(3000), range(3000))) == 3000 == len(all_of(historian))
    for wrong in ({"ca": other}, {"tls": "yes"}):
        refused(all_of, open_historian(stub.url(**wrong)), match="certificate is not trusted")
    refused(all_of, open_historian(stub.url()), match="nobody answers", kind=HistorianAway)


def test_cassandra_needs_its_driver(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "cassandra"] + ["cassandra"]:
        monkeypatch.setitem(sys.modules, name, None)
    refused(all_of, open_historian("cassandra://127.0.0.1/plant"), match=r"pip install .oco2_outliers\[stream\]")


def test_cassandra_of_another_program(stub):
    columns = [Column("SensorId", "int", "partition_key", 0), Column("day", "int", "partition_key", 1),
               Column("ts", "timestamp", "clustering", 0, "desc"), Column("v", "float"), Column("note", "text")]
    noon = pd.Timestamp("2013-03-26 12:00", tz="UTC").value // 10**6
    rows = [{"SensorId": 17, "day": day, "ts": noon + n * 43_200_000, "v": value} for n, (day, value) in enumerate(
        [(20130326, 0.5), (20130327, 1.5), (20130327, None), (20130328, 2.5)])]
    stub.tables["plant.Log"] = Table(columns, [*rows, {"SensorId": 18, "day": 20130326, "ts": -1, "v": 1.0}])
    url = stub.url(table="Log", channel="SensorId", time="ts", value="v", bucket="day", form="YYYYMMDD",
                   fixed_site="NE001")
    with open_historian(url) as historian:
        assert historian.channels() == [("NE001", "17"), ("NE001", "18")]
        expected = [((noon + n * 43_200_000) * 10**6, value) for n, value in enumerate([0.5, 1.5, None, 2.5])]
        assert pairs_of(all_of(historian, "NE001", "17", rows=1)) == expected
        assert pairs_of(all_of(historian, "NE001", "17", start=expected[0][0] + 1, end=expected[3][0])) == expected[1:3]
        refused(historian.write, frame_of([1], [1], "NE001", "17"), match="the column v is not double.*only be read")
        refused(all_of, historian, "NE002", "17", match="no channel '17' at site 'NE002'")
        refused(all_of, historian, "NE001", "x", match="no channel 'x' at site 'NE001'")
    with open_historian(url.replace("YYYYMMDD", "YYYYMM")) as historian:
        refused(all_of, historian, "NE001", "17", match="the bucket 20130326 is not written as YYYYMM")


def test_cassandra_with_channels_within_a_partition(stub):
    columns = [Column("site", "text", "partition_key", 0), Column("channel", "text", "clustering", 0, "asc"),
               Column("time", "bigint", "clustering", 1, "desc"), Column("value", "double")]
    stub.tables["plant.readings"] = Table(columns)
    with open_historian(stub.url(unit="s")) as historian:
        frames = pd.concat([frame_of([10**9, 3 * 10**9, 0], [1, 3, 0], "A", name) for name in "xy"])
        assert historian.write(frames) == 6 == historian.write(frames) + 6
        assert pairs_of(all_of(historian, "A", "y", start=1, rows=1)) == [(10**9, 1), (3 * 10**9, 3)]
        assert historian.channels() == [("A", "x"), ("A", "y")]
        refused(historian.write, frame_of([1], [1], "A", "x"), match="steps of 1,000,000,000 ns")


@given(st.integers(FIRST_TIME, LAST_TIME), st.sampled_from(["YYYY", "YYYY-MM", "YYYYMM", "YYYY-MM-DD", "YYYYMMDD"]),
       st.sampled_from(["text", "int", "date"]))
def test_a_bucket_holds_its_times(time, form, kind):
    cut = Buckets("bucket", kind, form if kind != "int" else form.replace("-", ""))
    number = cut.number(time)
    assert cut.number_of(cut.key(number)) == number
    digits = str(pd.Timestamp(time, unit="ns"))[:10].replace("-", "")
    assert str(cut.key(number)).replace("-", "").startswith(digits[:len(form.replace("-", ""))])


def test_cassandra_tells_what_is_wrong(stub):
    with open_historian(stub.url()) as historian:
        refused(all_of, historian, match="no table readings in the keyspace plant")
    stub.fail("unauthorized", opcode=9)
    with open_historian(stub.url()) as historian:
        refused(all_of, historian, match="the user may not do that")
    with open_historian(stub.url(form="YYYY")) as historian:
        refused(historian.write, frame_of([1], [1]), match="one that we make needs no form")
    for options, words in (({"retries": -1}, "retries must be a number"), ({"tabel": "x"}, "unknown option 'tabel'"),
                           ({"table": "a; DROP TABLE b"}, "no name of a table"), ({"ca": "/none"}, "cannot be read")):
        refused(lambda options=options: all_of(open_historian(stub.url(), {k: str(v) for k, v in options.items()})),
                match=words)


# ---------------------------------------------------------------- what others wrote

def made_infinite(address, postgres_or_none, schema_or_none):
    """Make the second of three readings infinite, by the database itself."""
    if postgres_or_none is None:
        with sqlite3.connect(address.removeprefix("sqlite:///")) as base:
            base.execute("UPDATE readings SET value = -9e999 WHERE time = 2")
        base.close()
    else:
        postgres_or_none.run(f"UPDATE {schema_or_none['schema']}.readings SET value = '-Infinity' WHERE value = 2")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_infinite_reading_of_a_database_is_sent_as_missing_and_counted(kind, tmp_path, request):
    known = (None, None) if kind == "sqlite" else tuple(map(request.getfixturevalue, ("postgres", "schema")))
    address = f"sqlite:///{tmp_path}/plant.db" if kind == "sqlite" else known[0].url(**known[1])
    with open_historian(address) as historian:
        historian.write(frame_of([1, 2, 3], [1.0, 2.0, 3.0]))
    made_infinite(address, *known)
    broker = FileBroker(endpoint_of(f"file://{tmp_path}/broker", ("file",), "broker"))
    broker.create_topic("plant", 1)
    with outgoing(address, Asked()) as out:
        assert sum(sending(broker, "plant", out.finite())) == 3
        assert out.about_infinite() == ["1 infinite reading of 1 channel sent as missing, such as of NE001/level"]
    listener = broker.listen("plant", "looking", start=lambda _: None, lost=lambda _: None, owner="test")
    found = [read_message(message.body)[0][0].value for message in listener.read(10, 0.1)]
    listener.close()
    broker.close()
    assert found[::2] == [1.0, 3.0] and math.isnan(found[1])
