"""Files come from the archive whole or not at all, nothing comes twice, and no login is ever shown.

The servers are a stand-in on this machine, `earthdata_server`; the real ones cannot be asked here.
"""

import errno
import hashlib
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import earthdata_server
import pytest
from earthdata_server import servers, standing  # noqa: F401

from oco2_outliers.cli import main
from oco2_outliers.datasets import Datasets
from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import catalogued, fetch_soundings, fetching, range_requests
from oco2_outliers.soundings.earthdata import EarthdataAway, EarthdataRefused

# ruff: noqa: F811 - the fixtures are imported by name
AUGUST = ("2018-08-01", "2018-08-31")


@pytest.fixture
def store(tmp_path):
    return Datasets(tmp_path / "lite")


def names(store):
    return [each["name"] for each in store.place.listing()]


def hidden(store):
    return [name for _, _, found in os.walk(store.root) for name in found if name.startswith(".")]


def in_store(servers, store, number):
    """The file of a path as the store has it."""
    with store.open(servers.paths[number].rpartition("/")[2]) as file:
        return file.read()


# ---------------------------------------------------------------- as it should be


def test_three_days_come_whole_and_come_once(servers, store):
    done = fetch_soundings(dates=AUGUST, store=store)
    assert done.table["state"].tolist() == ["fetched"] * 3 and set(done.table["compared"]) == {"md5"}
    assert done.table["day"].tolist() == ["2018-08-24", "2018-08-25", "2018-08-26"] and done.notes == []
    assert [in_store(servers, store, n) for n in range(3)] == [servers.files[path] for path in servers.paths]
    assert hidden(store) == []
    servers.asked.clear()
    again = fetch_soundings(dates=AUGUST, store=store)
    assert again.table["state"].tolist() == ["already there"] * 3
    assert servers.of(earthdata_server.ARCHIVE) == [] and servers.of(earthdata_server.LOGIN) == []


@pytest.mark.parametrize("address", ["memory://fetched"])
def test_another_kind_of_store_gets_the_same(servers, address, tmp_path):
    store = Datasets(address)
    done = fetch_soundings(dates=AUGUST, store=store, prefix="lite/")
    assert done.n("fetched") == 3 and [name[:5] for name in names(store)] == ["lite/"] * 3
    assert fetch_soundings(dates=AUGUST, store=store, prefix="lite/").n("already there") == 3
    assert not [each for each in (tmp_path / "cache").rglob("*") if each.is_file()]
    store.fs.rm(store.root, recursive=True)


def test_a_dry_run_needs_no_login_and_writes_nothing(servers, store, monkeypatch):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    would = fetch_soundings(dates=AUGUST, store=store, dry_run=True)
    assert would.n("to fetch") == 3 and would.table["bytes"].sum() == sum(map(len, servers.files.values()))
    assert not os.path.exists(store.root) and {each[0] for each in servers.asked} == {earthdata_server.CATALOGUE}
    with pytest.raises(InputError, match="no login"):
        fetch_soundings(dates=AUGUST, store=store)


def test_pages_of_the_catalogue_are_all_read(servers, store):
    from earthaccess.utils import _search

    for day in range(1, 21):
        servers.put(f"2018-09-{day:02}")
    plain = _search.get_results
    with pytest.MonkeyPatch.context() as patch:  # the library asks for 2,000 at a time
        patch.setattr(_search, "min", lambda limit, most: 7, raising=False)
        would = fetch_soundings(dates=("2018-08-01", "2018-09-30"), store=store, dry_run=True)
    assert plain is _search.get_results and len(would.table) == 23 and would.table["name"].is_unique
    after = [each[3].get("cmr-search-after") for each in servers.of(earthdata_server.CATALOGUE)]
    assert after[1:] == [None, '[7, "x"]', '[14, "x"]', '[21, "x"]']


def test_the_box_and_the_days_are_asked_of_the_catalogue(servers, store):
    fetch_soundings(dates=("2018-08-25", "2018-08-25"), box=(170, -10, 190, 10), store=store)
    assert [name[11:17] for name in names(store)] == ["180825"]
    asked = servers.of(earthdata_server.CATALOGUE)[0][2].replace("%2C", ",").replace("%3A", ":")
    assert "bounding_box=170.0,-10.0,-170.0,10.0" in asked
    assert "2018-08-25T00:00:00Z,2018-08-25T23:59:59Z" in asked and "short_name=OCO2_L2_Lite_FP" in asked


def test_the_newest_version_is_taken_and_the_others_are_told(servers, store):
    servers.put("2018-08-24", "11.1r")
    servers.put("2018-08-24", "9r")
    done = fetch_soundings(dates=AUGUST, store=store)
    assert set(done.table["version"]) == {"11.2r"} and "2 files of 9r, 11.1r left out" in done.notes[0]
    older = fetch_soundings(dates=AUGUST, store=store, version="11.1r")
    assert older.table["version"].tolist() == ["11.1r"] and len(names(store)) == 4


# ---------------------------------------------------------------- the login


def test_a_name_and_a_password_get_a_token(servers, store, monkeypatch):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    monkeypatch.setenv("EARTHDATA_USERNAME", earthdata_server.USER)
    monkeypatch.setenv("EARTHDATA_PASSWORD", earthdata_server.PASSWORD)
    assert fetch_soundings(dates=AUGUST, store=store).n("fetched") == 3
    basic = [each[0] for each in servers.asked if each[3].get("Authorization", "").startswith("Basic")]
    assert set(basic) == {earthdata_server.LOGIN}


def test_an_archive_that_leads_to_the_login_and_back(servers, store, monkeypatch):
    servers.wants_login = True
    monkeypatch.delenv("EARTHDATA_TOKEN")
    monkeypatch.setenv("EARTHDATA_USERNAME", earthdata_server.USER)
    monkeypatch.setenv("EARTHDATA_PASSWORD", earthdata_server.PASSWORD)
    assert fetch_soundings(dates=AUGUST, store=store).n("fetched") == 3
    assert any("/oauth/authorize" in each[2] for each in servers.of(earthdata_server.LOGIN))
    # With a cookie the second file needs no second login.
    assert sum("/login?" in each[2] for each in servers.of(earthdata_server.ARCHIVE)) == 1


def test_netrc_is_read_where_the_environment_is_silent(servers, store, monkeypatch, tmp_path):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    (tmp_path / "netrc").write_text(
        f"machine {earthdata_server.LOGIN} login {earthdata_server.USER} password {earthdata_server.PASSWORD}\n")
    assert fetch_soundings(dates=AUGUST, store=store).n("fetched") == 3


@pytest.mark.parametrize("kind", ["token", "password", "netrc"])
def test_a_refused_login_is_one_line_without_the_secret(servers, store, monkeypatch, tmp_path, kind, capfd, caplog):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    if kind == "token":
        monkeypatch.setenv("EARTHDATA_TOKEN", "wrong-secret")
    elif kind == "password":
        monkeypatch.setenv("EARTHDATA_USERNAME", earthdata_server.USER)
        monkeypatch.setenv("EARTHDATA_PASSWORD", "wrong-secret")
    else:
        (tmp_path / "netrc").write_text(f"machine {earthdata_server.LOGIN} login x password wrong-secret\n")
    code = main(["--verbose", "soundings", "fetch", "--from", AUGUST[0], "--to", AUGUST[1], "--store", store.root])
    printed = capfd.readouterr()
    assert code == 2 and "wrong-secret" not in printed.out + printed.err + caplog.text
    assert "refuses" in printed.err.splitlines()[-1] and "Invalid user" not in printed.err
    assert names(store) == []


def test_a_login_goes_to_no_other_host(servers, store):
    servers.records[0]["umm"]["RelatedUrls"][0]["URL"] = "https://data.example.org/a.nc4"
    servers.records[1]["umm"]["RelatedUrls"][0]["URL"] = f"http://{earthdata_server.ARCHIVE}/a.nc4"
    done = fetch_soundings(dates=AUGUST, store=store)
    assert sorted(done.table["state"]) == ["failed", "failed", "fetched"]
    assert {each[0] for each in servers.asked} == {earthdata_server.CATALOGUE, earthdata_server.ARCHIVE}


@pytest.mark.parametrize("where", ["http://{archive}/a", "http://example.org/a"])
def test_a_redirect_without_encryption_is_not_followed(servers, store, where):
    address = where.format(archive=earthdata_server.ARCHIVE)

    servers.faults[servers.paths[0]] = [(302, b"", "text/plain")]
    plain = earthdata_server._Handler.answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(earthdata_server._Handler, "answer", lambda self, code, *a, **k: plain(
            self, code, *a, **(k | ({"Location": address} if code == 302 else {}))))
        done = fetch_soundings(dates=AUGUST, store=store)
    assert isinstance(done.stopped, EarthdataRefused) and "not encrypted" in done.table["why"][0]
    assert done.table["state"].tolist() == ["failed", "not tried", "not tried"]


# ---------------------------------------------------------------- lines that break


def test_a_broken_line_is_gone_on_with(servers, store):
    servers.faults[servers.paths[0]] = [1000, 500]
    assert fetch_soundings(dates=AUGUST, store=store).n("fetched") == 3
    ranges = [each[3].get("Range") for each in servers.of(earthdata_server.ARCHIVE)][:3]
    assert ranges == [None, "bytes=1000-", "bytes=1500-"]
    assert in_store(servers, store, 0) == servers.files[servers.paths[0]]


def test_the_next_run_goes_on_where_this_one_ended(servers, store):
    servers.faults[servers.paths[0]] = [600] * 4
    done = fetch_soundings(dates=AUGUST, store=store)
    assert isinstance(done.stopped, EarthdataAway)
    assert done.table["state"].tolist() == ["failed", "not tried", "not tried"]
    assert names(store) == [] and len(hidden(store)) == 1
    servers.asked.clear()
    assert fetch_soundings(dates=AUGUST, store=store).n("fetched") == 3
    assert servers.of(earthdata_server.ARCHIVE)[0][3]["Range"] == "bytes=2400-" and hidden(store) == []


def test_without_a_checksum_the_next_run_begins_anew(servers, store):
    servers.records.clear()
    path = servers.put("2018-08-24", Checksum=None)
    servers.faults[path] = [600] * 4
    assert fetch_soundings(dates=AUGUST, store=store).n("failed") == 1
    servers.asked.clear()
    done = fetch_soundings(dates=AUGUST, store=store)
    assert done.table["compared"].tolist() == ["size"] and "no checksum" in done.notes[0]
    assert "Range" not in servers.of(earthdata_server.ARCHIVE)[0][3]


def test_a_file_that_was_replaced_on_the_way_is_taken_as_it_is_now(servers, store):
    servers.records.clear()
    path = servers.put("2018-08-24", Checksum=None, SizeInBytes=None)
    old, servers.files[path] = servers.files[path], earthdata_server.content("new", 6400)
    new = servers.files[path]
    servers.files[path] = old
    plain = earthdata_server._Handler.send_file

    def replaced(self, data, cut):
        plain(self, data, cut)
        servers.files[path] = new

    servers.faults[path] = [1000]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(earthdata_server._Handler, "send_file", replaced)
        done = fetch_soundings(dates=AUGUST, store=store)
    with store.open(done.table["name"][0]) as file:
        assert file.read() == new
    assert done.table["compared"][0] == "size told by the server" and done.table["bytes"][0] == len(new)


@pytest.mark.parametrize("fault", [(503, b"busy", "text/plain"), (429, b"slow down", "text/plain"), 0])
def test_a_busy_server_is_asked_again(servers, store, fault):
    servers.faults[servers.paths[1]] = [fault] * 2
    assert fetch_soundings(dates=AUGUST, store=store).n("fetched") == 3


def test_a_server_without_ranges_sends_all_of_it_again(servers, store):
    servers.knows_ranges, servers.faults[servers.paths[0]] = False, [1000]
    assert fetch_soundings(dates=AUGUST, store=store).n("fetched") == 3
    assert in_store(servers, store, 0) == servers.files[servers.paths[0]]


def test_damaged_bytes_never_come_into_the_store(servers, store):
    path = servers.paths[0]
    servers.files[path] = servers.files[path][:-1] + b"?"
    done = fetch_soundings(dates=AUGUST, store=store)
    assert done.table["state"].tolist() == ["failed", "fetched", "fetched"] and "its md5" in done.table["why"][0]
    assert len(names(store)) == 2 and hidden(store) == [] and done.stopped is None
    assert len([each for each in servers.of(earthdata_server.ARCHIVE) if each[2] == path]) == 2


def test_a_page_with_the_code_of_success_is_no_file(servers, store):
    servers.faults[servers.paths[0]] = [(200, b"<html>Please approve</html>", "text/html;charset=utf-8")]
    done = fetch_soundings(dates=AUGUST, store=store)
    assert isinstance(done.stopped, EarthdataRefused) and "Authorized Apps" in done.table["why"][0]
    servers.records.clear()
    path = servers.put("2018-08-24", Checksum=None, SizeInBytes=None)
    servers.faults[path] = [(200, b"<html>Earthdata Login</html>", "application/octet-stream")] * 2
    done = fetch_soundings(dates=AUGUST, store=store)
    assert "login page" in done.table["why"][0] and names(store) == []


def test_a_file_that_the_archive_lost_does_not_stop_the_others(servers, store):
    del servers.files[servers.paths[1]]
    done = fetch_soundings(dates=AUGUST, store=store)
    assert done.table["state"].tolist() == ["fetched", "failed", "fetched"] and "404" in done.table["why"][1]


def test_what_is_in_the_store_is_compared(servers, store):
    fetch_soundings(dates=AUGUST, store=store)
    kept = names(store)
    with store.open(kept[0], "wb") as file:
        file.write(b"short")
    with store.open(kept[1], "wb") as file:
        file.write(b"x" * len(servers.files[servers.paths[1]]))
    assert fetch_soundings(dates=AUGUST, store=store).table["state"].tolist() == ["fetched"] + ["already there"] * 2
    checked = fetch_soundings(dates=AUGUST, store=store, check=True)
    assert checked.table["state"].tolist() == ["already there", "fetched", "already there"]
    assert in_store(servers, store, 1) == servers.files[servers.paths[1]]


def test_a_full_disk_stops_the_work_and_leaves_what_was_whole(servers, store, monkeypatch):
    send = store.place.send

    def full(file, name, *about):
        if "180825" in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        send(file, name, *about)

    monkeypatch.setattr(store.place, "send", full)
    done = fetch_soundings(dates=AUGUST, store=store)
    assert done.table["state"].tolist() == ["fetched", "failed", "not tried"]
    assert "No space left" in done.table["why"][1] and hidden(store) == []
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda folder: fetching.shutil._ntuple_diskusage(9, 9, 9))
    with pytest.raises(InputError, match="would come, and"):
        fetch_soundings(dates=AUGUST, store=store)


def test_who_stops_the_work_finds_it_as_far_as_it_came(servers, store, monkeypatch):
    """Ctrl-C in the middle of a file: nothing half-written is listed, and the next run goes on."""
    plain = range_requests._pieces

    def stopped(answer):
        for number, piece in enumerate(plain(answer)):
            if number == 7:
                raise KeyboardInterrupt
            yield piece

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(range_requests, "_pieces", stopped)
        fetch_soundings(dates=AUGUST, store=store)
    assert names(store) == [] and len(hidden(store)) == 1
    servers.asked.clear()
    assert fetch_soundings(dates=AUGUST, store=store).n("fetched") == 3
    assert servers.of(earthdata_server.ARCHIVE)[0][3]["Range"] == "bytes=700-" and hidden(store) == []


@pytest.mark.filterwarnings("ignore::FutureWarning")  # threads share one list of what is not to be told
def test_two_runs_at_a_time_do_not_write_into_one_part(servers, store):
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: fetch_soundings(dates=AUGUST, store=store), range(2)))
    assert all(done.n("failed") == done.n("not tried") == 0 for done in both)
    assert [in_store(servers, store, n) for n in range(3)] == [servers.files[path] for path in servers.paths]
    assert hidden(store) == []


# ---------------------------------------------------------------- what is asked wrongly


@pytest.mark.parametrize(("asked", "words"), [
    ({"product": "OCO2_L2_LITE"}, "no product OCO2_L2_LITE; did you mean OCO2_L2_Lite_FP"),
    ({"product": "MOD021KM"}, "has no product MOD021KM$"),
    ({"product": "a b"}, "short name of a product"),
    ({"dates": ("1999-01-01", "1999-01-02")}, "no file of OCO2_L2_Lite_FP from 1999-01-01 to 1999-01-02"),
    ({"dates": ("2018-08-31", "2018-08-01")}, "later than the last"),
    ({"dates": ("yesterday", "soon")}, "dates must be"),
    ({"box": (5, 50, 12, 45)}, "box must be"),
    ({"box": (5, 45, 12)}, "box must be"),
    ({"version": "7r"}, "no file of OCO2_L2_Lite_FP of version '7r'"),
])
def test_what_cannot_be_is_refused_in_one_line(servers, store, asked, words):
    with pytest.raises(InputError, match=words) as error:
        fetch_soundings(**({"dates": AUGUST, "store": store} | asked))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("fault", "error", "words"), [
    ((400, {"errors": ["Parameter [temporal] was wrong."]}), InputError, r"what is asked: Parameter \[temporal"),
    ((500, b"oh"), EarthdataAway, "answered with an error"),
    ((200, b"<html>Hotel WiFi</html>", "text/html"), EarthdataAway, "cannot be read"),
])
def test_a_catalogue_that_fails_is_told_in_one_line(servers, store, fault, error, words):
    servers.catalogue_fault = fault
    with pytest.raises(error, match=words), warnings.catch_warnings():
        warnings.simplefilter("error")
        fetch_soundings(dates=AUGUST, store=store)


def test_a_server_that_is_away_ends_with_3(servers, store, monkeypatch, capfd):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert main(["soundings", "fetch", "--from", "2018-08-01", "--store", store.root]) == 3
    assert capfd.readouterr().err.count("\n") == 1


def test_an_untrusted_certificate_is_told(servers, store, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(EarthdataAway, match="certificate"):
        fetch_soundings(dates=AUGUST, store=store)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "earthaccess", None)
    with pytest.raises(InputError, match=r'pip install "oco2_outliers\[earthdata\]"'):
        fetch_soundings(dates=AUGUST)


# ---------------------------------------------------------------- the command


def test_the_command_as_a_process_of_its_own(servers, tmp_path, capfd):
    asked = ["soundings", "fetch", "--from", "2018-08-24", "--to", "2018-08-26", "--box", "-10,40,5,50",
             "--store", str(tmp_path / "lite"), "--out", str(tmp_path / "done.csv")]
    assert main([*asked, "--dry-run"]) == 0
    dry = capfd.readouterr().out
    assert "3 files to fetch" in dry and "next:" in dry
    del servers.files[servers.paths[1]]
    done = subprocess.run([sys.executable, "-m", "oco2_outliers", *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "2 files fetched" in done.stdout and "404" in done.stdout, done
    assert earthdata_server.TOKEN not in dry + done.stdout + done.stderr
    assert hashlib.md5((tmp_path / "lite" / os.path.basename(servers.paths[0])).read_bytes()).hexdigest() in \
        str(servers.records[0])
    assert (tmp_path / "done.csv").read_text().count("\n") == 4


def test_what_is_offered_survives_any_record():
    for odd in ([], {}, {"umm": []}, {"umm": {"TemporalExtent": [], "DataGranule": []}}):
        assert catalogued.offered_in(odd if isinstance(odd, dict) else {}).address == ""
