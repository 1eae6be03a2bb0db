"""What a store refuses and in which words, which names it means, and what it leaves out or behind."""
import os
import socket
import subprocess
import sys
import time
import warnings

import pytest
from swift_server.fixtures import QUICK, container, running_server, server, store  # noqa: F401

from oco2_outliers.cli import main
from oco2_outliers.datasets import Datasets, InputError, SwiftFileSystem
from oco2_outliers.ground.files import temporary_name
from oco2_outliers.store.settings import swift_settings

# ruff: noqa: F811 - the fixtures are imported by name
AUTH = {"OS_AUTH_URL": "https://auth.example/v3", "OS_USERNAME": "u", "OS_PASSWORD": "s3cret", "OS_PROJECT_NAME": "x"}


def run(capsys, *args):
    """Exit code, output and errors of a command."""
    try:
        code = main([*map(str, args)]) or 0
    except SystemExit as e:
        code = e.code or 0
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("OS_", "ST_", "OCO2_STORE")):
            monkeypatch.delenv(name)
    for name, value in AUTH.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


# --- settings ---
@pytest.mark.parametrize("text", [
    "clouds: {c: {auth: text}}", "clouds: {c: {auth: [1]}}", "clouds: {c: text}", "clouds: [c]", "clouds: text", "[1]",
    "text", "clouds: {c: {auth: {auth_url: [https://a]}}}", "clouds: {c: {auth: {auth_url: {a: 1}}}}", "clouds: {c: 5}",
    "clouds: {c: {auth: {auth_url: 'https://a', password: [s3cret], username: u}}}",
    "clouds: {c: {auth: {auth_url: 'https://a:port', password: s3cret, username: u}}}",
    "clouds: {c: {auth: {auth_url: true, password: s3cret, username: u}}}", "a: b: c", "{", "\x00", "&a [*a]"])
def test_a_clouds_yaml_of_another_shape_is_one_line(environment, tmp_path, capsys, text):
    (tmp_path / "clouds.yaml").write_text(text)
    (tmp_path / "clouds.yaml").chmod(0o600)
    environment.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    code, _, said = run(capsys, "store", "ls", "--cloud", "c")
    assert code == 2 and len(said.strip().splitlines()) == 1 and "s3cret" not in said and "Traceback" not in said


@pytest.mark.parametrize(("url", "says"), [
    ("127.0.0.1:9/v3", "needs http:// or https:// in front"), ("auth.example/v3", "needs http"),
    ("https//auth.example/v3", "needs http"), ("ftp://auth.example/v3", "needs http"),
    ("https://auth.example:port/v3", "port"), ("https://auth.example:99999/v3", "port"),
    ("https://:5000/v3", "no address"),
    ("https://[::1/v3", "no address"), ("https://auth.example/v3\n", "no address"), ("https://a b/v3", "no address"),
    ("https://bob:s3cret@auth.example:port/v3", "port"), ("bob:s3cret@auth.example/v3", "needs http")])
@pytest.mark.parametrize("name", ["OS_AUTH_URL", "OS_STORAGE_URL"])
def test_an_address_of_a_server_that_cannot_be_one(environment, capsys, name, url, says):
    environment.setenv(name, url)
    code, _, said = run(capsys, "store", "ls", "--store", "swift://oco2")
    assert code == 2 and says in said and "catalog" not in said and "s3cret" not in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("storage", [{"options": "text"}, {"auth_url": 5}, {"auth_url": ["https://a"]},
                                     {"user": {"a": 1}}, {"options": {"auth_url": []}}, {"key": ["s3cret"]}])
def test_a_configuration_of_another_shape(environment, storage):
    with pytest.raises(InputError) as caught:
        swift_settings({"swift_storage": {"auth_url": "https://a", "user": "u", "key": "k"} | storage})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("address", [
    "https://example.org/data", "http://bob:s3cret@example.org/", "HTTPS://example.org", "nonsense://x", "github://a:b@c/",
    "file://host/folder", "ftp://bob:s3cret@127.0.0.1:port/", "ftp://bob:s3cret@127.0.0.1:1/", "swift://", "swift://a/b",
    "swift://bob:s3cret@oco2/b", "zip://nothing.zip", "a\0b", "s3://bucket", "://", "data:,x://y"])
def test_what_is_no_store_is_one_line(environment, capsys, tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    code, _, said = run(capsys, "store", "put", __file__, "--store", address)
    assert code == 2 and len(said.strip().splitlines()) == 1 and "s3cret" not in said, said
    assert os.listdir(tmp_path) == []


# --- secrets and control characters ---
def test_no_user_info_in_messages_and_reprs(environment, tmp_path):
    environment.setenv("OS_AUTH_URL", "http://bob:s3cret@127.0.0.1:1/v3")
    fs = SwiftFileSystem(skip_instance_cache=True, retries=0, backoff=0.01)
    shown = [repr(fs.account), str(fs.account)]
    for call in (lambda: fs.ls("oco2"), lambda: fs.account.storage_url, lambda: Datasets("memory://x").get_dataframe(
            "http://bob:s3cret@127.0.0.1:1/a.csv?sig=s3cret"), lambda: fs.open("http://bob:s3cret@h/a", "rb")):
        with pytest.raises((OSError, ValueError)) as caught:
            call()
        shown.append(str(caught.value))
    shown.append(repr(Datasets("memory://bob:s3cret@host/x")))
    assert not any("s3cret" in text for text in shown), shown


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    name = "a\x1b]0;owned\x07\x1b[2J\u202eb.csv"
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).write_text("1")
    place = Datasets(str(tmp_path / "store"))
    place.delete_files("csv")
    shown = capsys.readouterr().out
    for command in (["ls"], ["rm", "csv"], ["check", "--older-than", "0"], ["rm", "csv", "--yes"]):
        code, out, err = run(capsys, "store", *command, "--store", tmp_path / "store")
        shown += out + err
    assert "\x1b" not in shown and "\x07" not in shown and "\u202e" not in shown and "a\\x1b" in shown


# --- names ---
@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_name_that_looks_like_a_pattern_is_meant_as_such(tmp_path, kind):
    place = Datasets(str(tmp_path / "s") if kind == "folder" else f"memory://{tmp_path.name}")

    def left(*names):
        for o in place.list_objects():
            place.delete_files(o["name"], dry_run=False)
        for n in names:
            with place.open(n, "w") as file:
                file.write(n)

    left("[1].csv", "1.csv", "x[1].csv")
    assert place.delete_files("[1].csv") == ["[1].csv"]
    assert place.delete_files("[1].csv", dry_run=False) == ["[1].csv"]
    assert [o["name"] for o in place.list_objects()] == ["1.csv", "x[1].csv"]
    assert place.delete_files("[1].csv") == ["x[1].csv"]  # in a name, before it is a pattern
    left("1.csv", "2.csv")
    assert place.delete_files("[1].csv") == ["1.csv"]
    left("a.csv", "data.csv")
    assert place.delete_files("a.csv") == ["a.csv"] and len(place.delete_files("a.cs")) == 2
    left("a?.csv", "ab.csv", "a*.csv")
    assert place.delete_files("a?.csv") == ["a?.csv"] and place.delete_files("a*.csv") == ["a*.csv"]
    assert place.download("a?.csv", tmp_path / "to").sent == ["a?.csv"]
    assert [u.rpartition("/")[2] for u in place.get_files_urls("a*.csv")] == ["a%2A.csv"]


def test_names_on_swift(store, tmp_path):
    for name in ("[1].csv", "1.csv", "a"):
        store.fs.pipe(f"{store.root}/{name}", name.encode())
    assert store.fs.cat(f"{store.root}/[1].csv") == b"[1].csv"
    store.fs.rm(f"{store.root}/[1].csv")
    assert [o["name"] for o in store.get_container()] == ["1.csv", "a"]
    for call in (lambda: store.open("a/", "wb"), lambda: store.fs.pipe(f"{store.root}/a/", b"x"),
                 lambda: store.fs.rm(f"{store.root}/a/"), lambda: store.fs.put_file(__file__, f"{store.root}/a/"),
                 lambda: store.fs.rm_file(f"{store.root}/a/"), lambda: store.exists("a/")):
        with pytest.raises((InputError, IsADirectoryError), match="slash"):
            call()
    store.fs.rm(f"{store.root}/a/", recursive=True)
    assert store.fs.cat(f"{store.root}/a") == b"a"


def test_equal_objects_with_long_names_are_fetched_together(store, tmp_path):
    names = ["n" * 90 + str(i) for i in range(8)] + ["雪" * 80 + str(i) for i in range(4)]
    for name in names:
        store.fs.pipe(f"{store.root}/{name}", b"the same" * 50_000)
    assert len(store.download("", tmp_path).sent) == 12
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    assert {p.read_bytes() for p in tmp_path.iterdir()} == {b"the same" * 50_000}


def test_two_downloads_into_one_folder(server, store, tmp_path):
    import json

    data = {f"{i}.bin": os.urandom(300_000) for i in range(4)}
    for name, each in data.items():
        store.fs.pipe(f"{store.root}/{name}", each)
    code = ("import json, sys; from oco2_outliers.datasets import Datasets\n"
            "s = Datasets(json.loads(sys.argv[1]), container=sys.argv[2]); s.fs.limits; print(flush=True); input()\n"
            "for _ in range(3): s.download('', sys.argv[3], force=True)\n")
    runs = [subprocess.Popen([sys.executable, "-c", code, json.dumps(server.settings), store.root, str(tmp_path)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in runs:
        each.stdout.readline()
    for each in runs:
        each.communicate("\n")
    assert [each.returncode for each in runs] == [0, 0]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == data


# --- what is left out, and what is left behind ---
def test_hidden_files_of_a_folder_are_sent_and_others_told(tmp_path):
    for name in (".zgroup", "x/.zarray", "x/0.0", "x/.d/y"):
        (tmp_path / "z" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "z" / name).write_text("{}")
    (tmp_path / "z/gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "z/pipe")
    (tmp_path / "z" / temporary_name("x")).write_text("half")
    (tmp_path / "z/x/up").symlink_to("..")
    place = Datasets(str(tmp_path / "s"))
    with pytest.warns(UserWarning, match="3 names are left out"):
        assert sorted(place.upload(tmp_path / "z", "z/", recursive=True).sent) == [
            "z/.zgroup", "z/x/.d/y", "z/x/.zarray", "z/x/0.0"]
    with pytest.warns(UserWarning, match="1 folder is left out"):
        assert place.upload(tmp_path / "z", "y/").sent == ["y/.zgroup"]
    with pytest.warns(UserWarning, match="3 hidden files are left out"):
        assert place.upload(f"{tmp_path}/z/**", "w/", recursive=True).sent[:1] == ["w/x/0.0"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert place.upload(f"{tmp_path}/z/x/0*", "v/").sent == ["v/0.0"]


def test_what_a_killed_writer_left_in_a_folder_is_found_and_cleaned(tmp_path):
    code = ("import os, sys; from oco2_outliers.datasets import Datasets\n"
            "f = Datasets(sys.argv[1]).open('deep/a.csv', 'wb'); f.write(b'x' * 99999); f.flush()\n"
            "os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    place = Datasets(str(tmp_path))
    with place.open("b.csv", "wb") as file:
        file.write(b"1")
        found = place.check()
        assert [o["why"] for o in found.orphans] == ["its writer has ended"]
        assert [o["why"] for o in found.running] == ["its writer runs"]
        assert place.check(clean=True).removed == [] and len(list(tmp_path.glob("deep/.*"))) == 1
        assert len(place.check(clean=True, dry_run=False).removed) == 1
    assert [o["name"] for o in place.list_objects()] == ["b.csv"] and not list(tmp_path.glob("deep/.*"))
    dead = temporary_name("results").replace(f"-{os.getpid():x}-", f"-{2**30:x}-")
    (tmp_path / dead).mkdir()
    (tmp_path / dead / "labels.csv").write_text("half")
    assert place.check(clean=True, dry_run=False).removed == [dead] and not (tmp_path / dead).exists()
    part = tmp_path / ".x.csv.d41d8cd98f00b204.part"
    part.write_text("half a download")
    os.utime(part, (time.time() - 90_000,) * 2)
    assert len(place.check(clean=True, dry_run=False).removed) == 1 and not part.exists()


def test_the_command_checks_and_cleans(tmp_path, capsys):
    part = tmp_path / ".x.csv.d41d8cd98f00b204.part"
    part.write_text("half a download")
    code, out, _ = run(capsys, "store", "check", "--store", tmp_path)
    assert code == 0 and "stay" in out and "no orphans" in out
    for more in ([], ["--clean"]):
        code, out, _ = run(capsys, "store", "check", "--older-than", "0", "--store", tmp_path, *more)
        assert code == 0 and "nothing was deleted" in out and part.exists()
    code, out, _ = run(capsys, "store", "check", "--older-than", "0", "--store", tmp_path, "--clean", "--yes")
    assert code == 0 and "deleted 1" in out and not part.exists()


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_an_object_that_no_listing_would_show_is_refused(tmp_path, kind):
    place = Datasets(str(tmp_path / "s") if kind == "folder" else f"memory://{tmp_path.name}")
    part = tmp_path / ".x.csv.d41d8cd98f00b204.part"
    part.write_text("half")
    for call in (lambda: place.upload(part, ""), lambda: place.open(part.name, "wb")):
        with pytest.raises(InputError, match="unfinished"):
            call()


# --- nobody there ---
def nobody():
    """An address of this machine at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("version", ["1", "3"])
def test_an_address_where_nobody_listens_is_named(environment, version):
    address = f"{nobody()}/{'v3' if version == '3' else 'auth/v1.0'}"
    store = Datasets({"swift_storage": {"auth_url": address, "user": "u", "key": "s3cret", "auth_version": version,
                                        "project": "x"}}, backoff=0)
    for ask in (store.list_objects, lambda: store.get_dataframe("a.csv"), lambda: store.exists("a.csv")):
        with pytest.raises(ConnectionError, match="cannot be reached") as caught:
            ask()
        assert str(caught.value).count(address) == 1 and "s3cret" not in str(caught.value)


def test_a_first_login_that_is_refused_is_tried_for_seconds_not_for_half_a_minute(environment, monkeypatch):
    pauses = []
    monkeypatch.setattr("oco2_outliers.store.account.time.sleep", pauses.append)
    environment.setenv("OS_AUTH_URL", f"{nobody()}/v3")
    with pytest.raises(ConnectionError):
        Datasets("swift://oco2").list_objects()
    assert pauses == [0.5, 1, 2, 4]
