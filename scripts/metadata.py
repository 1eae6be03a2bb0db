"""What other tools want to know of the project, from settings.ini: how to cite it, how conda installs it.

    python scripts/metadata.py                     write the files
    python scripts/metadata.py --check             exit 1, with a line for each file that settings.ini says otherwise
    python scripts/metadata.py --check --tag v1.2  and if that tag is not the version

It needs nothing but Python, so that a workflow can ask before it installs anything.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Callable
from configparser import ConfigParser, SectionProxy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTE = "# Made from settings.ini by `make metadata`; change that file, not this one.\n"
LICENCES = {"apache2": "Apache-2.0"}
# What conda-forge calls otherwise; the rest bears the same name there, in small letters.
CONDA_NAMES = {"opencv-python-headless": "py-opencv"}


def settings(root: Path = ROOT) -> SectionProxy:
    """settings.ini, as setup.py reads it."""
    parser = ConfigParser(delimiters=["="])
    parser.read(root / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]


def lines(text: str) -> list[str]:
    """A value of several lines."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def keywords(known: SectionProxy) -> list[str]:
    """Keywords as people write them: in settings.ini a hyphen stands where a blank belongs, but in names it stays."""
    return [word.replace("-", " ") if word.islower() else word for word in known["keywords"].split()]


def listed(values: list[str], indent: str) -> str:
    """Values as a list of YAML; each is quoted as JSON quotes it, which YAML reads alike."""
    plain = re.compile(r"[A-Za-z][\w. -]*")
    return "".join(f"{indent}- {value if plain.fullmatch(value) else json.dumps(value)}\n" for value in values)


def conda_requirement(line: str) -> str:
    """A requirement of pip as conda writes it: `typer >=0.20,<1`."""
    name, version = re.fullmatch(r"([\w.-]+)(.*)", line).groups()
    return f"{CONDA_NAMES.get(name, name.lower())} {version}".strip()


def conda_requirements(known: SectionProxy) -> list[str]:
    """Python, and what the project needs, as conda writes it."""
    return [f"python >={known['min_python']}", *map(conda_requirement, lines(known["requirements"]))]


# ---------------------------------------------------------------- the files

def citation(known: SectionProxy) -> str:
    """CITATION.cff, format 1.2.0."""
    abstract = textwrap.indent(textwrap.fill(known["abstract"], 118), "  ")
    return (f"{NOTE}cff-version: 1.2.0\nmessage: If you use this software, please cite it as below.\ntype: software\n"
            f"title: {json.dumps(known['citation_title'])}\nabstract: >-\n{abstract}\n"
            f"authors:\n  - name: {known['author']}\nversion: {known['version']}\n"
            f"license: {LICENCES[known['license']]}\nrepository-code: {known['git_url']}\n"
            f"keywords:\n{listed(keywords(known), '  ')}")


def zenodo(known: SectionProxy) -> str:
    """.zenodo.json, which a deposit of a release is described by."""
    about = {"title": known["citation_title"], "description": known["abstract"], "upload_type": "software",
             "version": known["version"], "license": LICENCES[known["license"]], "access_right": "open",
             "creators": [{"name": known["author"]}], "keywords": keywords(known),
             "related_identifiers": [{"identifier": known["git_url"], "relation": "isSupplementTo"}]}
    return json.dumps(about, indent=2) + "\n"


def environment(known: SectionProxy) -> str:
    """environment.yml: conda brings what it has, pip the project itself with what reads the notebooks.

    OpenCV comes by pip: conda's build bears another name there, so pip would add a second one over the same files.
    """
    python, *wanted = [line for line in conda_requirements(known) if not line.startswith("py-opencv")]
    return (f"{NOTE}name: {known['lib_name']}\nchannels:\n  - conda-forge\n  - nodefaults\ndependencies:\n"
            f"{listed([python, 'pip', *wanted], '  ')}"
            f"  - pip:\n{listed(['-e .[lab]'], '      ')}")


def recipe(known: SectionProxy) -> str:
    """conda/meta.yaml: the package as conda-build makes it, out of the clone in which it stands."""
    run = conda_requirements(known)
    script = "{{ PYTHON }} -m pip install . --no-deps --no-build-isolation -vv"
    command = known["console_scripts"].split("=")[0]
    entry = known["console_scripts"].replace("=", " = ")
    return (f"{NOTE}# Without `pip check`: OpenCV bears another name in conda than the package asks pip for.\n"
            f"package:\n  name: {known['lib_name']}\n  version: {json.dumps(known['version'])}\n\n"
            f"source:\n  path: ..\n\nbuild:\n  number: 0\n  noarch: python\n  script: {json.dumps(script)}\n"
            f"  entry_points:\n{listed([entry], '    ')}\n"
            f"requirements:\n  host:\n{listed([run[0], 'pip', 'setuptools >=77'], '    ')}"
            f"  run:\n{listed(run, '    ')}\n"
            f"test:\n  imports:\n{listed([known['lib_path']], '    ')}"
            f"  commands:\n{listed([command + ' --version', command + ' isolate --help'], '    ')}\n"
            f"about:\n  home: {known['git_url']}\n  license: {LICENCES[known['license']]}\n  license_file: LICENSE\n"
            f"  summary: {json.dumps(known['description'])}\n")


FILES: dict[str, Callable[[SectionProxy], str]] = {
    "CITATION.cff": citation, ".zenodo.json": zenodo, "environment.yml": environment, "conda/meta.yaml": recipe}


# ---------------------------------------------------------------- written or checked

def disagreements(root: Path = ROOT, tag: str | None = None) -> list[str]:
    """A line for each file that settings.ini says otherwise, and for a tag that is not the version."""
    known = settings(root)
    stale = [name for name, made in FILES.items()
             if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != made(known)]
    said = [f"{name} is not what settings.ini says: run `make metadata`" for name in stale]
    if tag is not None and tag != f"v{known['version']}":
        said.append(f"the tag is {tag}, settings.ini has version {known['version']}")
    return said


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, say what disagrees")
    parser.add_argument("--tag", help="the tag of a release: v and the version")
    asked = parser.parse_args(argv)
    if asked.check or asked.tag:
        said = disagreements(root, asked.tag)
        print(*said, sep="\n", end="\n" * bool(said))
        return 1 if said else 0
    known = settings(root)
    for name, made in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(made(known), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
