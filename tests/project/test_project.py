"""The frame holds: notebooks and package agree, metadata has one source, rooms keep their order."""

import ast
import configparser
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nborder
import nbpages
import pytest
from layout import NBS, NOTEBOOKS, PACKAGE, module_files, module_name, notebook_name, python_files


@pytest.fixture(scope="module")
def settings(root):
    parser = configparser.ConfigParser(delimiters=["="])
    parser.read(root / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]


@functools.cache
def notebooks():
    """Every notebook by its name; nobody changes them."""
    return {notebook_name(path): json.loads(path.read_text("utf-8")) for path in NOTEBOOKS}


def files_with(pattern, paths=None):
    """The modules, or the given files, with a pattern in their text: reading the text is a tenth of parsing it."""
    return [path for path in paths or python_files() if re.search(pattern, path.read_text("utf-8"))]


def sources(notebook):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.heavy
def test_package_is_what_the_notebooks_export(root, tmp_path):
    for name in ("settings.ini", "pyproject.toml", "setup.py"):
        shutil.copy(root / name, tmp_path)
    for name in ("nbs", "oco2_outliers"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_*"))
    here = tmp_path / "oco2_outliers"
    by_hand = {here / "__main__.py", here / "__init__.py"}
    for path in set(here.rglob("*.py")) - by_hand:
        path.unlink()  # a module whose notebook is gone must not stay
    subprocess.run([sys.executable, "-c", "import nbdev; nbdev.nbdev_export()"], cwd=tmp_path, check=True,
                   env={**os.environ, "IN_TEST": ""}, capture_output=True, timeout=120)
    exported = {path.relative_to(here).as_posix(): path.read_text("utf-8") for path in here.rglob("*.py")}
    committed = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in python_files()}
    assert exported.keys() == committed.keys()
    stale = [name for name in committed if committed[name] != exported[name]]
    assert not stale, f"run nbdev_export and commit: {stale} differ from the notebooks"


def test_notebooks_are_clean():
    for name, notebook in notebooks().items():
        for cell in notebook["cells"]:
            assert not cell.get("outputs") and not cell.get("execution_count"), f"{name}: run nbdev_clean"


def test_every_notebook_stands_in_the_declared_order():
    """`nbs/sidebar.yml` lists each notebook once, and none that is not there."""
    assert nborder.disagreements(NBS) == []


def test_every_module_has_its_notebook():
    made = [module for path in NOTEBOOKS if (module := nborder.module_of(path))]
    assert sorted(made) == sorted(module_files())


def _is_import(node):
    """An import, or imports that only a type checker sees."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return all(map(_is_import, node.body))
    return isinstance(node, (ast.Import, ast.ImportFrom))


def test_cells_do_not_mix_imports_and_code():
    """The docs stage runs a cell with imports in it when it only looks for definitions."""
    for name, notebook in notebooks().items():
        for source in sources(notebook):
            if "import" not in source or "nbdev_export()" in source or source.lstrip().startswith("%"):
                continue
            kinds = {_is_import(node) for node in ast.parse(source).body}
            assert len(kinds) < 2, f"{name} mixes imports and code:\n{source[:200]}"


def test_run_time_code_does_not_import_the_tools():
    tools = {"nbdev", "fastcore", "execnb", "IPython"}
    for path in files_with("|".join(tools)):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & tools, path.name


def test_metadata_has_one_source(root, settings):
    pyproject = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    assert pyproject["project"]["name"] == settings["lib_name"]
    assert pyproject["project"]["requires-python"] == ">=" + settings["min_python"]
    assert pyproject["project"]["urls"]["Repository"] == settings["git_url"]
    assert pyproject["tool"]["nbdev"] == {"lib_path": settings["lib_path"], "tst_flags": settings["tst_flags"].split()}
    assert {"version", "dependencies", "optional-dependencies", "scripts"} <= set(pyproject["project"]["dynamic"])
    assert settings["doc_path"] != "docs", "nbdev_docs deletes its output folder"
    assert not re.search(r"^\s*opencv-python\b(?!-headless)", settings["requirements"], re.MULTILINE)


def test_the_version_has_one_place_in_the_package(root, settings):
    """Below every room that writes it; the package itself only passes it on."""
    from oco2_outliers import __version__
    from oco2_outliers.ground.version import VERSION

    assert __version__ == VERSION == settings["version"], "write the new version in nbs/ground/00b_version.ipynb too"
    named = [path.relative_to(root).as_posix() for path in python_files()
             if re.search(r"^__version__ *=|\bimport .*__version__\b", path.read_text("utf-8"), re.MULTILINE)]
    assert named == ["oco2_outliers/__init__.py"], "import VERSION from oco2_outliers.ground.version"


def test_no_room_imports_the_face():
    """The face stands above all rooms: a name of it that a room needs is imported from where it is defined."""
    lines = r"from[\s\\]+(oco2_outliers|[.\s\\]+?)[\s\\]*import"
    for path in set(files_with(lines)) - {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                up = ["", *path.parent.relative_to(PACKAGE).parts]  # the package, then folders down to this one
                face = node.module == "oco2_outliers" if not node.level else not node.module and node.level == len(up)
                inside = {each.stem for each in PACKAGE.iterdir()}
                assert not face or {name.name for name in node.names} <= inside, f"{module_name(path)} looks up"


def test_names_that_are_loaded_late_are_where_the_types_say():
    """Of the package and of each family: what a type checker is told, what is loaded, and what is public agree."""
    for name, module in nbpages.loaded_late(PACKAGE).items():
        family, _, bare = f"oco2_outliers.{name}".rpartition(".")
        face = importlib.import_module(family)
        assert getattr(face, bare) is getattr(importlib.import_module(f"oco2_outliers.{module}"), bare), name
        assert bare in face.__all__ and bare in dir(face), name
        assert importlib.util.find_spec(f"{family}.{bare}") is None, f"{name} is the name of a room, too"


def test_every_requirement_is_used_and_pinned(root, settings):
    """Nothing that no code uses, and nothing whose next release could break a fresh clone."""
    module_of = {"scikit-learn": "sklearn", "opencv-python-headless": "cv2", "python-swiftclient": "swiftclient",
                 "pyyaml": "yaml", "pillow": "PIL", "pyarrow": "to_parquet", "SQLAlchemy": "sqlalchemy"}
    code = "\n".join(path.read_text("utf-8") for path in python_files())
    pinned = {line.split("==")[0].lower().replace("_", "-")
              for line in (root / "constraints.txt").read_text("utf-8").splitlines() if "==" in line}
    for extra in ("requirements", "dev_requirements", "docs_requirements", "lab_requirements", "geo_requirements",
                  "scale_requirements", "embeddings_requirements", "umap_requirements", "torch_requirements",
                  "mariadb_requirements", "earthdata_requirements", "bench_requirements"):
        for line in settings[extra].split("\n"):
            name = re.match(r"[\w.-]+", line.strip())
            if not name:
                continue
            assert name[0].lower().replace("_", "-") in pinned, f"{name[0]} has no exact version in constraints.txt"
            if extra == "requirements":
                module = module_of.get(name[0], name[0])
                assert re.search(rf"\b{module}\b", code), f"{name[0]} is required, but no code uses it"


def test_nothing_of_a_machine_is_committed(root):
    """No absolute paths of a builder's machine, no addresses of a package registry."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("not a git checkout; a clone runs this")
    found = []
    for name in filter(None, files.stdout.split("\0")):
        path = root / name
        if not path.is_file() or path.suffix == ".png" or path.resolve() == Path(__file__).resolve():
            continue
        text = path.read_text("utf-8", errors="replace")
        if re.search(r"/home/\w+/|/root/|extra-index-url|file:///opt|files\.pythonhosted", text):
            found.append(name)
    assert not found


def names_made_by(tree):
    """The names of tests that a file defines or assigns."""
    for part in tree.body:
        if isinstance(part, (ast.FunctionDef, ast.ClassDef)):
            yield part.name
        elif isinstance(part, ast.Assign):
            yield from (each.id for each in part.targets if isinstance(each, ast.Name))


def texts_in(node):
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def wrong_names(text, own, known):
    """Tests, their files and notebooks that a reason names and that are not there; `own` are the tests of its file."""
    for file, name in re.findall(r"\b(test_\w+\.py)(?:::(\w+))?", text):
        if file not in known or name and name not in known[file]:
            yield f"{file}::{name}"
    stems = {path.stem for path in NOTEBOOKS}
    yield from set(re.findall(r"test_notebooks\.py, (\w+)", text)) - stems
    yield from set(re.findall(r"(?<!:)\btest_\w+\b(?!\.py)", text)) - own - {Path(file).stem for file in known}


def test_a_skip_says_what_is_tested_without(root):
    """What is missing here, and after a semicolon the test that takes the same path without it, which is there."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted((root / "tests").rglob("*.py"))}
    known = {path.name: set(names_made_by(tree)) for path, tree in trees.items()}
    bare, wrong = [], []
    for path in files_with("skip", trees):
        for call in ast.walk(trees[path]):
            if not isinstance(call, ast.Call):
                continue
            texts = texts_in(call)
            # The name of a test alone is handed to a function that puts it into a reason.
            reasons = [text for text in texts if re.fullmatch(r"test_\w+\.py(::\w+)?", text)]
            if ast.unparse(call.func).split(".")[-1] in ("skip", "skipif", "importorskip"):
                reasons = texts
                if not any("; " in text for text in texts):
                    bare.append(f"{path.name}:{call.lineno}")
            wrong += [f"{path.name}:{call.lineno}: {name}" for text in reasons
                      for name in wrong_names(text, known[path.name], known)]
    assert bare == []
    assert wrong == [], "reasons name what is not there"


def test_no_two_files_of_tests_have_one_name(root):
    """Folders of tests are no packages: pytest would take the second file for the first, and run neither."""
    names = [path.name for path in (root / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
