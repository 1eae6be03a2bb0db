"""The pages, the report and the commands in French and Spanish: no English left, the same files in every language."""

from __future__ import annotations

import json
import logging
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from oco2_outliers.albums.odd_ones import _PLAIN
from oco2_outliers.cli import main
from oco2_outliers.explorer import explore
from oco2_outliers.ground.languages import LANGUAGES, language
from oco2_outliers.ground.telling import LOG
from oco2_outliers.image_clusters import cluster_pictures, odd_pictures, picture_vectors
from oco2_outliers.main_job import isolate
from oco2_outliers.page.report_page import report
from oco2_outliers.page.series_content import said_in
from oco2_outliers.peaks import find_peaks
from oco2_outliers.picture_gallery import gallery
from oco2_outliers.pictures.reading import NO_MEMORY
from oco2_outliers.pictures.reasons import NOTHING_UNUSUAL, _departure, column_names
from oco2_outliers.pictures.simulated import simulate_pictures
from oco2_outliers.runs.comparing import compared_in_words, settings_in_words
from oco2_outliers.series.checks import check_stretches
from oco2_outliers.series.judging import judge
from oco2_outliers.series.simulated import FAULTS, simulate_series
from oco2_outliers.soundings import simulate_granule

OTHERS = LANGUAGES[1:]
# What is the same word in two languages, or data: names of columns, of options and of settings.
SAME = {"eps", "min_samples", "score", "latitude", "longitude", "Lasso", "Versions", "version", "versions", "SHA-256",
        "Python", "NumPy", "pandas", "Figures", "(ppm)", "(hPa)", "(m)", "(°N)", "(°E)", "sigma", "delta"}


@pytest.fixture(scope="module")
def granule():
    return simulate_granule(0, 60)[0]


@pytest.fixture(scope="module")
def judged(granule, tmp_path_factory):
    out = tmp_path_factory.mktemp("judged") / "run"
    return isolate(granule, out=out, eps=3.0, min_samples=5), out


@pytest.fixture(scope="module")
def run(judged):
    table = judged[0].table
    days = [table.assign(source=f"f{k}.nc4", time=table["time"] + pd.Timedelta(days=k)) for k in range(2)]
    return pd.concat(days, ignore_index=True)


@pytest.fixture(scope="module")
def peaks():
    return find_peaks(simulate_granule(0)[0], n_surrogates=39)


@pytest.fixture
def untranslated(monkeypatch):
    """The texts that stood in English for want of a translation."""
    found, names = [], [language(code).catalogue.name for code in OTHERS]
    monkeypatch.setattr(LOG, "level", logging.DEBUG)
    monkeypatch.setattr(LOG, "isEnabledFor", lambda level: True)

    def debug(text, *about):
        if about and about[0] in names:
            found.append(text % about)

    monkeypatch.setattr(LOG, "debug", debug)
    return found


# ---------------------------------------------------------------- what Python says

@pytest.fixture(scope="module")
def odd():
    """Sixteen rows of columns of every kind."""
    return pd.DataFrame({"xco2": [400.0, 401.0, 430.0, 402.0] * 4, "k": 1.0, "note": "a", "albedo": [0.1, 99999.0] * 8})


@pytest.fixture(scope="module")
def more_judged(granule, odd):
    """On the track, by default, and few rows: each says other things of itself."""
    return isolate(granule, context="track"), isolate(granule), isolate(odd, eps=0.5)


@pytest.mark.parametrize("code", [OTHERS[0], *(pytest.param(code, marks=pytest.mark.heavy) for code in OTHERS[1:])])
def test_nothing_is_left_without_a_translation(judged, more_judged, odd, run, peaks, code, untranslated, tmp_path):
    result, out = judged
    on_track = more_judged[0]
    for each in (result, *more_judged, peaks):
        assert each.told(code) != each.told("en")
    odd.assign(score=1.0, reason="far").to_csv(tmp_path / "odd.csv", index=False)
    for number, (each, options) in enumerate([
            (result, {}), (out, {}), (on_track, {}), (run, {}), (peaks, {}), (tmp_path / "odd.csv", {}),
            (result, {"max_mb": 0.2}), (run, {"max_rows": 3000})]):
        explore(each, tmp_path / f"{number}.html", lang=code, **options).told(code)
    for number, each in enumerate([result, out, on_track, run, peaks]):
        report(each, tmp_path / f"r{number}.html", lang=code).told(code)
    assert untranslated == []


@pytest.mark.parametrize("code", OTHERS)
def test_what_a_run_was_judged_by_is_translated(code):
    tell = language(code)
    asked = {"eps": "auto", "min_samples": "auto"}
    for eps, few in (([], []), ([2.0], [5]), ([1.0, 2.5], [3, 1200])):
        lines = [{"counts": {"eps": one, "min_samples": m}} for one, m in zip(eps, few)]
        told = tell.tried(f"2,000 rows of a.nc4 and 186 more; {compared_in_words('file', 'file', 'robust')}; "
                          f"{settings_in_words(lines, asked)}")
        assert told is not None and not re.search(r"\b(the|rows|more|compared|to)\b", told), told
    assert tell.tried(settings_in_words([], {"eps": 2.5, "min_samples": 5})) is not None


def test_english_is_what_it_was(judged, peaks, tmp_path):
    for each in (judged[0], peaks):
        assert each.told() == each.told("en") == str(each)
    explore(judged[1], tmp_path / "a.html")
    explore(judged[1], tmp_path / "b.html", lang="en")
    text = (tmp_path / "a.html").read_text("utf-8")
    assert text == (tmp_path / "b.html").read_text("utf-8") and '<html lang="en"' in text and '"language":' not in text


class _Words(HTMLParser):
    """The texts of a page that a reader or a screen reader meets."""

    def __init__(self):
        super().__init__()
        self.found, self.code, self.inside = set(), None, ""

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.inside, self.code = tag, told.get("lang", self.code)
        self.found |= {told[name] for name in ("alt", "aria-label") if told.get(name)}

    def handle_data(self, data):
        if self.inside not in ("style", "script") and data.strip():
            self.found.add(data.strip())


def _words(path) -> _Words:
    words = _Words()
    words.feed(path.read_text("utf-8"))
    return words


def _english_left(here: set[str], english: set[str], data: set[str]) -> set[str]:
    """Texts that are on both pages and are no data."""
    return {text for text in here & english if re.search(r"[A-Za-z]{3}", text) and text not in data | SAME}


@pytest.mark.parametrize("code", [pytest.param(OTHERS[0], marks=pytest.mark.figures), *OTHERS[1:]])
def test_report(judged, tmp_path, code):
    result, out = judged
    report(out, tmp_path / "en.html")
    report(out, tmp_path / f"{code}.html", lang=code)
    english, here = _words(tmp_path / "en.html"), _words(tmp_path / f"{code}.html")
    assert here.code == code
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    data = {*result.table.columns, *summary["parameters"], *result.FILES, *map(str, summary["parameters"].values())}
    left = {text for text in _english_left(here.found, english.found, data)
            if not re.search(r"[0-9a-f]{64}|KDD|PAKDD|, .*_|table in memory", text)}
    assert left <= {"constant", "land_fraction", "robust", "auto", "all"}
    for name in ("sounding_id", *map(str, result.isolated["sounding_id"])):
        assert name in here.found


# ---------------------------------------------------------------- the page in a browser

_ALL_WORDS = """(() => {
  const found = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const { parentElement, data } = walk.currentNode;
    if (!["SCRIPT", "STYLE", "NOSCRIPT"].includes(parentElement.tagName)) found.add(data.trim());
  }
  const names = ["aria-label", "title", "aria-valuetext"];
  for (const each of document.querySelectorAll("[aria-label], [title], [aria-valuetext]"))
    for (const name of names) found.add(each.getAttribute(name) ?? "");
  for (const view of window.explorer.views) for (const axis of view.uplot.axes) found.add(axis.label ?? "");
  return [...found];
})()"""
_OPENED = """(() => { const app = window.explorer;
  for (const each of document.querySelectorAll("details")) each.open = true;
  app.facets.refresh(); app.clusterings.refresh(); app.run?.fillTables();
  app.setFilter("xco2 > 3 and"); app.open(app.top[0]); app.setSelected(app.top.slice(0, 3));
  if (!app.fixed) app.setEps(app.eps * 0.9);
  return app.canExplain?.() ? new Promise((done) => setTimeout(done, 400)) : true; })()"""


@pytest.mark.parametrize("kind", ["run", "peaks", "judged"])
def test_no_english_is_left_on_the_page(tab, run, peaks, judged, tmp_path, kind):
    result = {"run": run, "peaks": peaks, "judged": judged[0]}[kind]
    seen, window = {}, None
    for code in LANGUAGES:
        explore(result, tmp_path / f"{code}.html", lang=code)
        window = tab(tmp_path / f"{code}.html", instead_of=window)
        window.run(_OPENED)
        seen[code] = set(window.run(_ALL_WORDS))
        assert window.run("document.documentElement.lang") == code
        assert window.run("document.documentElement.scrollWidth <= innerWidth")
    table = result.peaks if kind == "peaks" else run
    values = {str(value) for name in table for value in table[name].dropna().unique()[:3000]}
    data = {*table.columns, *values, "track_distance", "ratio", "XCO2"}
    for code in OTHERS:
        left = {text for text in _english_left(seen[code], seen["en"], data)
                if not re.fullmatch(r"\w+ \((ppm|hPa|m|kg m-2|km|m s-1)\)|sounding_id \d+|\w+ [↓→].*", text)}
        left = {text for text in left if not set(re.findall(r"[a-z_0-9]+", text)) <= {*table.columns, "ppm", "km"}}
        assert left <= {"table in memory"}, left


@pytest.mark.parametrize("code", OTHERS)
def test_numbers_ids_and_csv_are_the_same(tab, judged, tmp_path, code):
    told, window = [], None
    for each in ("en", code):
        explore(judged[1], tmp_path / f"{each}.html", lang=each)
        window = tab(tmp_path / f"{each}.html", 400, 800, instead_of=window)
        told.append(window.run("({csv: explorer.csv(), eps: explorer.eps, n: explorer.nFlag, "
                               "scores: explorer.top.slice(0, 50).map((i) => explorer.scores[i])})"))
        assert window.run("document.documentElement.scrollWidth <= innerWidth"), each
        window.run("explorer.setFilter('reason contains \"%\"')")
        told[-1]["filtered"] = window.run("explorer.nShown")
    assert told[0] == told[1] and told[0]["filtered"] > 0


def test_hostile_texts_stay_texts_on_the_page(tab, judged, tmp_path, monkeypatch):
    from dataclasses import replace

    import oco2_outliers.explorer as room
    from oco2_outliers.ground.languages import Language

    told, bad = language("fr").catalogue, '<img src=x onerror="window.hit=1"></script><script>window.hit=1</script>'
    program = {key: bad if isinstance(found, str) else [bad, bad] for key, found in told.program.items()}
    monkeypatch.setattr(room, "language", lambda code: Language(replace(
        told, note=bad, program=program, told={key: bad for key in told.told})))
    explore(judged[0], tmp_path / "page.html", lang="fr")
    window = tab(tmp_path / "page.html")
    window.run(_OPENED)
    assert window.run("window.hit === undefined && document.querySelectorAll('img').length === 0")
    assert window.run("document.body.innerText.includes('onerror')")


# ---------------------------------------------------------------- the commands

def test_commands_write_the_same_files_in_every_language(granule, tmp_path, monkeypatch, capsys):
    granule.iloc[:800].to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.chdir(tmp_path)
    said, files = {}, {}
    for code in LANGUAGES:
        assert main(["isolate", "a.csv", "--eps", "3", "--min-samples", "5", "--out", code, "--lang", code]) == 0
        said[code] = capsys.readouterr().out
        files[code] = {file.name: file.read_bytes() for file in (tmp_path / code).iterdir() if file.name != "run.yaml"}
        assert main(["explore", code, "--out", f"{code}.html", "--lang", code]) == 0
        assert main(["report", code, "--out", f"r_{code}.html", "--lang", code]) == 0
        capsys.readouterr()
    assert files["en"] == files["fr"] == files["es"] and len(files["en"]) == 7
    assert "ensuite\u00a0: oco2-outliers explore fr --lang fr" in said["fr"] and "a continuación" in said["es"]
    numbers = [re.findall(r"20\d{14}", said[code]) for code in LANGUAGES]
    assert numbers[0] == numbers[1] == numbers[2] and numbers[0]


@pytest.mark.parametrize("command", ["isolate a.csv", "explore a", "report a", "peaks a.csv", "images gallery a",
                                     "series judge a.csv"])
def test_language_that_is_not_there_is_refused_first(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "--lang", "xx"]) == 2
    told = capsys.readouterr().err.strip()
    assert told.endswith("lang must be one of en, fr, es, not 'xx'") and "\n" not in told


# ---------------------------------------------------------------- several results, and series

def test_linked_results(tab, judged, peaks, tmp_path, untranslated):
    page = explore([judged[0], peaks], tmp_path / "linked.html", lang="fr")
    assert untranslated == []
    window = tab(page.path)
    assert window.run("document.documentElement.lang") == "fr"
    text = window.run("document.body.innerText")
    assert "Résultats côte à côte" in text and "Sélectionnez des lignes dans un résultat" in text
    window.run("linked.explorers[0].setSelected([0, 1])")
    assert "2 sélectionnées dans 1" in window.run("document.querySelector('.lk-said').textContent")
    for english in ("Select rows", "Light / dark", "Along the track", "Of the odd rows", "selected in", "Previous"):
        assert english not in window.run("document.body.innerText")


@pytest.fixture(scope="module")
def readings():
    table = simulate_series(days=10, faults=FAULTS, random_state=3).drop(columns="fault")
    return judge(table, "energy", "3 h", n_surrogates=9)


def test_every_reason_of_a_stretch_has_a_translation(readings):
    checked = check_stretches(readings.points[["time", "site", "channel", "value"]])
    found = [*readings.windows["reason"], *checked["reason"]]
    others = ["level shift of 0.5 from 1 to 1.5 m/s, medians of 1 d (limit 0.4)",
              "drift of 0.1 per day over 2 d (limit 0.05)",
              "out of range: 5 is below 6", "duplicate: another reading has this time, and says 5",
              "missing: a row without a value", "missing: a reading without a time",
              "flat line: 9 readings within 0.1 of each other, at 5 m, 2020-01-01 08:00 to 2020-01-02 09:00 "
              "(longest ordinary run 3)",
              "odd level: mean of 5 where 1 to 2 is usual (mean 50%, max 30%, largest step 20%)",
              "odd spread: sd of 5 where 1 is usual (sd 100%)",
              "odd shape: nearest window is 2020-01-01 08:00, 2.1 times farther than usual",
              "odd shape: nearest stretch of two windows is 2020-01-01 08:00, 0.9 times as far as usual",
              "odd shape: nearest window is 2020-01-01 08:00, 0.1 apart",
              "odd shape: there is no other whole window to compare it with",
              "odd mixture: its ten numbers are ordinary one by one, and seldom come together; the least ordinary is "
              "net change, 5 (1 to 2 is usual)"]
    assert len(set(readings.windows["kind"])) > 8
    for code in OTHERS:
        for reason in {*found, *others}:
            told = said_in(language(code), reason)
            assert told != reason and not re.search(r"\b(the|is|of|usual|reading|times|where|both)\b", told), told
            assert re.findall(r"\d[\d.:]*", told) == re.findall(r"\d[\d.:]*", reason)


def reasons_of_pictures():
    """What may be said of a picture: every colour of several palettes, every feature, light, and what is wrong."""
    said = {NOTHING_UNUSUAL, "no ordinary picture", "nearest ordinary picture a.jpg",
            "nearest ordinary picture b, c.png, 12.5 times farther than usual",
            *(word for pair in _PLAIN for word in pair)}
    for bins in ((1, 3, 3), (2, 3, 3), (3, 3, 3), (4, 6, 3), (5, 3, 3), (6, 3, 3), (18, 3, 3)):
        for name in column_names("colour", bins):
            said |= {_departure(name, 0.34, 0.0, high, True) for high in (0.001, 0.25)}
            said |= {_departure(name, 0.0, low, 0.5, True) for low in (0.01, 0.3)}
    for features in ("layout", "texture", "light", "waves", "gist", "patterns", "thumbnail"):
        for k, name in enumerate(column_names(features, (4, 6, 3))):
            said.add(_departure(name, *(1.0 if k % 2 else -1.0, 0.0, 0.5), False))
    wrong = ("not a picture", "not a picture (video)", "not a picture (PDF)", "empty file", "truncated JPEG",
             "truncated or damaged TIFF", "No such file or directory", "20000 x 10000 pixels; the limit is 100,000,000 "
             "(max_pixels, --max-pixels)", "a picture of a kind that cannot be read: SVG; turn it into JPEG or PNG",
             NO_MEMORY, "not a picture: shape (0,), float64", "a folder, no file", "damaged PNG (a chunk is missing)")
    return said | set(wrong) | {"; ".join(sorted(said)[k::97][:8]) for k in range(60)}


def words_of(text):
    return set(re.findall(r"[^\W\d_]{2,}", text.lower()))


def numbers_of(text):
    return sorted(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d)[,\u00a0](?=\d{3})", "", text)))


@pytest.mark.parametrize("code", OTHERS)
def test_no_english_word_is_left_of_a_reason_of_a_picture(code):
    tell = language(code)
    said = tell.catalogue.reasons
    texts = [text for each in said.values() for text in ([each] if isinstance(each, str) else each)]
    english, other = (words_of(re.sub(r"\{\w+\}", "", " ".join(each))) for each in (said, texts))
    same = english & other
    assert same <= {"orange", "cyan", "violet", "magenta", "jpeg", "png", "opencv", "px", "max", "pixels", "sigma",
                    "eps", "ppm", "km", "chi", "score", "centre", "permission", "error", "no", "saturation",
                    "utf"}, same
    for reason in reasons_of_pictures():
        told = tell.reason(reason)
        left = words_of(told) & english - same
        assert told != reason, reason
        assert not left, (reason, told, left)
        assert numbers_of(told) == numbers_of(reason), (reason, told)


_ENGLISH = re.compile(r"\b(the|of|with|without|pictures?|readings?|stretch(es)?|rows?|fields?|files?|usual|times)\b")


def _half_english(seen: set[str]) -> set[str]:
    """Texts of which a part was left; filters are English, and paths are data."""
    return {text for text in seen if _ENGLISH.search(text) and "not_read is not missing" not in text
            and not text.startswith("/")}


_SERIES_OPENED = """(() => { const app = window.series;
  for (const each of document.querySelectorAll("details")) each.open = true;
  app.setEverywhere(true); app.setAlpha(app.meta.alpha * 50); app.open(app.shown[0]);
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0))); })()"""
_PAGE_WORDS = _ALL_WORDS.replace("for (const view of window.explorer.views) for (const axis of view.uplot.axes) "
                                 "found.add(axis.label ?? \"\");", "")


def test_no_english_is_left_on_the_page_of_series(tab, readings, tmp_path, untranslated):
    seen, files, window = {}, {}, None
    for code in LANGUAGES:
        page = explore(readings, tmp_path / f"{code}.html", lang=code)
        for width in (1300, 400):
            window = tab(page.path, width, 900, instead_of=window)
            window.run(_SERIES_OPENED)
            assert window.run("document.documentElement.scrollWidth <= innerWidth"), (code, width)
        assert window.run("document.documentElement.lang") == code
        seen[code], files[code] = set(window.run(_PAGE_WORDS)), window.run("series.csv()")
    assert files["en"] == files["fr"] == files["es"] and files["en"].count("with p up to this alpha") > 0
    data = {*readings.points["channel"], *readings.points["site"], "alpha", "Site"}
    for code in OTHERS:
        left = {text for text in _english_left(seen[code], seen["en"], data) if not text.startswith("site_1, ")}
        assert left <= {"irregular", "irregular (1)"} and untranslated == []
        assert _half_english(seen[code]) == set() and _half_english(seen["en"])


def album_pages(folder, code):
    """A gallery with every kind of remark, in a language."""
    if not (folder / "album").exists():
        simulate_pictures(folder / "album", n_pictures=30, odd_kinds=["desert"] * 9 + ["night"], random_state=4)
        (folder / "album" / "notes.txt").write_text("no picture")
    table = odd_pictures(picture_vectors(folder / "album"))
    groups = [cluster_pictures(picture_vectors(folder / "album"), "ward", k=3, version=1)]
    table = table.assign(latitude=12.0, brightness=range(len(table)), good=[True] * len(table), kind_of=None,
                         note="n/a")
    table["when"] = pd.Timestamp("2019-01-01")
    table.loc[[3, 4], "latitude"], table.loc[5, "latitude"], table.loc[6, "when"] = -999.0, 95.0, pd.Timestamp(0)
    table["brightness"] = table["brightness"].astype(float)
    table.loc[2, "brightness"], table.loc[7, "brightness"], table.loc[8, "brightness"] = float("inf"), 9e5, None
    table = pd.concat([table, table.iloc[:1].assign(path="/absent/x.jpg")], ignore_index=True)
    return gallery(table, folder / code, clusterings=groups, lang=code)


_GALLERY_OPENED = """(() => { const app = window.gallery;
  for (const each of document.querySelectorAll("details")) each.open = true;
  app.setBins("v1_label", "good"); app.setFilter("latitude > 3 and"); app.open(0); app.setSelected([0, 1]);
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0))); })()"""


def test_no_english_is_left_in_the_gallery(tab, tmp_path, untranslated):
    seen, files, window = {}, {}, None
    for code in LANGUAGES:
        made = album_pages(tmp_path, code)
        made.told(code)
        for width in (400, 1300):
            window = tab(made.dive, width, 900, instead_of=window)
            window.run(_GALLERY_OPENED)
            assert window.run("document.documentElement.scrollWidth <= innerWidth"), (code, width)
        seen[code], files[code] = set(window.run(_PAGE_WORDS)), window.run("gallery.csv()")
        window = tab(made.fields, 400, 900, instead_of=window)
        window.run("document.querySelector('details').open = true")
        assert window.run("document.documentElement.scrollWidth <= innerWidth"), code
        seen[code] |= set(window.run(_PAGE_WORDS))
        assert window.run("document.documentElement.lang") == code
    assert files["en"] == files["fr"] == files["es"] and untranslated == []
    columns = set(odd_pictures(picture_vectors(tmp_path / "album")))
    data = columns | {"v1", "v1_x", "latitude", "brightness", "good", "kind_of", "note", "when", "not_read", "n/a"}
    for code in OTHERS:
        left = {text for text in _english_left(seen[code], seen["en"], data)
                if not re.search(r"^(v1_|picture_|/)|\.(jpg|png)\b", text)}
        assert left == set(), left
        assert _half_english(seen[code]) == set() and _half_english(seen["en"])


def test_hostile_texts_stay_texts_on_the_other_pages(tab, readings, tmp_path, monkeypatch):
    from dataclasses import replace

    import oco2_outliers.explorer
    import oco2_outliers.picture_gallery
    from oco2_outliers.ground.languages import Language

    catalogue = language("fr").catalogue
    bad = '<img src=x onerror="window.hit=1"></script><script>window.hit=1</script>'
    program = {key: bad if isinstance(found, str) else [bad, bad] for key, found in catalogue.program.items()}
    parts = {part: dict.fromkeys(getattr(catalogue, part), bad) for part in ("told", "stretches")}
    for room in (oco2_outliers.explorer, oco2_outliers.picture_gallery):
        monkeypatch.setattr(room, "language",
                            lambda code: Language(replace(catalogue, note=bad, program=program, **parts)))
    made = album_pages(tmp_path, "fr")
    explore(readings, tmp_path / "series.html", lang="fr")
    window = None
    for path in (tmp_path / "series.html", made.dive, made.fields):
        window = tab(path, instead_of=window)
        assert window.run("window.hit === undefined && document.querySelectorAll('img').length === 0")
        assert window.run("document.body.innerText.includes('onerror')")
