"""Readings of sensors: files of any shape, files that cannot be read, slow twins of the regular view."""

import numpy as np
import pandas as pd
import pytest
from swift_server.fixtures import container, server, store  # noqa: F401

from oco2_outliers.ground.errors import InputError, error_line
from oco2_outliers.series.checks import check_series
from oco2_outliers.series.limits import SeriesConfig
from oco2_outliers.series.reading_files import read_series
from oco2_outliers.series.readings import as_series, grid
from oco2_outliers.series.simulated import simulate_series

DAY = pd.date_range("2013-03-12", periods=288, freq="5min")


@pytest.fixture
def wide():
    """A day of two channels."""
    rng = np.random.default_rng(1)
    return pd.DataFrame({"time": DAY, "velocity": rng.normal(2, 0.1, 288).round(3),
                         "level": rng.normal(0.3, 0.01, 288).round(4)})


def rows(*lines, header="time,velocity"):
    return "\n".join([header, *lines]) + "\n"


def every_five(begin, *values):
    times = pd.date_range(begin, periods=len(values), freq="5min")
    return rows(*(f"{time},{value}" for time, value in zip(times, values)))


def paris(begin):
    """Local times in Paris, without their zone."""
    return pd.date_range(begin, periods=200, freq="5min", tz="UTC").tz_convert("Europe/Paris").tz_localize(None)


AUTUMN, SPRING = paris("2013-10-26 22:00"), paris("2013-03-30 22:00")
BAD_READINGS = {
    "an empty file": (b"", {}, "is empty"),
    "a header alone": (rows(), {}, "no rows"),
    "no time": ("velocity\n1.5\n1.6\n", {}, "no column of times.*--time"),
    "another time": (every_five("2013-01-01", 1, 2), {"time": "when"}, "time='when' is no column.*velocity"),
    "another value": (every_five("2013-01-01", 1, 2), {"value": "flow"}, "value='flow' is no column"),
    "another site": (every_five("2013-01-01", 1, 2), {"site": "place"}, "site='place' is no column"),
    "no numbers": (rows("2013-01-01,high", "2013-01-02,low"), {}, "no column of numbers.*--value"),
    "a unit behind each number": (rows("2013-01-01,1.659 m/s", "2013-01-02,1.7 m/s"), {},
                                  "no column of numbers.*'velocity' holds '1.659 m/s'.*without units"),
    "words as value": (rows("2013-01-01,high", "2013-01-02,low"), {"value": "velocity"}, "holds text, such as 'high'"),
    "a word among numbers": (every_five("2013-01-01", 1, 2, "wet", 4, 5), {}, "holds text: 'wet' in row 2"),
    "two readings of a date": (rows("03/04/2013 00:00,1", "04/04/2013 00:00,2"), {}, "several days: give time_format="),
    "a word as time": (rows("2013-01-01,1", "yesterday,2"), {}, "'yesterday'.*is no time"),
    "a day that is none": (rows("2013-02-28,1", "2013-02-30,2"), {}, "2013-02-30.*is no time"),
    "some offsets": (rows("2013-01-01 00:00Z,1", "2013-01-01 00:05,2"), {}, "has no offset from UTC"),
    "numbers as times": (rows("20130312,1", "20130313,2"), {}, "numbers .*that are no times"),
    "the year 1066": (rows("1066-10-14,1", "1066-10-15,2"), {}, "before 1678"),
    "autumn": (rows(*(f"{time},1.5" for time in AUTUMN)), {}, "2013-10-27 02:00 stands twice.*zone='Europe/Paris'"),
    "spring": (rows(*(f"{time},1.5" for time in SPRING)), {}, "2013-03-31 02:00 is missing.*zone='Europe/Paris'"),
    "an unknown zone": (every_five("2013-01-01", 1, 2), {"zone": "Europe/Atlantis"}, "unknown zone 'Europe/Atlantis'"),
    "a time that its zone has not": (rows("2013-03-31 02:30,1", "2013-04-01 02:30,2"), {"zone": "Europe/Paris"},
                                     "in UTC, or with"),
    "two zones": (rows("2013-01-01 00:00Z,1", "2013-01-01 00:05Z,2"), {"zone": "UTC"}, "have a zone already"),
    "a format that does not fit": (every_five("2013-01-01", 1, 2), {"time_format": "%d.%m.%Y"}, "does not fit all"),
    "a step without a unit": (every_five("2013-01-01", 1, 2), {"step": "5"}, "step must be a span of time.*'5 min'"),
    "a site that is missing": (rows("2013-01-01,1,A", "2013-01-02,2,", header="time,velocity,site"), {},
                               "1 row without a site"),
    "channels twice over": (rows("2013-01-01,1,2,a", header="time,u,v,channel"), {}, "one column holds the values"),
    "two columns of one name": (rows("2013-01-01,1,2", header="time,v,v"), {}, "columns of one name"),
    "bytes": (b"time,v\n\0\0\0\0\1,2\n", {}, "NUL bytes"),
    "a page of the web": (b"<!DOCTYPE html><html><body>Log in</body></html>", {}, "it is .*HTML"),
    "decimals of two kinds": (rows('2013-01-01,"1,234"', '2013-01-02,"5,678"'), {}, "decimal mark"),
    "a column twice": (every_five("2013-01-01", 1, 2), {"value": "time"}, "two things at once"),
}


@pytest.mark.parametrize("what", BAD_READINGS)
def test_bad_readings_get_one_line_that_names_the_file(what, tmp_path):
    data, asked, said = BAD_READINGS[what]
    path = tmp_path / "NE001.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(InputError, match=said) as found:
        read_series(path, **asked)
    line = error_line(found.value)
    assert "\n" not in str(found.value) and len(line) < 700
    # what concerns all files together, the step and the zone, is said of the channel
    assert "NE001" in line or {"step", "zone"} & set(asked), line


def test_bad_places_get_one_line(tmp_path, wide):
    wide.to_csv(tmp_path / "a.txt")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut off")
    (tmp_path / "nothing").mkdir()
    for path, kind, said in ((tmp_path / "gone.csv", FileNotFoundError, "no such file"),
                             (tmp_path / "a.txt", InputError, "unknown kind '.txt'"),
                             (tmp_path / "granule.nc4", FileNotFoundError, "no such file"),
                             (tmp_path / "cut.parquet", InputError, "cannot be read as parquet"),
                             (tmp_path / "nothing", InputError, "holds no file that can be read"),
                             ("", InputError, "empty name"), ([], InputError, "no input"),
                             ("/dev/zero", InputError, "device|unknown kind"),
                             ("swift://", InputError, "Swift needs|names nothing")):
        with pytest.raises(kind, match=said):
            read_series(path)


BAD_LIMITS = {
    "no sites": (b"NE001: {velocity: {}}", "unknown key 'NE001' .nearest: sites"),
    "an unknown check": (b"sites: {A: {v: {spikes: {suspect: 3}}}}", "'spikes' .nearest: spike"),
    "an unknown bound": (b"sites: {A: {v: {spike: {suspct: 3}}}}", "'suspct' .nearest: suspect"),
    "a word as a bound": (b"sites: {A: {v: {spike: {suspect: much}}}}", "sites.A.v.spike.suspect must be a number"),
    "fail within suspect": (b"sites: {A: {v: {jump: {suspect: 3, fail: 2}}}}", "fail .2. must not be smaller"),
    "a count as a time": (b"sites: {A: {v: {flat_line: {suspect: 6}}}}", "span of time such as '5 min'"),
    "a key twice": (b"sites:\n  A:\n    v: {}\n    v: {}\n", "line 4: the key 'v' stands twice"),
    "references": (b"sites: {A: &a {v: {}}, B: *a}", "references"),
    "code": (b"sites: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "no text": (b"\xff\xfe\xfd", "not UTF-8"),
    "no YAML": (b"sites: [", "line"),
    "nothing": (b"", "must hold keys"),
    "a name that YAML reads": (b"sites: {NO: {v: {}}}", "in quotes"),
}


@pytest.mark.parametrize("what", BAD_LIMITS)
def test_bad_limits_get_one_line_that_names_the_file(what, tmp_path):
    data, said = BAD_LIMITS[what]
    path = tmp_path / "limits.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said) as found:
        check_series(pd.Series([1.0, 2], DAY[:2]), path)
    assert "limits.yaml" in str(found.value) and "\n" not in str(found.value)


def test_limits_for_other_channels_are_refused(tmp_path):
    path = tmp_path / "limits.yaml"
    path.write_text("sites: {NE001: {velocity: {spike: {suspect: 3}}}}")
    with pytest.raises(InputError, match="no channel of this series.*NE001 / velocity"):
        check_series(pd.Series([1.0, 2], DAY[:2]), path)
    with pytest.raises(FileNotFoundError):
        SeriesConfig.read(tmp_path / "other.yaml")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "json"])
@pytest.mark.parametrize("shape", ["wide", "long"])
def test_every_kind_of_file_gives_the_same(ending, shape, wide, tmp_path):
    table = wide if shape == "wide" else wide.melt("time", ["velocity", "level"], "channel", "value")
    path = tmp_path / f"NE001.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    elif ending == "json":
        table.assign(time=table["time"].astype(str)).to_json(path, orient="records")
    else:
        table.to_csv(path, index=False)
    found, due = read_series(path), as_series(wide)
    assert found.channels() == [("NE001", "velocity"), ("NE001", "level")]
    assert np.array_equal(found.table["value"], due.table["value"])
    assert found.table["time"].tolist() == due.table["time"].tolist()
    assert set(found.table["source"]) == {path.name}


def test_marks_for_none_are_counted_and_can_be_kept(wide, tmp_path):
    wide.loc[[3, 4], "velocity"], wide.loc[5, "level"], wide.loc[6, "velocity"] = -9999, 9999, np.inf
    text = wide.to_csv(index=False).replace("2013-03-12 00:50:00,", "2013-03-12 00:50:00,NULL #", 1)
    text = "\n".join(line.split(" #")[0] + "," + line.rsplit(",", 1)[1] if "NULL" in line else line
                     for line in text.splitlines())
    (tmp_path / "a.csv").write_text(text)
    s = read_series(tmp_path / "a.csv")
    assert "4 marks for no reading became missing (-9999: 2, 9999: 1, infinite: 1)" in s.notes
    assert "1 reading without a value" in s.notes and s.table["value"].isna().sum() == 5
    huge = as_series(wide.assign(level=1e200))
    assert "291 marks for no reading became missing (-9999: 2, infinite: 1, beyond 1e+150: 288)" in huge.notes
    kept = read_series(tmp_path / "a.csv", fills=())
    assert kept.table["value"].isna().sum() == 2 and (kept.table["value"] == -9999).sum() == 2


def test_nothing_is_repaired(wide):
    spoilt = pd.concat([wide.drop(index=range(50, 60)), wide.iloc[[7]]]).sample(frac=1, random_state=0)
    s = as_series(spoilt, value="velocity")
    assert s.table.index.equals(spoilt.index)
    assert np.array_equal(s.table["value"], spoilt["velocity"])
    said = " ".join(s.notes)
    for words in ("10 times are missing", "1 reading has the time of another", "not in the order of time"):
        assert words in said
    assert "columns not read as channels: level" in said


def slow_grid(times, values, step):
    """Each slot by itself, for times on the grid."""
    begin, end = min(times), max(times)
    found, place = [], begin
    while place <= end:
        here = [value for time, value in zip(times, values) if time == place]
        found.append(here[0] if here else np.nan)
        place += step
    return np.array(found)


@pytest.mark.parametrize("seed", range(10))
def test_the_grid_is_that_of_a_slow_twin(seed):
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(288, 200, replace=False))
    order = rng.permutation(np.concatenate([kept, rng.choice(kept, 10)]))
    table = pd.DataFrame({"time": DAY[order], "v": rng.normal(size=210)})
    g = grid(as_series(table, step="5 min"), "site", "v")
    assert np.array_equal(g.values, slow_grid(table["time"], table["v"], pd.Timedelta("5min")), equal_nan=True)
    assert len(g.left_out) == 10 and set(g.left_out) | set(g.rows[g.rows >= 0]) == set(range(210))
    zoned = as_series(table.assign(time=table["time"].dt.tz_localize("Asia/Kolkata")), step="5 min")
    other = grid(zoned, "site", "v")
    assert np.array_equal(other.values, g.values, equal_nan=True)
    assert pd.Timestamp(other.times[0]) == pd.Timestamp(g.times[0]) - pd.Timedelta("5h30min")


def test_local_times_in_their_zone_keep_the_hour_that_stands_twice(tmp_path):
    (tmp_path / "a.csv").write_text(rows(*(f"{time},{n}" for n, time in enumerate(AUTUMN))))
    s = read_series(tmp_path / "a.csv", zone="Europe/Paris")
    assert str(s.table["time"].dtype) == "datetime64[ns, Europe/Paris]"
    assert grid(s, "a", "velocity").values.tolist() == list(range(200))


def test_hostile_names_stay_names(tmp_path, wide):
    names = ["../x", "<b>", "a\x1b[31m", "=1+1"]
    table = wide[["time", "velocity"]].head(20)
    many = pd.concat([table.assign(site=name) for name in names])
    s = as_series(many)
    assert [site for site, _ in s.channels()] == names
    with pytest.raises(InputError) as found:
        grid(s, "a\x1b[31m", "flow")
    assert "\x1b" not in str(found.value)
    with pytest.raises(InputError) as found:
        as_series(many.rename(columns={"velocity": "v\x1b"}).assign(**{"v\x1b": "wet"}), value="v\x1b")
    assert "\x1b" not in str(found.value)


def test_many_sites_are_read_in_linear_time():
    table = simulate_series("ar1", n_sites=100, days=1, step="10 min", random_state=0)
    s = as_series(table)
    assert len(s.channels()) == 100 and sum(len(grid(s, *pair).values) for pair in s.channels()) == len(table)


@pytest.mark.slow
def test_readings_come_from_a_store(wide, store, container, server, monkeypatch):  # noqa: F811
    store.fs.account.connection().put_object(container, "sewers/NE001.csv", wide.to_csv(index=False).encode())
    for name, value in (("ST_AUTH", server.auth_url), ("ST_USER", server.user), ("ST_KEY", server.key)):
        monkeypatch.setenv(name, value)
    s = read_series(f"swift://{container}/sewers")
    assert s.channels()[0] == ("NE001", "velocity")
    assert np.array_equal(s.table["value"], as_series(wide).table["value"])


# ---------------------------------------------------------------- real data

def test_the_sewer_and_the_flow_are_read_as_they_are(shared_data):
    sewer = read_series(shared_data / "series" / "sewer_velocity_5min.csv")
    assert sewer.channels() == [("sewer_velocity_5min", "velocity"), ("sewer_velocity_5min", "velocity_edited")]
    assert len(sewer) == 2 * 29_521 and set(sewer.steps.values()) == {pd.Timedelta("5min")}
    flow = read_series(shared_data / "series" / "flow_5min_with_gaps.csv")
    assert any("13 times are missing" in note for note in flow.notes)
