"""The embedded store, tables and names: what the notebook does not show."""
import bz2
import configparser
import contextlib
import gzip
import http.server
import importlib
import json
import lzma
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout import ROOT, SHARED_DATA

from oco2_outliers.datasets import Datasets, InputError, SwiftFileSystem, read_table
from oco2_outliers.ground.files import temporary_name

ID = 2018082505140535


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return Datasets(root=tmp_path / "store") if request.param == "folder" else Datasets(f"memory://{tmp_path.name}")


@pytest.fixture
def files(tmp_path):
    for name, text in {"a/x.csv": "1", "a/b/y.json": "[]", "a/b/z.csv": "3"}.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "src"


def put(store, name, text="x"):
    with store.open(name, "w") as file:
        file.write(text)


# --- where the store is ---
def test_the_default_is_a_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("OCO2_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if sys.platform == "linux":
        assert Datasets().root == str(tmp_path / "data/oco2_outliers")
    monkeypatch.setenv("OCO2_STORE", str(tmp_path / "x y"))
    assert Datasets().root == str(tmp_path / "x y")
    monkeypatch.setenv("OCO2_STORE", (tmp_path / "x y").as_uri())
    assert Datasets().root == str(tmp_path / "x y")
    monkeypatch.setenv("OCO2_STORE", "memory://m")
    assert repr(Datasets()) == "Datasets('memory:///m/')"
    assert Datasets(root=tmp_path).root == str(tmp_path)
    assert not (tmp_path / "x y").exists()  # nothing is made before something is written


def test_configurations(tmp_path, monkeypatch):
    for name in ("a", "a.json"):
        path = tmp_path / name
        path.write_text(json.dumps({"root": str(tmp_path / "r")}))
    assert Datasets(tmp_path / "a.json").root == str(tmp_path / "r")
    assert Datasets({"root": "memory://r"}).root == "/r"
    with pytest.raises(InputError, match="is a file"):
        Datasets(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="no such configuration"):
        Datasets("none.json")
    for text in ("{", "[]", '{"swift_storage": 3}', '"key"'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError):
            Datasets(tmp_path / "bad.json")
    for shipped in (ROOT / "configs").glob("*.json"):
        config = json.loads(shipped.read_text())
        assert not config.get("swift_storage", {}).get("key")  # no secrets are shipped


def test_missing_credentials_are_named(monkeypatch):
    for k in list(os.environ):
        if k.startswith(("OS_", "ST_")):
            monkeypatch.delenv(k)
    with pytest.raises(InputError, match=r"user \(OS_USERNAME\), key \(OS_PASSWORD\)"):
        Datasets({"swift_storage": {"auth_url": "https://x/v3"}})
    with pytest.raises(InputError, match="auth_version 2"):
        Datasets({"swift_storage": {"auth_url": "https://x/v2", "user": "u", "key": "k", "auth_version": "2"}})
    with pytest.raises(InputError, match="name one container"):
        Datasets("swift://a/b")
    with pytest.raises(InputError, match="OS_APPLICATION_CREDENTIAL_SECRET"):
        Datasets({"swift_storage": {"auth_url": "https://x/v3", "application_credential_id": "1"}})
    s = Datasets({"swift_storage": {"auth_url": "https://x/v3", "user": "u", "key": "hush", "base_url": "https://y/v1/A/oco2/"}})
    assert s.get_url_from_sounding_id(ID) == (
        f"https://y/v1/A/oco2//datasets/oco-2/peaks-detected-details/peak_data-si_{ID}.json")
    assert "hush" not in repr(s) + repr(s.config) + repr(vars(s))


def test_a_secret_that_others_can_read_is_warned_about(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"swift_storage": {"auth_url": "https://x/v3", "user": "u", "key": "hush"}}))
    path.chmod(0o644)
    with pytest.warns(UserWarning, match="chmod 600") as w:
        Datasets(path)
    assert "hush" not in str(w[0].message)
    path.chmod(0o600)
    Datasets(path)


# --- files ---
def test_the_same_calls_as_on_swift(store, files, tmp_path, capsys):
    assert sorted(store.upload(f"{files}/**", "/Trash/", recursive=True).sent) == [
        "/Trash/a/b/y.json", "/Trash/a/b/z.csv", "/Trash/a/x.csv"]
    assert store.upload(f"{files}/**", "/Trash/", recursive=True).sent == []
    (files / "a/x.csv").write_text("2")
    assert store.upload(f"{files}/**", "/Trash/", recursive=True).sent == ["/Trash/a/x.csv"]
    assert store.upload(f"{files}/a/**/*.csv", "flat/", recursive=True, flat=True).sent == ["flat/z.csv", "flat/x.csv"]
    assert [o["name"] for o in store.get_container(prefix="/Trash/a/b/")] == ["Trash/a/b/y.json", "Trash/a/b/z.csv"]
    assert store.get_containers()[0] == {"name": "oco2", "count": 5, "bytes": 6}
    assert len(store.get_files_urls("/Trash/")) == 3 and len(store.get_files_urls("/Trash/", ".csv")) == 2
    assert len(store.get_files_urls("*/x.csv")) == 2 and len(store.get_files_urls()) == 5
    got = store.download("/Trash/a/", tmp_path / "got")
    assert sorted(got.sent) == ["Trash/a/b/y.json", "Trash/a/b/z.csv", "Trash/a/x.csv"]
    assert (tmp_path / "got/x.csv").read_text() == "2" and (tmp_path / "got/b/z.csv").read_text() == "3"
    assert store.download("/Trash/a/", tmp_path / "got").sent == []
    assert store.download("flat/x.csv", tmp_path / "one").sent == ["flat/x.csv"]
    assert len(store.delete_files()) == 3 and len(store.get_container()) == 5
    assert len(store.delete_files(dry_run=False)) == 3 and len(store.get_container()) == 2
    assert "would be deleted" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="no file matches"):
        store.upload(f"{files}/*.nothing")
    with pytest.raises(FileNotFoundError):
        store.get_container("another")


def test_a_store_travels_to_another_process(store):
    put(store, "x", "1")
    assert pickle.loads(pickle.dumps(store)).open("x").read() == b"1"


def test_two_files_for_one_name_are_refused(store, tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_text(folder)
    with pytest.raises(InputError, match="both become"):
        store.upload(f"{tmp_path}/?/x", flat=True)


def test_writes_are_whole(store):
    put(store, "x", "old")
    for mode in ("w", "wb"):
        with pytest.raises(KeyError), store.open("x", mode) as file:
            file.write("new" if mode == "w" else b"new")
            raise KeyError
    file = store.open("x", "wb")
    file.write(b"half")
    file.discard()
    with store.open("x", "r") as file:
        assert file.read() == "old"
    assert [o["name"] for o in store.get_container()] == ["x"]
    with pytest.raises(FileNotFoundError, match="no 'y'"):
        store.open("y")
    with pytest.raises(InputError, match="mode"):
        store.open("x", "a")


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    code = ("import os, sys; from oco2_outliers.datasets import Datasets\n"
            "f = Datasets(root=sys.argv[1]).open('x', 'wb'); f.write(b'n' * 10**6); f.flush(); os._exit(1)")
    put(Datasets(root=tmp_path), "x", "old")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / "x").read_text() == "old"
    assert [o["name"] for o in Datasets(root=tmp_path).get_container()] == ["x"]
    assert len(list(tmp_path.iterdir())) == 2  # the part that was left is not listed


KILLED = {
    "a file": "held = whole_file(folder / 'a.csv'); held.write(b'n' * 10**6)",
    "a page": "held = whole_path(folder / 'page.html'); held.__enter__().write_text('half')",
    "results": "held = whole_folder(folder / 'run'); (held.__enter__() / 'labels.csv').write_text('half')",
}


@pytest.mark.parametrize("kind", KILLED)
def test_what_a_killed_writer_left_is_no_object(tmp_path, kind):
    code = ("import os, sys; from pathlib import Path\n"
            "from oco2_outliers.ground.files import whole_file, whole_folder, whole_path\n"
            f"folder = Path(sys.argv[1]); {KILLED[kind]}; os._exit(1)")
    put(Datasets(root=tmp_path / "store"), "old.csv")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "store")], check=False)
    left = [p for p in (tmp_path / "store").rglob("*") if p.is_file() and p.name != "old.csv"]
    assert len(left) == 1
    only_the_old(Datasets(root=tmp_path / "store"), tmp_path / "to")
    assert left[0].exists()  # it is for its writer, or the next one there, to remove


def only_the_old(store, to):
    """Every call that lists, fetches or deletes sees `old.csv` and nothing else."""
    assert [o["name"] for o in store.get_container()] == ["old.csv"]
    assert store.get_containers()[0]["count"] == len(store.list_objects()) == 1
    assert store.get_files_urls() == store.get_files_urls("*.csv") == [store.url("old.csv")]
    assert store.download("*", to).sent == ["old.csv"]
    assert [p.name for p in to.rglob("*")] == ["old.csv"]
    assert store.delete_files("*", dry_run=False) == ["old.csv"] and store.get_container() == []


@pytest.mark.parametrize("name", [
    temporary_name("a.csv"), f"2018/{temporary_name('a.csv')}", f"{temporary_name('results')}/labels.csv",
    f"run/{temporary_name('results')}/deep/labels.csv", ".granule.nc4.d41d8cd98f00b204.part",
], ids=["file", "file in a folder", "folder", "folder in a folder", "of an older version"])
def test_unfinished_work_is_no_object(store, tmp_path, name):
    for each in (name, "old.csv"):
        store.fs.makedirs(store.fs._parent(f"{store.root}/{each}"), exist_ok=True)
        store.fs.pipe(f"{store.root}/{each}", b"half")
    only_the_old(store, tmp_path / "to")
    assert store.fs.isfile(f"{store.root}/{name}")


def test_names_that_only_look_unfinished_are_objects(store):
    names = [".hidden.csv", "a.part", ".a.part", "b.part/x.csv"]
    for name in names:
        put(store, name)
    assert [o["name"] for o in store.get_container()] == sorted(names)


HOSTILE = ["../x", "a/../../x", "..", ".", "", "/", "a\\..\\x", "C:\\x", "c:x", "a\0b", "x\n", "link/x", "./x", "a/",
           "\x1b[2J"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", ["rb", "wb"])
def test_hostile_names_are_refused(tmp_path, name, mode):
    (tmp_path / "outside").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store/link").symlink_to("../outside")
    with pytest.raises(InputError, match="refused"):
        Datasets(root=tmp_path / "store").open(name, mode)
    assert sorted(os.listdir(tmp_path)) == ["outside", "store"] and os.listdir(tmp_path / "outside") == []


@settings(max_examples=150)
@given(st.text(alphabet=st.sampled_from("ab./\\:~ \0\n"), max_size=12))
def test_no_name_leaves_the_folder(name):
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        with contextlib.suppress(InputError, OSError):
            put(Datasets(root=root), name)
        assert {p.name for p in Path(folder).iterdir()} <= {"root"}


# --- tables ---
def test_every_kind_of_table_comes_back_the_same(store, tmp_path):
    df = pd.DataFrame({"sounding_id": np.array([ID, ID + 8]), "xco2": [400.878540, 0.1 + 0.2], "name": ["a;b", "c,d"]})
    comma, semicolon = df.to_csv(index=False).encode(), df.to_csv(index=False, sep=";").encode()
    records, columns = df.to_json(orient="records", double_precision=15), df.to_json(double_precision=15)
    made = {"a.csv": comma, "b.csv": semicolon, "c.csv.gz": gzip.compress(comma), "d.csv.bz2": bz2.compress(semicolon),
            "e.csv.xz": lzma.compress(comma), "f.xz": lzma.compress(semicolon), "g.json": records.encode(),
            "h.json": columns.encode(), "i.CSV": comma, "j.csv": b"\xef\xbb\xbf" + comma,
            "k.json.gz": gzip.compress(records.encode())}
    df.to_parquet(tmp_path / "l.parquet")
    made["l.parquet"] = (tmp_path / "l.parquet").read_bytes()
    for name, data in made.items():
        with store.open(name, "wb") as file:
            file.write(data)
        (tmp_path / name).write_bytes(data)
        local = tmp_path / name
        for got in (store.get_dataframe(name), store.get_dataframe(store.url(name)), store.get_dataframe(local),
                    read_table(local), store.get_dataframe(local.as_uri())):
            assert got.sounding_id.dtype == "int64"
            pd.testing.assert_frame_equal(got, df, rtol=0 if "json" not in name else 1e-14, atol=0)


@settings(max_examples=60)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_floats_keep_their_last_digit(values):
    import io
    text = "x,y\n" + "".join(f"{v!r},1\n" for v in values)
    assert read_table(io.BytesIO(text.encode()), "a.csv").x.astype(float).tolist() == values
    text = json.dumps([{"x": v} for v in values])
    assert read_table(io.BytesIO(text.encode()), "a.json").x.astype(float).tolist() == values


@pytest.mark.parametrize("text", [f"{ID}", f"{ID}.0", "2.018082505140535e15", "2.018082505140535E+15"])
@pytest.mark.parametrize("kind", ["csv", "json", "json text"])
def test_ids_are_exact(tmp_path, text, kind):
    path = tmp_path / f"a.{kind[:4].strip()}"
    path.write_text({"csv": f"sounding_id\n{text}\n", "json": f'[{{"sounding_id": {text}}}]',
                     "json text": f'[{{"sounding_id": "{text}"}}]'}[kind])
    df = read_table(path)
    assert df.sounding_id.dtype == "int64" and df.sounding_id.tolist() == [ID]


@pytest.mark.parametrize("number", [10**18, 2**63 - 200, 2**63 - 1])
def test_ids_up_to_the_largest_int64_are_exact_in_every_kind(tmp_path, number):
    pd.DataFrame({"sounding_id": [number]}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text(f"sounding_id,x\n{number},1\n")
    (tmp_path / "b.csv").write_text(f"sounding_id,x\n{str(number)[0]}.{str(number)[1:]}e18,1\n")
    (tmp_path / "a.json").write_text(json.dumps([{"sounding_id": number}]))
    for name in ("a.parquet", "a.csv", "b.csv", "a.json"):
        ids = read_table(tmp_path / name).sounding_id
        assert ids.dtype == "int64" and ids.tolist() == [number], name


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 10**25])
def test_larger_ids_are_refused_as_what_they_are(tmp_path, number):
    (tmp_path / "a.csv").write_text(f"sounding_id\n{number}\n")
    (tmp_path / "a.json").write_text(json.dumps([{"sounding_id": number}]))
    for name in ("a.csv", "a.json"):
        with pytest.raises(InputError, match=rf"'{number}', larger than 2\*\*63 - 1"):
            read_table(tmp_path / name)
    (tmp_path / "long.csv").write_text(f"sounding_id\n{'9' * 5000}\n")  # more digits than Python turns into a number
    with pytest.raises(InputError, match="larger than") as e:
        read_table(tmp_path / "long.csv")
    assert len(str(e.value)) < 500


def test_a_float_that_lost_digits_is_no_id(tmp_path):
    (tmp_path / "a.json").write_text('[{"sounding_id": 12345678901234567.0}]')  # becomes ...568
    with pytest.raises(InputError, match="all its digits"):
        read_table(tmp_path / "a.json")
    pd.DataFrame({"sounding_id": np.array([ID], np.float32)}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="float32, which has lost digits"):
        read_table(tmp_path / "a.parquet")


def test_the_index_of_a_parquet_file_is_not_lost(tmp_path):
    df = pd.DataFrame({"sounding_id": [ID, ID + 1], "orbit": [1, 2], "xco2": [400.5, 401.5]})
    for keys in ("sounding_id", ["orbit", "sounding_id"], ["sounding_id", "orbit"]):
        df.set_index(keys).to_parquet(tmp_path / "a.parquet")
        back = read_table(tmp_path / "a.parquet")
        pd.testing.assert_frame_equal(back[list(df)], df)
        assert isinstance(back.index, pd.RangeIndex) and len(back.columns) == 3
    df.set_index("sounding_id", drop=False).rename(columns={"orbit": "n"}).to_parquet(tmp_path / "a.parquet")
    back = read_table(tmp_path / "a.parquet")  # the column is there already
    assert list(back) == ["sounding_id", "n", "xco2"] and back.index.names == [None]
    df.set_index(pd.Index([7, 9])).to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").index.tolist() == [7, 9]  # without a name it is no column


@pytest.mark.parametrize(("name", "data", "says"), [
    ("a.csv", b"", "empty"), ("a.json", b"", "empty"), ("a.parquet", b"", "empty"),
    ("a.csv.gz", gzip.compress(b"", mtime=0), "empty"),
    ("a.csv", b"sounding_id,x\n,1\n", "missing"), ("a.csv", b"sounding_id\n2.018e15\n", "all its digits"),
    ("a.csv", b"sounding_id\n2018x\n", "all its digits"), ("a.json", b'[{"sounding_id": null}]', "missing"),
    ("a.json", b'[{"sounding_id": 1.5}]', "all its digits"), ("a.json", b'[{"sounding_id": 1e300}]', "all its digits"),
    ("a.csv", b"a,b\n1,2,3\n", "more cells than its header"), ("a.csv", b"a,b\n1,2\n1,2,3\n", "cannot be read"),
    ("a.csv", b"\xff\xfe\x00", "cannot be read"), ("a.json", b"{", "cannot be read"), ("a.json", b"3", "neither"),
    ("a.json", b"[" * 100000, "cannot be read"), ("a.parquet", b"PAR1 no", "cannot be read"),
    ("a.csv.gz", b"no", "cannot be read"), ("a.csv.bz2", b"no", "cannot be read"),
    ("a.csv.xz", b"no", "cannot be read"),
    ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "cannot be read"),
    ("a.nc4", b"x", "read_lite"), ("a.h5", b"x", "read_lite"), ("a.pkl", b"x", "unknown"), ("a", b"x", "unknown"),
])
def test_what_cannot_be_read_says_so_in_one_line(store, tmp_path, name, data, says):
    with store.open(name, "wb") as file:
        file.write(data)
    (tmp_path / name).write_bytes(data)
    for read in (lambda: store.get_dataframe(name), lambda: read_table(tmp_path / name)):
        with pytest.raises(InputError, match=says) as e:
            read()
        assert "\n" not in str(e.value) and len(str(e.value)) < 500


def test_what_is_not_there(store, tmp_path):
    for where in ("none.csv", tmp_path / "none.csv", (tmp_path / "none.csv").as_uri(), store.url("none.csv")):
        with pytest.raises(FileNotFoundError) as e:
            store.get_dataframe(where)
        assert "\n" not in str(e.value)


def test_nothing_is_invented(store):
    put(store, "a.csv", "sounding_id,xco2\n1,\n")
    df = store.get_dataframe("a.csv")
    assert list(df.columns) == ["sounding_id", "xco2"] and df.xco2.isna().all()


def test_gaussian_param(store):
    df = pd.DataFrame({"sounding_id": [float(ID), float(ID + 8)], "slope": [1.5, 2.5], "n": [1, 2]})
    got = store.get_gaussian_param(str(ID + 8), df)
    assert got["slope"] == 2.5 and got["n"] == 2 and store.get_peak_param(ID, df)["slope"] == 1.5
    with pytest.raises(KeyError, match=str(ID + 1)):
        store.get_gaussian_param(ID + 1, df)
    with pytest.raises(InputError, match="no column"):
        store.get_gaussian_param(ID, df[["slope"]])
    with pytest.raises(InputError):
        store.get_url_from_sounding_id("../../x")


def test_http(store, tmp_path):
    (tmp_path / "a b.csv").write_text(f"sounding_id;x\n{ID};1\n")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):  # noqa: N802
            if "secret" in self.path:
                return self.send_error(403)
            if "short" in self.path:
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                return self.wfile.write(b"a,b\n1,2\n")
            return super().do_GET()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        for url in (f"{base}/a b.csv", f"{base}/a%20b.csv", f"{base}//a%20b.csv?sig=1"):
            assert store.get_dataframe(url).sounding_id.tolist() == [ID]
        with pytest.raises(FileNotFoundError, match="404"):
            store.get_dataframe(f"{base}/none.csv")
        with pytest.raises(PermissionError, match="403") as e:
            store.get_dataframe(f"{base}/secret.csv?sig=abc")
        assert "sig=abc" not in str(e.value)
        with pytest.raises(OSError, match="broke|Incomplete"):
            store.get_dataframe(f"{base}/short.csv")
        server.shutdown()
    with pytest.raises(OSError, match="cannot be reached"):
        store.get_dataframe(f"{base}/a.csv")


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX; test_isolate meets targets in the way")
def test_permissions():
    """Also as root, whom no permission binds: it becomes nobody for the while."""
    with tempfile.TemporaryDirectory() as place:  # not tmp_path, which nobody but its owner may enter
        folder = Path(place)
        store = Datasets(root=folder)
        put(store, "a/x.csv")
        folder.chmod(0o755)
        (folder / "a").chmod(0o555)
        mine = os.geteuid()
        try:
            if mine == 0:
                os.seteuid(65534)
            with store.open("a/x.csv") as file:
                assert file.read()
            with pytest.raises(PermissionError):
                put(store, "a/y.csv")
        finally:
            os.seteuid(mine)
            (folder / "a").chmod(0o755)
        assert [o["name"] for o in store.get_container()] == ["a/x.csv"]


def test_the_module_starts_without_what_a_folder_does_not_need():
    code = ("import sys, oco2_outliers.datasets as d; d.Datasets('memory://x').get_container()\n"
            "print([m for m in ('swiftclient', 'keystoneauth1', 'pandas', 'pyarrow', 'requests') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_entry_point():
    import fsspec
    assert fsspec.get_filesystem_class("swift") is SwiftFileSystem
    parser = configparser.ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    module, name = parser["DEFAULT"]["fsspec_specs"].removeprefix("swift=").split(":")
    assert getattr(importlib.import_module(module), name) is SwiftFileSystem
    assert SwiftFileSystem.__module__ == module


def test_swift_verbs_stand_apart_from_fsspec():
    """The verbs know nothing of fsspec, and none of them hides one of its methods."""
    from fsspec import AbstractFileSystem

    from oco2_outliers.store.segments import SwiftObjects
    assert not issubclass(SwiftObjects, AbstractFileSystem) and issubclass(SwiftFileSystem, SwiftObjects)
    verbs = {name for kind in SwiftObjects.__mro__[:-1] for name in vars(kind) if not name.startswith("__")}
    assert len(verbs) > 20 and not verbs & set(dir(AbstractFileSystem))


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(),
                    reason="no real data beside the project; the tests above read generated tables")
def test_real_tables():
    for path in [*SHARED_DATA.glob("peaks/**/*.csv"), *SHARED_DATA.glob("soundings/*.csv")]:
        df = read_table(path)
        assert len(df)
        if "sounding_id" in df.columns:
            # Digit for digit what stands in the file.
            assert df.sounding_id.astype(str).tolist() == pd.read_csv(
                path, sep=None, engine="python", dtype=str).sounding_id.str.replace(r"\.0$", "", regex=True).tolist()
