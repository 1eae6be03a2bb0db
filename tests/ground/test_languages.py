"""The catalogues: whole, without what nobody uses, with the same places in every language, and safe on any page."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.languages import LANGUAGES, Catalogue, Language, language, template_of
from oco2_outliers.page.html import page_html, program
from oco2_outliers.pictures.reasons import _bin_names, column_names

PACKAGE = Path(importlib.util.find_spec("oco2_outliers").origin).parent
STATIC, OTHERS, PARTS = PACKAGE / "static", LANGUAGES[1:], ("program", "told", "reasons", "stretches")
NOUNS = ("row", "peak", "tile", "picture")  # what one row of a page is
AGREEING = {"isolated", "flagged", "selected", "flagged [peak]", "selected [peak]"}
# Rooms whose texts are shown by the pages and commands that speak all languages.
SHOWN = ("isolation/reporting", "isolation/choosing", "isolation/tails", "isolation/contexts", "page/digests",
         "page/content", "page/verdict", "page/tiles", "page/thumbnails", "page/peak_tracks", "page/report_facts",
         "page/report_parts", "page/report_figures", "plumes/screening", "plumes/describing", "soundings/surroundings",
         "page/series_content", "page/gallery_content", "page/field_summaries", "page/album_tables",
         "picture_gallery", "series/readings", "series/deciding")
# Texts there that stand in files or errors, or that Python never shows in words.
NOT_SHOWN = re.compile(r"silhouette is|^(sounding_id|xco2|score)\b|KDD|PAKDD|Chevallier|Hoaglin|Physica|ICDM|"
                       r"Bréon|column-averaged dry|coronavirus|Theiler|surrogate data|[{}<>=]|;.*:|"
                       r"spreads off the neighbours|"
                       r"^odd soundings$|^index |must be|latitude|or place not drawn|^factor on eps$|"
                       r"rows that were drawn|contains \"a\"|^time of the index$|"
                       r"^each against its neighbours on the track; the run used eps$")


def catalogue(code: str) -> dict:
    return json.loads((STATIC / f"{code}.json").read_text("utf-8"))


def forms(found: str | list[str]) -> list[str]:
    return [found] if isinstance(found, str) else found


# ---------------------------------------------------------------- what the programs of the pages say

_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`')


def first_argument(text: str, at: int) -> str:
    """The code up to the comma or bracket that ends an argument."""
    depth, k = 0, at
    while True:
        if text[k] in "\"`":
            k = _LITERAL.match(text, k).end()
            continue
        if text[k] in "([{":
            depth += 1
        elif text[k] in ")]}," and depth == 0:
            return text[at:k]
        elif text[k] in ")]}":
            depth -= 1
        k += 1


def literals(code: str) -> set[str]:
    """The texts in some code; one with a noun in it stands for all nouns."""
    found = set()
    for raw in (plain or made for plain, made in _LITERAL.findall(code)):
        raw = raw.replace('\\"', '"')
        if "${" not in raw:
            found.add(raw)
        elif not re.search(r"\$\{(?!(?:this|app)\.noun\})", raw):
            found |= {re.sub(r"\$\{\w+\.noun\}", noun, raw) for noun in NOUNS}
    return found


def counted_texts(text: str) -> set[str]:
    """The texts that `plural` looks up: a count and its noun."""
    found = set()
    for match in re.finditer(r"(?<![\w.])plural\(", text):
        noun = first_argument(text, match.end() + len(first_argument(text, match.end())) + 1)
        found |= {f"{{n}} {each}" for each in literals(noun)}
        found |= {f"{{n}} {each}" for each in NOUNS} if re.fullmatch(r"\s*\w+\.noun\s*", noun) else set()
    return found


def texts_of(name: str) -> set[str]:
    """All texts that a program looks up in the catalogue."""
    text = (STATIC / name).read_text("utf-8")
    found = counted_texts(text)
    for match in re.finditer(r"(?<![\w.])(?<!function )(tr|new FilterError)\(", text):
        code = first_argument(text, match.end())
        found |= set(NOUNS) if re.fullmatch(r"\w+\.noun", code) else literals(code)
    for match in re.finditer(r"const (?:HELD|POINTS) = \[([^\]]*)\]", text):
        found |= literals(match[1])
    if name == "series.js":
        found |= kinds_of_series()
    if name == "filter.js":
        found |= literals(text[text.index("const hint"):text.index("const values = {")]) - {"text"}
    return found


def kinds_of_series() -> set[str]:
    """The kinds of stretches that have a colour of their own on the page of series."""
    text = (STATIC / "series.js").read_text("utf-8")
    told = text[text.index("const KIND_COLOURS"):text.index("const LOWER")]
    return {quoted or plain for quoted, plain in re.findall(r'(?:"([a-z ]+)"|([a-z]+)): "#', told)}


SPOKEN = ("languages.js", "filter.js", "columns.js", "peaks.js", "runs.js", "shades.js", "facets.js", "footprints.js",
          "clusterings.js", "explorer.js", "links.js", "gallery.js", "fields.js", "series.js")
_BARE = re.compile(r'(?:text|title|"aria-label"|placeholder): "([^"]*[a-z]{3}[^"]*)"')


@pytest.mark.parametrize("name", SPOKEN)
def test_no_word_of_a_page_passes_the_catalogue_by(name):
    assert set(_BARE.findall((STATIC / name).read_text("utf-8"))) <= {"min_samples", "alpha"}


@cache
def needed() -> set[str]:
    """The texts of all programs that speak languages."""
    return set().union(*map(texts_of, SPOKEN))


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_of_the_programs_is_there_and_no_other(code):
    there = set(catalogue(code)["program"])
    assert needed() - there == set(), "without a translation"
    assert there - needed() == AGREEING, "used by no program"


def test_no_program_shows_a_text_past_the_catalogue():
    shown = re.compile(r'(?:text|title|placeholder|"aria-label"): "[A-Z][a-z]+|(?:text|title): `[A-Z][a-z]+ ')
    found = {name: shown.findall((STATIC / name).read_text("utf-8")) for name in SPOKEN}
    assert not any(found.values()), found


# ---------------------------------------------------------------- what Python says

def _skipped(node: ast.AST) -> bool:
    """Whether the texts within a node are of errors or of documentation."""
    if isinstance(node, ast.Raise):
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def pieces_of(path: Path) -> set[str]:
    """All pieces of text in a module, without those of errors and docstrings."""
    found, todo = set(), [ast.parse(path.read_text("utf-8"))]
    while todo:
        node = todo.pop()
        if not _skipped(node):
            todo += ast.iter_child_nodes(node)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


@cache
def templates() -> str:
    """All English texts of Python in one, with their places."""
    told = catalogue("fr")
    return "\n".join(key for part in PARTS[1:] for key in told[part])


@pytest.mark.parametrize("room", SHOWN)
def test_every_sentence_of_a_room_is_in_the_catalogue(room):
    texts = {piece.strip(" .,;:()") for piece in pieces_of(PACKAGE / f"{room}.py")}
    sentences = {text for text in texts if re.search(r"[a-z]{2,} [a-z]{2,} ", text) and not NOT_SHOWN.search(text)}
    plain = re.sub(r"\{\w+\}", "", templates())
    lost = {text for text in sentences if text not in templates() and text not in plain}
    assert lost == set()


@cache
def corpus() -> str:
    """Every piece of text in the package."""
    return "\n".join(sorted(set().union(*(pieces_of(file) for file in PACKAGE.rglob("*.py")))))


def is_written(key: str) -> bool:
    """Whether most pairs of words of a text stand side by side in the package, or all words of a short one do."""
    pieces = [re.findall(r"[\w'-]+[^\w{}]*", piece) for piece in re.split(r"\{\w+\}", key)]
    pairs = [a + b.rstrip(" .,;:()%") for words in pieces for a, b in zip(words, words[1:])]
    if len(pairs) > 3:
        return float(np.mean([pair in corpus() for pair in pairs])) > 0.6
    return all(word.strip(" .,;:()%").removesuffix("s") in corpus() for words in pieces for word in words)


def test_no_text_of_python_is_stale():
    told = catalogue("fr")
    stale = {key for part in PARTS[1:] for key in told[part] if not is_written(key)}
    hues = {name for n in range(2, 6) for name in _bin_names((n, 1, 1))}  # put together of the names of three hues
    of_the_system = {"No such file or directory", "Permission denied"}
    named = set(column_names("light", (4, 6, 3)))
    assert stale <= {key for key in told["reasons"] if is_raised(key)} | hues | named | of_the_system


@cache
def raised() -> str:
    """Every piece of text of the errors of pictures: why one could not be read is the message of an error."""
    files = [*PACKAGE.joinpath("pictures").glob("*.py"), PACKAGE / "ground" / "files.py"]
    return "\n".join(node.value for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))
                     if isinstance(node, ast.Constant) and isinstance(node.value, str))


def is_raised(key: str) -> bool:
    """Whether the parts of a text between its places stand in those errors."""
    return all(part.strip(" ,;:") in raised() for part in re.split(r"\{\w+\}|;", key))


# ---------------------------------------------------------------- the catalogues beside one another

def test_kinds_of_stretches_are_called_alike_by_the_page_and_its_reasons():
    for code in OTHERS:
        told = catalogue(code)
        kinds = kinds_of_series()
        assert len(kinds) > 15
        assert {kind: told["program"][kind] for kind in kinds} == {kind: told["stretches"][kind] for kind in kinds}
        assert told["program"]["{kind}: {why}"].replace("{kind}", "{what}") == told["stretches"]["{what}: {why}"]


def test_all_catalogues_have_the_same_keys():
    one, *others = map(catalogue, OTHERS)
    for other in others:
        assert {name: set(one[name]) for name in PARTS} == {name: set(other[name]) for name in PARTS}


@pytest.mark.parametrize("code", OTHERS)
def test_places_agree(code):
    places = re.compile(r"\{\w+\}")
    for name in PARTS:
        for key, found in catalogue(code)[name].items():
            assert len(set(places.findall(key))) == len(places.findall(key)), f"{key}: a place twice"
            for form in forms(found):
                free = {"{n}"} if isinstance(found, list) and form == found[0] else set()  # "its neighbour"
                assert set(places.findall(key)) - free <= set(places.findall(form)) <= set(places.findall(key)), key


@pytest.mark.parametrize("code", OTHERS)
def test_forms_are_one_or_two_and_hang_on_a_count(code):
    for name in PARTS:
        for key, found in catalogue(code)[name].items():
            assert isinstance(found, str) or (len(found) == 2 and ("{n}" in key or key in AGREEING)), key
            assert all(form.strip() and key[0].isspace() == form[0].isspace() for form in forms(found)), key


def test_french_blanks():
    for name in PARTS:
        for found in catalogue("fr")[name].values():
            for form in forms(found):
                assert not re.search(r" [:;?!%»]|« ", form), form
                assert not re.search(r"(?<![\u00a0\d{}?])[;?!](?:\s|$)|\w:(?:\s|$)", form), form
                assert "'" not in form, form


def test_plurals():
    french, spanish = map(language, OTHERS)
    assert [french(text) for text in ("0 rows", "1 row", "2 rows")] == ["0 ligne", "1 ligne", "2 lignes"]
    assert [spanish(text) for text in ("0 rows", "1 row", "2 rows")] == ["0 filas", "1 fila", "2 filas"]


# ---------------------------------------------------------------- any text and any catalogue

@given(st.text(max_size=200))
def test_any_text_passes(text):
    for code in LANGUAGES:
        tell = language(code)
        assert isinstance(tell(text), str) and isinstance(tell.reason(text), str)
    assert language("en")(text) == text


@given(st.text(alphabet="ab {}n;,.", max_size=40))
def test_a_template_fits_its_own_text(text):
    template = template_of(text)
    assert template.pattern.fullmatch(re.sub(r"\{\w+\}", "1", text))


@given(st.integers(0, 10**9), st.text("abc_0123456789", min_size=1))
def test_numbers_and_names_stay(n, name):
    for code in OTHERS:
        told = language(code)(f"{name}: dropped {n:,} rows with a fill or missing feature" if n != 1 else "1 row")
        assert re.sub(r"\D", "", told.replace(name, "", 1) if n != 1 else told) == str(n)


def test_hostile_catalogue_stays_text():
    bad = '</script><img src=x onerror="alert(1)">'
    tell = Language(Catalogue("fr", "français", program={"Map": bad}, told={"Unpacking {rows} ...": bad + "{gone}",
                                                                         "{n} row": bad}))
    text = page_html({"title": bad, "n": 3, "language": tell.for_page()}, b"", tell)
    assert "<img" not in text.replace(program(), "") and text.count("</script>") == 3


def test_language_that_is_not_there():
    for wrong in ("xx", "fr-FR", None, 7):
        with pytest.raises(InputError, match="lang must be one of en, fr, es, not"):
            language(wrong)
