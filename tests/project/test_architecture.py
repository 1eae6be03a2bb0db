"""The page on the architecture is true of the tree: it names every room, every family, and only what there is."""

import re

import architecture
import nbformat
import pytest
from layout import NBS, NOTEBOOKS, ROOT, module_files

PAGE = architecture.PAGE.read_text(encoding="utf-8")


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)[1]


def test_the_list_of_rooms_is_what_the_notebooks_say():
    assert architecture.renewed(PAGE) == PAGE, "run `make architecture`"
    assert re.findall(r"\]\(([\w/]+\.ipynb)\)", section("The rooms")) == [
        path.relative_to(NBS).as_posix() for path in NOTEBOOKS]


def test_every_family_is_told():
    families = {name.split(".")[0] for name, path in module_files().items() if "." in name}
    assert families <= set(re.findall(r"^\| `(\w+)` \|", section("Families"), re.M))


def test_the_rooms_it_speaks_of_are_there():
    families = {name.split(".")[0] for name in module_files() if "." in name}
    named = set(re.findall(rf"`((?:{'|'.join(sorted(families))})\.\w+)`", PAGE))
    assert named - set(module_files()) == set()


def test_what_data_passes_through_is_public(package_modules):
    public = {name for module in package_modules for name in module.__all__}
    named = {name for row in re.findall(r"^\|(.*?)\|", section("Where data enters and leaves"), re.M)
             for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 12 and named - public == set()


def test_it_is_linked_where_people_look():
    assert "(docs/architecture.md)" in (ROOT / "README.md").read_text("utf-8")
    assert "(docs/architecture.md)" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_a_room_without_a_subtitle_is_told(tmp_path):
    untold = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Rows\n\ntext")])
    nbformat.write(untold, tmp_path / "a.ipynb")
    with pytest.raises(ValueError, match="a.ipynb: a line '> what it is about' must follow the title"):
        architecture.subtitle(tmp_path / "a.ipynb")
    with pytest.raises(ValueError, match="must hold the lines"):
        architecture.renewed("# No block")
