"""What a fork publishes with: workflows that a schema and the Makefile agree with, and metadata from settings.ini."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import metadata
import pytest
import yaml
from layout import ROOT

FOLDER = ROOT / ".github" / "workflows"
NAMES = ["release", "site", "test"]


def workflow(name):
    """A workflow; YAML 1.1 reads its key `on` as true."""
    told = yaml.safe_load((FOLDER / f"{name}.yml").read_text("utf-8"))
    return {("on" if key is True else key): value for key, value in told.items()}


def jobs():
    """(workflow, name of the job, the job) of all."""
    return [(name, job, about) for name in NAMES for job, about in workflow(name)["jobs"].items()]


def commands():
    """(workflow, line) of all that they run."""
    return [(name, line) for name, _, job in jobs() for step in job["steps"]
            for line in step.get("run", "").splitlines() if line.strip()]


def by_schema(schema, *files):
    pytest.importorskip("check_jsonschema", reason="no check-jsonschema (extra dev); other test: "
                        "test_workflows_run_what_the_makefile_runs")
    return subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)],
                          capture_output=True, text=True, timeout=120)


# ---------------------------------------------------------------- workflows

def test_the_workflows_are_these():
    assert sorted(path.stem for path in FOLDER.iterdir()) == NAMES


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_workflows_pass_the_schema(schema):
    done = by_schema(schema, *sorted(FOLDER.iterdir()))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_refuses_what_is_none(tmp_path):
    (tmp_path / "bad.yml").write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    stepz: []\n")
    assert by_schema("vendor.github-workflows", tmp_path / "bad.yml").returncode == 1


def recipe(target):
    """The lines of a target of the Makefile, as they would be typed with python on the path."""
    text = (ROOT / "Makefile").read_text("utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.M)
    assert found, f"the Makefile has no target {target}"
    # The machines of the workflows have four cores, and make starts one process more than there are.
    known = {"BIN)/python": "python", "JOBS)": "5", "ARGS)": ""}
    lines = [line.strip().lstrip("@") for line in found[1].splitlines()]
    for name, value in known.items():
        lines = [line.replace(f"$({name}", value).strip() for line in lines]
    return lines


def test_workflows_run_what_the_makefile_runs():
    """Every line is a target of make that its help names, a line of `make test`, an extra, or a script."""
    told = set(re.findall(r'@echo "make ([\w-]+) ', (ROOT / "Makefile").read_text("utf-8")))
    extras = re.findall(r"^(\w+)_requirements", (ROOT / "settings.ini").read_text("utf-8"), re.M)
    known = [*recipe("test"), *(f'python -m pip install -e ".[{extra}]"' for extra in extras)]
    for name, line in commands():
        words = shlex.split(line)
        if words[0] == "make":
            assert words[1] in told and words[2:] == ["PYTHON=python"], (name, line)
        elif words[1].startswith("scripts/"):
            assert (ROOT / words[1]).is_file(), (name, line)
        else:
            assert line in known, f"{name}.yml runs {line!r}, `make test` does not"
    assert "make test PYTHON=python" in [line for _, line in commands()]
    assert "make test" in (ROOT / "README.md").read_text("utf-8"), "the README's command is what is run"


def test_windows_does_all_that_make_test_does():
    job = workflow("test")["jobs"]["windows"]
    lines = [step["run"] for step in job["steps"] if "run" in step]
    assert lines[-2:] == recipe("test")
    assert [re.search(r"\[(\w+)\]", line)[1] for line in lines[:-2]] == ["dev", "docs"]
    made = re.search(r"^test: (.*)", (ROOT / "Makefile").read_text("utf-8"), re.M)[1].split()
    assert {"$(VENV)/.dev", "$(VENV)/.docs"} <= set(made)
    assert job["env"]["PIP_CONSTRAINT"] == job["env"]["PIP_BUILD_CONSTRAINT"] == "constraints.txt"


def test_every_supported_system_and_python_is_tested():
    told = workflow("test")["jobs"]
    systems = [*told["test"]["strategy"]["matrix"]["os"], told["windows"]["runs-on"]]
    assert systems == ["ubuntu-latest", "macos-latest", "windows-latest"]
    oldest = metadata.settings()["min_python"]
    for job in ("test", "windows"):
        versions = told[job]["strategy"]["matrix"]["python"]
        assert versions == ["3.11", "3.12", "3.13", "3.14"] and versions[0] == oldest


def test_permissions_are_the_least():
    """All may read; what may write more has a job of its own, and runs nothing of the project."""
    more = {("site", "deploy"): {"pages": "write", "id-token": "write"}, ("release", "publish"): {"id-token": "write"}}
    for name in NAMES:
        assert workflow(name)["permissions"] == {"contents": "read"}
    for name, job, about in jobs():
        assert about.get("permissions") == more.get((name, job)), (name, job)
        if "permissions" in about:
            assert not [step for step in about["steps"] if "run" in step or "checkout" in step["uses"]]
        for step in about["steps"]:
            assert "checkout" not in step.get("uses", "") or step["with"] == {"persist-credentials": False}


def test_nothing_of_a_stranger_is_run_and_nothing_secret_is_kept():
    for name in NAMES:
        text = (FOLDER / f"{name}.yml").read_text("utf-8")
        assert "pull_request_target" not in text and "secrets." not in text and "://" not in text
        used = re.findall(r"uses: (.*)", text)
        assert all(re.fullmatch(r"(actions|pypa)/[\w-]+@(release/)?v\d+", each) for each in used), used
    assert not [line for _, line in commands() if "${{" in line], "names of branches would be run as commands"


# ---------------------------------------------------------------- metadata

def test_metadata_is_what_settings_say():
    assert metadata.disagreements() == []


def test_metadata_is_written_and_checked(tmp_path, capsys):
    shutil.copy(ROOT / "settings.ini", tmp_path)
    assert metadata.main(["--check"], tmp_path) == 1 and capsys.readouterr().out.count("\n") == len(metadata.FILES)
    assert metadata.main([], tmp_path) == 0 and metadata.main(["--check"], tmp_path) == 0
    for name in metadata.FILES:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
    version = metadata.settings()["version"]
    assert metadata.main(["--check", "--tag", f"v{version}"], tmp_path) == 0
    assert metadata.main(["--check", "--tag", version], tmp_path) == 1 and "the tag is" in capsys.readouterr().out
    ini = tmp_path / "settings.ini"
    ini.write_text(ini.read_text("utf-8").replace(f"version = {version}", "version = 9.9"), "utf-8")
    assert len(metadata.disagreements(tmp_path)) == 3, "all but environment.yml name the version"


def test_citation_passes_its_schema():
    done = by_schema("vendor.citation-file-format", ROOT / "CITATION.cff")
    assert done.returncode == 0, done.stdout + done.stderr


def test_zenodo_and_citation_agree():
    deposit = json.loads((ROOT / ".zenodo.json").read_text("utf-8"))
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (deposit["title"], deposit["version"], deposit["license"], deposit["keywords"]) == (
        cited["title"], cited["version"], cited["license"], cited["keywords"])
    assert deposit["description"] == cited["abstract"] and deposit["upload_type"] == "software"
    assert [each["name"] for each in deposit["creators"]] == [each["name"] for each in cited["authors"]]


def test_conda_asks_for_what_pip_asks_for():
    known = metadata.settings()
    needed = {re.match(r"[\w.-]+", line)[0].lower() for line in metadata.lines(known["requirements"])}
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    there = {each.split()[0] for each in environment["dependencies"] if isinstance(each, str)}
    assert there - {"python", "pip"} == needed - {"opencv-python-headless"}, "OpenCV comes by pip: never two of them"
    assert environment["dependencies"][-1] == {"pip": ["-e .[lab]"]}
    recipe_ = yaml.safe_load((ROOT / "conda/meta.yaml").read_text("utf-8"))
    run = {each.split()[0] for each in recipe_["requirements"]["run"]}
    assert run - {"python", "py-opencv"} == needed - {"opencv-python-headless"} and "py-opencv" in run
    assert recipe_["package"] == {"name": known["lib_name"], "version": known["version"]}
    assert recipe_["build"]["entry_points"] == ["oco2-outliers = oco2_outliers.__main__:run"]
    tools = (ROOT / "pyproject.toml").read_text("utf-8")
    assert all(each.replace(" ", "") in tools for each in recipe_["requirements"]["host"] if "setuptools" in each)


def test_metadata_needs_nothing_but_python():
    done = subprocess.run([sys.executable, "-I", "-S", str(ROOT / "scripts/metadata.py"), "--check"],
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
