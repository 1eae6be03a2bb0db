"""The paper keeps to the form of its journal, its figures to the pages that it names, its references to the docs."""

import json
import re

import metadata
import yaml
from layout import NBS, ROOT

PAPER = (ROOT / "paper.md").read_text("utf-8")
HEAD, BODY = PAPER.split("---\n", 2)[1:]
BIB = (ROOT / "paper.bib").read_text("utf-8")
SECTIONS = dict(zip(re.findall(r"^# (.*)", BODY, re.M), re.split(r"^# .*\n", BODY, flags=re.M)[1:]))


def docs_text():
    """All that the docs say, notebooks and pages."""
    pages = [path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")]
    return "\n".join([*(path.read_text("utf-8") for path in NBS.rglob("*.ipynb")), *pages])


def words_of(notebook):
    """The prose of a notebook."""
    cells = json.loads((ROOT / notebook).read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def test_the_form():
    head = yaml.safe_load(HEAD)
    assert {"title", "tags", "authors", "affiliations", "date", "bibliography"} == head.keys()
    assert (ROOT / head["bibliography"]).is_file() and head["title"] == metadata.settings()["citation_title"]
    assert [each["name"] for each in head["authors"]] == [metadata.settings()["author"]]
    assert {each["affiliation"] for each in head["authors"]} == {each["index"] for each in head["affiliations"]}
    assert list(SECTIONS) == ["Summary", "Statement of need", "State of the field", "Software design", "Limits",
                              "References"]
    prose = re.sub(r"\]\([^)]*\)|^# .*", "", BODY, flags=re.M)
    assert 600 <= len(prose.split()) <= 900


def test_figures_stand_on_the_pages_that_are_named():
    """Each number of a paragraph with a link is found in the notebook behind it."""
    looked = 0
    for paragraph in SECTIONS["State of the field"].split("\n\n"):
        pages = re.findall(r"\]\((nbs/[^)#]*)", paragraph)
        text = "\n".join(map(words_of, pages))
        told = re.sub(r"\]\([^)]*\)|@\w+", "", paragraph)
        numbers = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w])", told)
        assert bool(pages) or not numbers, paragraph
        for number in numbers:
            looked += 1
            assert re.search(rf"(?<![\d.]){re.escape(number.rstrip(','))}(?![\d]|\.\d)", text), (number, pages)
    assert looked > 30


def test_references_are_those_of_the_docs():
    keys = re.findall(r"^@\w+\{(\w+),", BIB, re.M)
    dois = re.findall(r"doi\s*=\s*\{([^}]*)\}", BIB)
    assert sorted(set(re.findall(r"@(\w+)", BODY))) == sorted(keys) and len(dois) == len(keys)
    told = docs_text()
    assert [doi for doi in dois if f"https://doi.org/{doi}" not in told] == []
