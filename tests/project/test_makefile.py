"""The two commands of a newcomer: what they say on a machine that lacks something, and that they install once."""

import os
import shutil
import stat
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here; make itself runs these elsewhere")


@pytest.fixture
def clone(root, tmp_path):
    """The files that make needs, without a .venv."""
    for name in ("Makefile", "settings.ini", "setup.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path)
    return tmp_path


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def make(folder, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PIP_", "OCO2_"))}
    return subprocess.run(["make", "--no-print-directory", *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=60)


def words_of(error):
    return [line for line in error.splitlines() if not line.startswith("make")]


@pytest.mark.parametrize("target", ["run", "test", "docs", "lab", "bench"])
def test_a_python_that_is_too_old_is_named_in_one_line(clone, target):
    old = script(clone / "old-python", 'case "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac\n')
    done = make(clone, target, f"PYTHON={old}")
    assert done.returncode != 0 and not (clone / ".venv").exists()
    (line,) = words_of(done.stderr)
    assert "3.11 or newer" in line and "Python 3.9.2" in line


def test_a_missing_python_is_named(clone):
    done = make(clone, "run", "PYTHON=no-such-python")
    assert done.returncode != 0 and "needs Python 3.11 or newer" in words_of(done.stderr)[0]


def test_a_missing_venv_module_is_named_in_one_line(clone):
    bare = script(clone / "bare-python", 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac\n')
    done = make(clone, "test", f"PYTHON={bare}")
    assert done.returncode != 0 and not (clone / ".venv").exists()
    (line,) = words_of(done.stderr)
    assert "no venv module" in line and "python3-venv" in line


def test_the_second_call_installs_nothing(clone):
    """A stand-in python counts what it is asked to install; `make test` itself did the real installing."""
    log = clone / "log"
    (clone / "README.md").touch()
    fake = script(clone / "python", f"""
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; printf '#!/bin/sh\\n' > "$3/bin/oco2-outliers"
             chmod +x "$3/bin/oco2-outliers"; echo venv >> "{log}";;
  "-m pip") echo install >> "{log}";;
esac
exit 0
""")
    for _ in range(2):
        assert make(clone, "run", f"PYTHON={fake}").returncode == 0
        assert make(clone, "test", f"PYTHON={fake}").returncode == 0
    done = log.read_text().split()
    assert done.count("venv") == 1 and done.count("install") == 3, "package, tests, site"
    # New pins are installed.
    later = (clone / "constraints.txt").stat().st_mtime + 5
    os.utime(clone / "constraints.txt", (later, later))
    make(clone, "run", f"PYTHON={fake}")
    assert log.read_text().split().count("install") == 4
