"""Datasets and SwiftFileSystem against a real Swift server."""
import contextlib
import http.client
import json
import logging
import os
import pickle
import shutil
import subprocess
import traceback
import urllib.parse

import pandas as pd
import pytest
from swift_server.fixtures import QUICK, container, running_server, server, store, swift, usual_server  # noqa: F401
from swift_server.identity import Identity

from oco2_outliers.datasets import Datasets, InputError, SwiftFileSystem

# ruff: noqa: F811 - the fixtures are imported by name
MIB = 2**20


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def contents(store):
    return {o["name"]: store.fs.cat_file(store.place.path(o["name"])) for o in store.get_container()}


# --- listing ---
def test_listing_goes_beyond_the_page(store, tmp_path):
    write(tmp_path, {f"d{i % 3}/f{i:03d}.csv": b"x" for i in range(65)})
    store.upload(tmp_path, "/all/", recursive=True)
    assert len(store.get_container()) == 65  # the server's page holds 20
    assert len(store.get_container(prefix="/all/d1/")) == 22
    assert len(store.get_files_urls("/all/d1/", ".csv")) == 22
    assert len(store.fs.glob(f"{store.root}//all/d*/f00?.csv")) == 10
    assert len(store.fs.ls(f"{store.root}//all/d0")) == 22


def test_a_glob_sends_its_literal_prefix(store, monkeypatch):
    with store.open("a/2018/x.csv", "w") as f:
        f.write("1")
    asked = []
    real = SwiftFileSystem.list_objects

    def listed(self, container, prefix="", delimiter=None):
        asked.append(prefix)
        return real(self, container, prefix, delimiter)

    monkeypatch.setattr(SwiftFileSystem, "list_objects", listed)
    assert store.fs.glob(f"{store.root}/a/2018/*.csv") == [f"{store.root}/a/2018/x.csv"]
    assert asked == ["a/2018/"]


def test_names_that_begin_with_a_slash(store):
    with store.open("/datasets/a b%é.csv", "w") as f:
        f.write("sounding_id;x\n2018082505140535;1\n")
    url, = store.get_files_urls()
    assert f"{store.root}//datasets/a%20b%25%C3%A9.csv" in url
    assert store.get_dataframe(url).sounding_id.tolist() == [2018082505140535]
    assert store.get_dataframe("/datasets/a b%é.csv").shape == (1, 2)
    assert store.exists("/datasets/a b%é.csv") and not store.exists("datasets/a b%é.csv")
    assert store.fs.ls(store.root, detail=False) == [f"{store.root}//datasets"]
    assert list(store.fs.walk(store.root))[1][2] == ["a b%é.csv"]


def test_a_sounding_by_its_id(store):
    name = "/datasets/oco-2/peaks-detected-details/peak_data-si_2018082505140535.json"
    with store.open(name, "w") as f:
        json.dump([{"sounding_id": 2018082505140535, "xco2": 400.5}], f)
    for one in (2018082505140535, "2018082505140535"):
        url = store.get_url_from_sounding_id(one)
        assert url.endswith(f"{store.root}/{name}") and "//datasets" in url
        assert store.get_gaussian_param(one, store.get_dataframe(url))["sounding_id"] == 2018082505140535
    with pytest.raises(KeyError, match="2018082505140536"):
        store.get_gaussian_param(2018082505140536, store.get_dataframe(url))


def test_containers_of_the_account_and_others(store):
    assert store.root in [c["name"] for c in store.get_containers()]
    assert store.get_container(store.root) == []
    with pytest.raises(FileNotFoundError):
        store.get_container("no-such-container")
    assert store.swift_con().head_container(store.root)["x-container-object-count"] == "0"


# --- pandas and other readers, through the URL alone ---
def test_pandas_reads_and_writes_the_url(server, store, monkeypatch):
    monkeypatch.setenv("ST_AUTH", server.auth_url)
    monkeypatch.setenv("ST_USER", server.user)
    monkeypatch.setenv("ST_KEY", server.key)
    import fsspec
    fsspec.register_implementation("swift", SwiftFileSystem, clobber=True)
    df = pd.DataFrame({"sounding_id": [2018082505140535], "xco2": [400.25]})
    for ext in ("csv", "parquet"):
        url = f"swift://{store.root}//t/a.{ext}"
        getattr(df, f"to_{ext}")(url, index=False)
        pd.testing.assert_frame_equal(getattr(pd, f"read_{ext}")(url), df)
        pd.testing.assert_frame_equal(Datasets(f"swift://{store.root}").get_dataframe(url), df)


def test_ranges(store):
    data = bytes(range(256)) * 40
    path = f"{store.root}/r"
    store.fs.pipe(path, data)
    for start, end in [(0, 10), (5, 5), (10230, 10240), (10230, 99999), (-10, None), (None, -10), (-20, -10),
                       (20000, None)]:
        assert store.fs.cat_file(path, start, end) == data[start:end], (start, end)
    with store.fs.open(path, "rb", block_size=1000) as f:
        f.seek(5000)
        assert f.read(10) == data[5000:5010]
        f.seek(-3, 2)
        assert f.read() == data[-3:]


# --- writing ---
@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 12 * MIB])
def test_streamed_writes_of_any_size(store, size):
    data = os.urandom(size)
    with store.open("w/x.bin", "wb") as f:
        for i in range(0, size, 3 * MIB):
            f.write(data[i:i + 3 * MIB])
    with store.open("w/x.bin") as f:
        assert f.read() == data
    store.delete_files("w/", dry_run=False)
    assert store.get_container() == []
    if size > 5 * MIB:
        assert store.get_container(f"{store.root}_segments") == []


def test_a_write_that_fails_leaves_the_old_object(store):
    with store.open("x", "wb") as f:
        f.write(b"old")
    with pytest.raises(ZeroDivisionError), store.open("x", "wb") as f:
        f.write(b"n" * 6 * MIB)
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), store.open("x", "w") as f:
        f.write("new")
        raise ZeroDivisionError
    f = store.fs.open(f"{store.root}/x", "wb")
    f.write(b"half")
    del f
    assert contents(store) == {"x": b"old"}
    assert store.get_container(f"{store.root}_segments") == []


def test_12_mib_file_through_segments_and_back(store, tmp_path):
    data = os.urandom(12 * MIB)
    (tmp_path / "big.nc4").write_bytes(data)
    first = store.upload(tmp_path / "big.nc4", "/raw/")
    assert (first.sent, first.skipped, first.bytes) == (["/raw/big.nc4"], [], 12 * MIB)
    assert len(store.get_container(f"{store.root}_segments")) == 3
    assert store.upload(tmp_path / "big.nc4", "/raw/").skipped == ["/raw/big.nc4"]
    got = store.download("/raw/big.nc4", tmp_path / "back")
    assert got.bytes == 12 * MIB and (tmp_path / "back/big.nc4").read_bytes() == data
    assert abs((tmp_path / "back/big.nc4").stat().st_mtime - (tmp_path / "big.nc4").stat().st_mtime) < 1e-5
    assert store.download("/raw/big.nc4", tmp_path / "back").skipped == ["/raw/big.nc4"]
    # A copy stands on segments of its own, and an overwritten large object leaves none behind.
    store.fs.cp_file(f"{store.root}//raw/big.nc4", f"{store.root}/copy.nc4")
    (tmp_path / "big.nc4").write_bytes(b"small now")
    store.upload(tmp_path / "big.nc4", "/raw/")
    assert store.fs.cat_file(f"{store.root}/copy.nc4") == data
    assert len(store.get_container(f"{store.root}_segments")) == 3
    store.delete_files("copy", dry_run=False)
    assert store.get_container(f"{store.root}_segments") == []


def test_a_public_container_has_readable_segments(store, server, tmp_path):
    store.conn.post_container(store.root, {"x-container-read": ".r:*"})
    (tmp_path / "big.bin").write_bytes(b"x" * 6 * MIB)
    store.upload(tmp_path / "big.bin", "")
    import urllib.request
    with urllib.request.urlopen(store.url("big.bin")) as answer:
        assert len(answer.read()) == 6 * MIB


# --- upload, download, delete ---
def test_upload_keeps_folders_guesses_types_skips_identical(store, tmp_path):
    write(tmp_path, {"a/x.csv": b"1", "a/b/y.json": b"[]", "a/z.dat": b"z"})
    sent = store.upload(f"{tmp_path}/a/**", "/p/", recursive=True)
    assert sorted(sent.sent) == ["/p/b/y.json", "/p/x.csv", "/p/z.dat"]
    kinds = {o["name"]: o["content_type"] for o in store.get_container()}
    assert kinds == {"/p/x.csv": "text/csv", "/p/b/y.json": "application/json", "/p/z.dat": "application/octet-stream"}
    (tmp_path / "a/x.csv").write_bytes(b"2")
    again = store.upload(f"{tmp_path}/a/**", "/p/", recursive=True)
    assert again.sent == ["/p/x.csv"] and len(again.skipped) == 2
    assert store.upload(f"{tmp_path}/a/x.csv", "/q/", content_type="text/plain", flat=True).sent == ["/q/x.csv"]
    assert store.get_container(prefix="/q/")[0]["content_type"] == "text/plain"
    assert len(store.upload(f"{tmp_path}/a/**", "/p/", recursive=True, force=True).sent) == 3


def test_download_patterns_and_prefixes(store, tmp_path):
    for name in ["/d/2018/a.csv", "/d/2018/b.json", "/d/2019/a.csv", "/e.csv"]:
        with store.open(name, "w") as f:
            f.write(name)
    assert store.download("/d/*/a.csv", tmp_path / "1").sent == ["/d/2018/a.csv", "/d/2019/a.csv"]
    assert (tmp_path / "1/2019/a.csv").read_text() == "/d/2019/a.csv"
    store.download("/d/2018/", tmp_path / "2")
    assert sorted(p.name for p in (tmp_path / "2").iterdir()) == ["a.csv", "b.json"]
    store.download("/", tmp_path / "3")
    assert (tmp_path / "3/d/2018/a.csv").read_text() == "/d/2018/a.csv"
    with pytest.raises(FileNotFoundError, match="no object matches"):
        store.download("/nothing/", tmp_path)
    (tmp_path / "1/2019/a.csv").write_text("/d/2019/X.csv")  # same size, other bytes
    assert store.download("/d/*/a.csv", tmp_path / "1").sent == ["/d/2019/a.csv"]


def test_a_download_continues_in_the_middle_of_a_file(store, tmp_path):
    data = os.urandom(3 * MIB)
    store.fs.pipe(f"{store.root}/x.bin", data)
    etag = store.fs.info(f"{store.root}/x.bin")["etag"]
    (tmp_path / f".x.bin.{etag[:16]}.part").write_bytes(data[:2 * MIB])
    assert Datasets(root=tmp_path).get_container() == []  # what was cut off is nobody's object yet
    asked = []
    real = store.fs._receive_part
    store.fs._receive_part = lambda path, part, *a: (
        asked.append(part.stat().st_size if part.exists() else 0), real(path, part, *a))[1]
    store.download("x.bin", tmp_path)
    assert asked == [2 * MIB]
    assert [(p.name, p.read_bytes() == data) for p in tmp_path.iterdir()] == [("x.bin", True)]
    # A part whose bytes are wrong is found out and fetched again.
    (tmp_path / "x.bin").unlink()
    (tmp_path / f".x.bin.{etag[:16]}.part").write_bytes(b"0" * 2 * MIB)
    store.download("x.bin", tmp_path)
    assert [(p.name, p.read_bytes() == data) for p in tmp_path.iterdir()] == [("x.bin", True)]


def test_delete_is_a_dry_run_unless_told(store, capsys):
    for name in ["/Trash/a", "/Trash/b", "/keep"]:
        with store.open(name, "w") as f:
            f.write("x")
    assert store.delete_files() == ["/Trash/a", "/Trash/b"]
    assert "would be deleted" in capsys.readouterr().out
    assert len(store.get_container()) == 3
    assert store.delete_files("/Trash/", "b", dry_run=False) == ["/Trash/b"]
    assert store.delete_files(dry_run=False) == ["/Trash/a"]
    assert list(contents(store)) == ["/keep"]


def test_deletion_of_names_that_need_quoting(store):
    names = ["a b", "é", "x%20y", "new\nline", "a?b#c", "/lead", "dir/", "日本"]
    for name in names:
        store.conn.put_object(store.root, name, b"x")
    store.fs.delete_objects(store.root, store.get_container())
    assert store.get_container() == []


def test_metadata(store):
    path = f"{store.root}/m.csv"
    store.fs.pipe(path, b"x")
    store.fs.set_metadata(path, colour="red", mtime="1.5")
    store.fs.set_metadata(path, colour=None, source="oco2")
    assert store.fs.metadata(path) == {"mtime": "1.5", "source": "oco2"}
    assert store.fs.info(path)["content_type"] == "text/csv"


# --- hostile names ---
HOSTILE = ["../x", "../../etc/cron.d/x", "a/../../x", "a/b/../../../x", "/etc/passwd", "//etc/passwd", "..", ".", "./x",
           "a/./b", "a/..", "C:\\x", "c:x", "C:/Windows/x", "Z:x", "a\\b", "..\\x", "\\\\host\\share\\x", "\\x",
           "a/..\\..\\x", "x\ny", "x\ry", "x\ty", "\x1b[2Jx", "a\x7f/../x", " ", "link/x", "link/../x", "deep/link2/x",
           "file/x", "a/../b", "...//../x", "x/../../link/x", "CON\\x", "d:/../x", "..//x", "/", "//", "/../x"]


def put_raw(store, name):
    """PUT as no well-meaning client would: the path goes out as it is."""
    url = urllib.parse.urlsplit(store.fs.account.storage_url)
    conn = http.client.HTTPConnection(url.netloc)
    path = f"{url.path}/{store.root}/" + urllib.parse.quote(name, safe="/.")
    conn.request("PUT", path, b"gotcha", {"X-Auth-Token": store.fs.account._shared[1]})
    assert conn.getresponse().status == 201, name
    conn.close()


def test_names_that_would_reach_another_object_are_refused(store):
    for name in ("b", "a/../b"):
        put_raw(store, name)
    for work in (lambda: store.open("a/../b"), lambda: store.open("a/../b", "wb"),
                 lambda: store.fs.rm(f"{store.root}/a/../b"),
                 lambda: store.fs.info(f"{store.root}/a/../b"), lambda: store.upload(__file__, "x/../")):
        with pytest.raises(InputError, match="refused"):
            work()
    assert store.delete_files("a/../b", dry_run=False) == ["a/../b"]  # in bulk, by the name itself
    assert [o["name"] for o in store.get_container()] == ["b"]


def test_hostile_names_never_leave_the_folder(store, tmp_path):
    outside, to = tmp_path / "outside", tmp_path / "root" / "to"
    outside.mkdir()
    (to / "deep").mkdir(parents=True)
    (to / "link").symlink_to(outside)
    (to / "deep/link2").symlink_to("../../../outside")
    assert len(HOSTILE) >= 30
    for name in [*HOSTILE, "good/ok.csv", "file"]:
        put_raw(store, name)
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    with pytest.raises(InputError, match="refused"):
        store.download("", to)
    after = sorted(str(p) for p in tmp_path.rglob("*"))
    new = {os.path.relpath(p, to) for p in set(after) - set(before)}
    assert new == {"good", "good/ok.csv", "file"}
    for name in HOSTILE:
        with contextlib.suppress(InputError, FileNotFoundError):
            store.download(name, to)
    assert {p for p in map(str, tmp_path.rglob("*")) if not p.startswith(f"{to}/")} == {
        str(outside), str(to.parent), str(to)}
    assert list(outside.iterdir()) == []
    store.delete_files("*", dry_run=False)
    put_raw(store, "/etc/passwd")
    with pytest.raises(InputError, match="/etc/passwd.*prefix '/'"):
        store.download("", to)
    assert store.download("/", to).sent == ["/etc/passwd"] and (to / "etc/passwd").exists()


# --- who may, and secrets ---
def test_refusals_are_permission_errors(server, store, container):
    given = server.settings["swift_storage"]
    wrong = Datasets({"swift_storage": given | {"key": "wrong-key"}}, container=container, **QUICK)
    with pytest.raises(PermissionError) as e:
        wrong.get_container()
    assert "wrong-key" not in str(e.value)
    user, key = server.reader
    reader = Datasets({"swift_storage": given | {"user": user, "key": key}}, container=container, **QUICK)
    with pytest.raises(PermissionError):
        reader.get_container()
    with pytest.raises(FileNotFoundError, match="no such"):
        store.open("absent")
    with pytest.raises(FileNotFoundError):
        store.get_dataframe("absent.csv")


def v3(identity, **other):
    return {"swift_storage": {"auth_url": identity.auth_url, "auth_version": "3", "user": identity.user,
                              "key": identity.password, "tenant_name": identity.project,
                              "options": {"region_name": identity.region}} | other}


@pytest.mark.parametrize("kind", ["password", "user id", "application credential"])
def test_keystone_v3_renews_its_token(server, store, container, tmp_path, kind):
    with Identity(server) as identity:
        config = v3(identity)
        if kind == "user id":
            config["swift_storage"] |= {"user": "", "options": {"user_id": identity.user_id, "region_name": "GRA"}}
        if kind == "application credential":
            config = {"swift_storage": {"auth_url": identity.auth_url, "options": {
                "application_credential_id": identity.credential_id, "region_name": "GRA",
                "application_credential_secret": identity.credential_secret}}}
        s3 = Datasets(config, container=container, **QUICK)
        write(tmp_path, {f"{i}.csv": b"x%d" % i for i in range(30)})
        s3.upload(tmp_path, "a/")
        server.expire_tokens()
        write(tmp_path, {f"{i}.csv": b"y%d" % i for i in range(30)})
        assert len(s3.upload(tmp_path, "a/").sent) == 30
        assert contents(store) == {f"a/{i}.csv": b"y%d" % i for i in range(30)}
        assert 2 <= identity.issued <= 6  # not once a thread and file


def test_region_that_is_not_in_the_catalog(server, container):
    with Identity(server) as identity:
        bad = Datasets(v3(identity, options={"region_name": "MARS"}), container=container, **QUICK)
        with pytest.raises((InputError, OSError), match="MARS|catalog|endpoint"):
            bad.get_container()
        wrong = Datasets(v3(identity, key="wrong-key"), container=container, **QUICK)
        with pytest.raises(PermissionError):
            wrong.get_container()


def test_no_secret_is_shown(server, store, container, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with Identity(server) as identity:
        for config, secret in ((server.settings, server.key), (v3(identity), identity.password)):
            s = Datasets(config, container=container, **QUICK)
            s.get_container()
            shown = [repr(s), str(s), repr(s.config), repr(s.fs), repr(s.fs.account), repr(s.fs.storage_options),
                     s.url("x"), repr(s.fs.account.settings), repr(vars(s))]
            wrong = json.loads(json.dumps(config))
            wrong["swift_storage"]["key"] = secret + "-wrong"
            try:
                Datasets(wrong, container=container, **QUICK).get_container()
            except PermissionError:
                shown.append(traceback.format_exc())
            shown += [r.getMessage() for r in caplog.records]
            assert shown and not [t for t in shown if secret in t]


def test_credentials_from_the_environment_and_clouds_yaml(server, container, tmp_path, monkeypatch):
    with Identity(server) as identity:
        for k, v in {"AUTH_URL": identity.auth_url, "USERNAME": identity.user, "PASSWORD": identity.password,
                     "PROJECT_NAME": "oco", "USER_DOMAIN_NAME": "Default", "PROJECT_DOMAIN_NAME": "Default",
                     "REGION_NAME": "GRA", "IDENTITY_API_VERSION": "3"}.items():
            monkeypatch.setenv(f"OS_{k}", v)
        s = Datasets(f"swift://{container}", **QUICK)
        s.fs.ensure_container(container)
        assert s.get_container() == []
        # The secret alone from the environment.
        half = v3(identity)
        del half["swift_storage"]["key"]
        assert Datasets(half, container=container, **QUICK).get_container() == []
        for k in list(os.environ):
            if k.startswith("OS_"):
                monkeypatch.delenv(k)
        with pytest.raises(InputError, match="OS_PASSWORD"):
            Datasets(half, container=container)
        (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": {"ovh": {
            "auth": {"auth_url": identity.auth_url, "username": identity.user, "project_name": "oco"},
            "region_name": "GRA", "identity_api_version": 3}}}))
        (tmp_path / "secure.yaml").write_text(json.dumps({"clouds": {"ovh": {"auth": {
            "password": identity.password}}}}))
        (tmp_path / "secure.yaml").chmod(0o600)
        monkeypatch.chdir(tmp_path)
        assert Datasets(cloud="ovh", container=container, **QUICK).get_container() == []
        with pytest.raises(InputError, match="no cloud 'mars'"):
            Datasets(cloud="mars")
        (tmp_path / "secure.yaml").chmod(0o644)
        with pytest.warns(UserWarning, match="chmod 600"):
            Datasets(cloud="ovh", container=container)


def test_the_filesystem_pickles(swift, store):
    again = pickle.loads(pickle.dumps(store.fs))
    again.pipe(f"{store.root}/p", b"1")
    assert store.fs.cat(f"{store.root}/p") == b"1"
    there = pickle.loads(pickle.dumps(store))  # as a worker of another process gets it
    assert there.open("p").read() == b"1" and there.conn.head_object(store.root, "p")["content-length"] == "1"


# --- peers ---
@pytest.mark.skipif(not shutil.which("rclone"), reason="no rclone (Debian package); uploads are compared by hash above")
def test_rclone_agrees_with_our_upload(usual_server, container, tmp_path):
    server, store = usual_server, Datasets(usual_server.settings, container=container, **QUICK)
    write(tmp_path / "src", {"a.csv": b"1,2", "b/c d.json": b"[]", "é.txt": b"x", "big.bin": os.urandom(6 * MIB)})
    store.upload(tmp_path / "src", "up/", recursive=True)
    env = {**os.environ, "RCLONE_CONFIG": str(tmp_path / "none.conf"), "RCLONE_CONFIG_S_TYPE": "swift",
           "RCLONE_CONFIG_S_USER": server.user, "RCLONE_CONFIG_S_KEY": server.key,
           "RCLONE_CONFIG_S_AUTH": server.auth_url}
    run = subprocess.run(["rclone", "check", str(tmp_path / "src"), f"s:{store.root}/up"], env=env, capture_output=True,
                         text=True)
    assert run.returncode == 0, run.stderr
    assert "0 differences found" in run.stderr
    # and what rclone sends, we take for identical.
    subprocess.run(["rclone", "copy", "--swift-chunk-size", "4M", str(tmp_path / "src"), f"s:{store.root}/rc"], env=env,
                   check=True, capture_output=True)
    store.download("rc/", tmp_path / "back")
    assert {p.name: p.read_bytes() for p in (tmp_path / "back").rglob("*") if p.is_file()} == {
        p.name: p.read_bytes() for p in (tmp_path / "src").rglob("*") if p.is_file()}
    assert store.get_dataframe("rc/a.csv").shape == (0, 2)
    # Its segments are of another kind, so the large one goes again.
    assert store.upload(tmp_path / "src", "rc/", recursive=True).sent == ["rc/big.bin"]


@pytest.mark.slow
@pytest.mark.parametrize("page", [20, 10000])
def test_ten_thousand_objects(page, container, tmp_path):
    store = Datasets(running_server(container_listing_limit=page).settings, container=container, **QUICK)
    write(tmp_path, {f"{i % 10}/{i:05d}": b"%d" % i for i in range(10000)})
    assert len(store.upload(tmp_path, "/many/", recursive=True).sent) == 10000
    names = [o["name"] for o in store.get_container(prefix="/many/")]
    assert names == sorted(f"/many/{i % 10}/{i:05d}" for i in range(10000))
    assert len(store.upload(tmp_path, "/many/", recursive=True).skipped) == 10000
    assert len(store.delete_files("/many/", dry_run=False)) == 10000
    assert store.get_container() == []


def test_urls_are_quoted_like_names(store):
    for name in ["a b.csv", "é.csv", "50%.csv", "a#b.csv", "a?b.csv", "a+b.csv"]:
        with store.open(name, "w") as f:
            f.write("a,b\n1,2\n")
        assert urllib.parse.unquote(store.url(name)).endswith(name)
        assert store.get_dataframe(store.url(name)).shape == (1, 2)
