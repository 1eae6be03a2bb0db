"""What a user of `pip install` gets: the wheel alone, in an empty environment, away from the source tree."""

import configparser
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import uuid
import zipfile

import pytest
from layout import NOTEBOOKS, notebook_name

NOT_SOURCE = shutil.ignore_patterns(".git", ".venv*", "_*", "__pycache__", ".*_cache", ".hypothesis", "dist", "build",
                                    "*.egg-info", ".ipynb_checkpoints")


def tracked(root):
    """Files of the project: what git knows and what is new; None where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                            capture_output=True, text=True)
    return None if listed.returncode else [root / name for name in listed.stdout.split("\0") if (root / name).is_file()]


@pytest.fixture(scope="module")
def built(root, tmp_path_factory):
    """The folder of both archives, made as a packager makes them: the wheel from the source archive.

    Built from a copy, because setuptools leaves folders behind where it builds.
    """
    source = tmp_path_factory.mktemp("source") / "project"
    files = tracked(root)
    if files is None:
        shutil.copytree(root, source, ignore=NOT_SOURCE)
        shutil.copytree(root / "oco2_outliers", source / "oco2_outliers", dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("__pycache__"))
    else:
        for path in files:
            (source / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source / path.relative_to(root))
    environment = {**os.environ, "PIP_CONSTRAINT": str(source / "constraints.txt")}
    done = subprocess.run([sys.executable, "-m", "build", "--outdir", "dist", "."], cwd=source, env=environment,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    (made,) = built.glob("*.whl")
    return made


def empty_environment(folder, root, *requirements):
    """A new virtual environment with nothing but the requirements, and the settings of a stranger's shell."""
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True, timeout=120)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "OCO2_", "MPL"))}
    environment |= {"PIP_CONSTRAINT": str(root / "constraints.txt"), "OCO2_STORE": str(folder / "store"),
                    "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_CONFIG_DIR": str(folder / "jupyter")}
    subprocess.run([folder / "env/bin/python", "-m", "pip", "install", "--quiet", *map(str, requirements)],
                   cwd=folder, env=environment, check=True, timeout=900)
    return folder / "env" / "bin", environment


@pytest.fixture(scope="module")
def installed(root, wheel, tmp_path_factory):
    """The wheel alone in an empty environment: its programs, and its settings."""
    return empty_environment(tmp_path_factory.mktemp("installed"), root, wheel)


# ---------------------------------------------------------------- what is in them

@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(root, wheel):
    here = root / "oco2_outliers"
    expected = {path.relative_to(root).as_posix() for path in here.rglob("*")
                if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".nbi", ".nbc")}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        about = {name for name in names if ".dist-info/" in name}
        assert names - about == expected and "oco2_outliers/py.typed" in names
        # What others made comes with its licence.
        assert {"data/NOTICE", "static/NOTICE", "static/uPlot.LICENSE"} <= {n.partition("/")[2] for n in names}
        assert [name for name in about if name.endswith("/licenses/LICENSE")]
        entries = archive.read(next(n for n in about if n.endswith("entry_points.txt"))).decode()
        assert "oco2-outliers = oco2_outliers.__main__:run" in entries and "SwiftFileSystem" in entries
        metadata = archive.read(next(n for n in about if n.endswith("METADATA"))).decode()
    assert "License: Apache-2.0" in metadata and "Typing :: Typed" in metadata
    relative = re.findall(r"\]\((?!\w+:|#)[^)]*", metadata)
    assert relative == [], "links of the long description lead nowhere outside the repository"


@pytest.mark.slow
def test_source_archive_holds_what_builds_tests_and_documents_it(root, built):
    (made,) = built.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"settings.ini", "constraints.txt", "LICENSE", "CITATION.cff", "CHANGELOG.md", "Makefile", "docs/conf.py",
              ".ci/run", "tests/conftest.py", "tests/typing/consumer.py"}
    wanted |= {path.relative_to(root).as_posix() for path in NOTEBOOKS}
    assert wanted <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", "_build", "docs/api.md"))]


@pytest.mark.slow
def test_a_registry_would_take_both(built):
    pytest.importorskip("twine", reason="no twine (extra dev); what the wheel holds is looked at above")
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *built.iterdir()], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 2, done.stdout


def test_citation_file_says_what_a_reference_needs(root):
    """The keys that the format 1.2.0 requires, and the version of the package."""
    import yaml

    settings = configparser.ConfigParser(delimiters=["="])
    settings.read(root / "settings.ini", encoding="utf-8")
    cited = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "software" and cited["license"] == "Apache-2.0"
    assert all(set(author) & {"name", "family-names"} for author in cited["authors"])
    assert cited["version"] == settings["DEFAULT"]["version"]
    assert cited["repository-code"] == settings["DEFAULT"]["git_url"]
    allowed = {"cff-version", "message", "title", "authors", "type", "abstract", "version", "license", "keywords",
               "repository-code", "date-released", "doi", "url", "references", "preferred-citation", "identifiers"}
    assert cited.keys() <= allowed
    bibtex = (root / "README.md").read_text("utf-8")
    assert cited["title"] in bibtex.replace("\\_", "_") and f"version = {{{cited['version']}}}" in bibtex


# ---------------------------------------------------------------- what it does

@pytest.mark.slow
@pytest.mark.parametrize("how", ["console script", "python -m"])
def test_wheel_runs_in_an_empty_folder(installed, tmp_path, how):
    programs, environment = installed
    command = [programs / "oco2-outliers"] if how == "console script" else [programs / "python", "-m", "oco2_outliers"]
    subprocess.run([programs / "python", "-m", "pip", "check"], cwd=tmp_path, check=True, timeout=60)
    for arguments in (["soundings", "simulate", "g.nc4", "--store", "store"], ["isolate", "g.nc4", "--store", "store"]):
        done = subprocess.run([*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True,
                              timeout=300)
        assert done.returncode == 0, done.stderr
    assert "rows isolated" in done.stdout and (tmp_path / "isolated" / "scores.parquet").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"store", "isolated"}, "nothing else is left behind"


@pytest.mark.slow
def test_a_users_checker_sees_the_types(root, installed, tmp_path):
    """py.typed of the installed wheel, not of the source tree."""
    pytest.importorskip("mypy", reason="no mypy (extra dev); test_types reads the hints without it")
    programs, _ = installed
    shutil.copy(root / "tests/typing/consumer.py", tmp_path)
    # pandas-stubs are the user's own; without them pandas is Any.
    done = subprocess.run([sys.executable, "-m", "mypy", "--python-executable", programs / "python", "--strict",
                           "--ignore-missing-imports", "--allow-any-generics", "consumer.py"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def laboratory(root, wheel, tmp_path_factory):
    """The wheel with its `lab` extra, as somebody installs it to read the notebooks."""
    return empty_environment(tmp_path_factory.mktemp("laboratory"), root, f"{wheel}[lab]")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=notebook_name)
def test_notebook_runs_without_the_source_tree(laboratory, notebook, tmp_path):
    """Every cell, from a fresh kernel, in a folder that holds that notebook alone."""
    programs, environment = laboratory
    shutil.copy(notebook, tmp_path)
    done = subprocess.run([programs / "jupyter", "nbconvert", "--to", "notebook", "--execute", "--inplace",
                           "--ExecutePreprocessor.timeout=600", notebook.name], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {notebook.name}


# ---------------------------------------------------------------- JupyterLab, as `make lab` starts it

def ask(address, token, body=None, method=None):
    """One call of the server's REST interface; an empty answer is None."""
    request = urllib.request.Request(address, None if body is None else json.dumps(body).encode(), method=method,
                                     headers={"Authorization": f"token {token}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or "null")


def run_cell(channel, source):
    """Send a cell to the kernel as JupyterLab does; the error it ends in, or None."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "test", "username": "",
              "version": "5.3"}
    content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    channel.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content,
                             "channel": "shell", "buffers": []}))
    while True:
        message = json.loads(channel.recv())
        if message["msg_type"] == "execute_reply" and message["parent_header"].get("msg_id") == header["msg_id"]:
            answer = message["content"]
            return None if answer["status"] == "ok" else f"{answer.get('ename')}: {answer.get('evalue')}"


@pytest.mark.slow
def test_jupyterlab_opens_a_notebook_and_runs_it(root, laboratory, tmp_path):
    """The command of `make lab` on a loopback port, with no browser; ended by its process."""
    websocket = pytest.importorskip("websocket", reason="no websocket-client (extra dev); the notebooks run above")
    programs, environment = laboratory
    (line,) = re.findall(r"^\t@?\$\(BIN\)/(jupyter lab .*?) \$\(ARGS\)$", (root / "Makefile").read_text("utf-8"), re.M)
    program, *arguments = shlex.split(line)
    shutil.copytree(root / "nbs", tmp_path / "nbs", ignore=shutil.ignore_patterns(".*"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = uuid.uuid4().hex
    server, log = f"http://127.0.0.1:{port}", (tmp_path / "log").open("wb")
    lab = subprocess.Popen([programs / program, *arguments, "--no-browser", f"--ServerApp.port={port}", "--allow-root",
                            "--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={token}"], cwd=tmp_path,
                           env={**environment, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}, stdout=log,
                           stderr=log)
    try:
        for _ in range(300):
            try:
                ask(f"{server}/api/status", token)
                break
            except (urllib.error.URLError, ConnectionError):
                assert lab.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
        with urllib.request.urlopen(urllib.request.Request(f"{server}/lab/tree/04a_isolate.ipynb", headers={
                "Authorization": f"token {token}"}), timeout=30) as page:
            assert "JupyterLab" in page.read().decode()
        listed = {entry["name"] for entry in ask(f"{server}/api/contents", token)["content"]}
        assert {path.relative_to(root / "nbs").parts[0] for path in NOTEBOOKS} <= listed
        notebook = ask(f"{server}/api/contents/04a_isolate.ipynb", token)["content"]
        session = ask(f"{server}/api/sessions", token, {"path": "04a_isolate.ipynb", "name": "", "type": "notebook",
                                                        "kernel": {"name": "python3"}})
        channel = websocket.create_connection(f"ws://127.0.0.1:{port}/api/kernels/{session['kernel']['id']}/channels",
                                              header=[f"Authorization: token {token}"], timeout=300)
        errors = [error for cell in notebook["cells"] if cell["cell_type"] == "code"
                  if (error := run_cell(channel, "".join(cell["source"])))]
        channel.close()
        ask(f"{server}/api/sessions/{session['id']}", token, method="DELETE")
        assert errors == []
    finally:
        lab.terminate()
        lab.wait(30)
        log.close()
