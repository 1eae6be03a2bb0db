"""Pictures that come from elsewhere: over a real SSH and from folders with traps; from Swift in test_swift_syncing."""

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from mariadb_server import program
from swift_server.launch import free_ports

from oco2_outliers.catalog import sync
from oco2_outliers.ground.errors import InputError

NAMES = ["20180513-154001.jpg", "deep/er/b.jpg", "<img src=x>.jpg", "Größe 🛰.jpg", "..hidden.jpg", "a;touch pwned.jpg",
         "$(touch pwned).jpg", "-rf.jpg", "line\nbreak.jpg"]

DAEMON = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/me.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
"""


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    """An SSH server of our own on loopback; gives how rsync reaches it."""
    folder = tmp_path_factory.mktemp("ssh")
    try:
        daemon, keys = program("sshd"), program("ssh-keygen")
        program("ssh")
        program("rsync")
    except FileNotFoundError as error:
        pytest.skip(f"{error}; what rsync says is read in the notebook catalog/50_remote")
    for name in ("host", "me"):
        subprocess.run([keys, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_ports(1)[0]
    (folder / "config").write_text(DAEMON.format(port=port, folder=folder))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([daemon, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    shell = (f"ssh -F none -p {port} -i {folder}/me -o BatchMode=yes -o StrictHostKeyChecking=no "
             f"-o UserKnownHostsFile={folder}/known -o LogLevel=ERROR")
    user = pwd.getpwuid(os.getuid()).pw_name
    end = time.monotonic() + 30
    while subprocess.run([*shell.split(), f"{user}@127.0.0.1", "true"], capture_output=True).returncode:
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"no SSH server: {(folder / 'log').read_text()[-1000:]}")
        time.sleep(0.05)
    yield shell, user
    process.kill()
    process.wait()


@pytest.fixture
def camera(tmp_path):
    """A folder of files with hostile names, and links."""
    folder = tmp_path / "the camera"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 3)
    (folder / "loop").symlink_to(folder)
    (folder / "out.jpg").symlink_to("/etc/hostname")
    return folder


def below(folder):
    """Names and contents of the true files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()}


def check_twice(source, camera, album):
    """Everything comes once; then only what is new, and what is there stays as it is."""
    done = sync(source, album)
    assert below(album) == below(camera) and not any(path.is_symlink() for path in album.rglob("*"))
    assert (len(done.copied), done.skipped, set(done.refused)) == (len(NAMES), 0, {"loop", "out.jpg"})
    assert done.bytes == sum(map(len, below(camera).values()))
    (album / NAMES[0]).write_bytes(b"mine")
    (album / "of the album alone.jpg").write_bytes(b"kept")
    (camera / "new.jpg").write_bytes(b"new")
    (camera / NAMES[1]).unlink()
    done = sync(source, album)
    assert (done.copied, done.skipped) == (["new.jpg"], len(NAMES) - 1)
    there = below(album)
    assert there[NAMES[0]] == b"mine" and "of the album alone.jpg" in there and NAMES[1] in there
    assert not list(camera.parent.rglob("pwned")) and not Path("pwned").exists()


def test_from_a_folder(camera, tmp_path):
    check_twice(camera, camera, tmp_path / "album")


@pytest.mark.heavy
def test_over_ssh(ssh, camera, tmp_path, monkeypatch):
    shell, user = ssh
    monkeypatch.setenv("RSYNC_RSH", shell)
    check_twice(f"{user}@127.0.0.1:{camera}", camera, tmp_path / "album")
    with pytest.raises(InputError, match=r"rsync of .*absent failed: .*No such file"):
        sync(f"{user}@127.0.0.1:{tmp_path}/absent", tmp_path / "other")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "deep").symlink_to(tmp_path)
    with pytest.raises(InputError, match="deep is a link to a folder"):
        sync(f"{user}@127.0.0.1:{camera}", tmp_path / "linked")
    for command in ("$(touch pwned)", "a; touch pwned", "`touch pwned`", "--rsh=touch pwned"):
        with pytest.raises(InputError, match="rsync of|is no source"):
            sync(f"127.0.0.1:{command}", tmp_path / "other")
    assert not list(tmp_path.rglob("pwned")) and not Path("~/pwned").expanduser().exists()


def test_a_host_that_does_not_answer(tmp_path, monkeypatch):
    if not shutil.which("rsync") or not shutil.which("ssh"):
        pytest.skip("no rsync and ssh here; what may not be a source is refused in the notebook catalog/50_remote")
    monkeypatch.setenv("RSYNC_RSH", f"ssh -F none -o BatchMode=yes -p {free_ports(1)[0]}")
    with pytest.raises(InputError, match="rsync of 127.0.0.1:x failed: ssh: connect to host 127.0.0.1 port") as caught:
        sync("127.0.0.1:x", tmp_path / "album")
    assert "\n" not in str(caught.value)


def test_without_rsync(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="rsync is not on this machine: install it"):
        sync("127.0.0.1:x", tmp_path / "album")
    assert not (tmp_path / "album").exists()
