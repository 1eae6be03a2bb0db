"""README.md is what nbs/index.ipynb says; and the tool that makes it keeps to text that stays the same."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
import readme
from layout import ROOT


def check(root):
    """Exit code and standard output of `readme.py --check`."""
    command = [sys.executable, str(ROOT / "docs/_ext/readme.py"), "--check", "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of an index.ipynb with each kind of output, and the README.md made from it."""
    root = tmp_path_factory.mktemp("project")
    cells = [
        nbformat.v4.new_markdown_cell("# tiny\n\n> What it is.\n\n[rows](00_rows.ipynb#top), [licence](../LICENSE), "
                                      "[web](https://example.org/a.ipynb)."),
        nbformat.v4.new_code_cell("#| hide\nprint('nobody reads this')"),
        nbformat.v4.new_code_cell("import sys\nprint('read')\nprint('a path', file=sys.stderr)"),
        nbformat.v4.new_code_cell("#| echo: false\nsource_unseen = 1\nprint('\\x1b[31mseen\\x1b[0m')"),
        nbformat.v4.new_code_cell("import pandas as pd\n"
                                  "pd.DataFrame({'name': ['a|b', 'c <d>'], 'value': [1.5, -2.0]}, index=[3, 4])"),
        nbformat.v4.new_code_cell("#| label: falling\n#| fig-alt: A falling line\n#| fig-cap: It falls\n"
                                  "import matplotlib.pyplot as plt\nplt.plot([2, 1]);"),
        nbformat.v4.new_code_cell("#| eval: false\nrun_me()"),
        nbformat.v4.new_code_cell("sum([1, 2])"),
    ]
    (root / "nbs").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "nbs/index.ipynb")
    readme.write(root)
    return root


@pytest.mark.heavy
def test_readme_of_this_project_is_up_to_date(monkeypatch, capsys):
    for name in ("PYTHONPATH", "MATPLOTLIBRC", "TQDM_DISABLE"):  # the kernel's, here for this test alone
        monkeypatch.setenv(name, os.environ.get(name, ""))
    assert (readme.main(["--check", "--root", str(ROOT)]), capsys.readouterr().out) == (0, "")


def test_every_kind_of_output(project):
    text = (project / "README.md").read_text(encoding="utf-8")
    assert text.startswith("<!-- Made from nbs/index.ipynb") and "# tiny\n\n> What it is.\n" in text
    assert "[rows](nbs/00_rows.ipynb#top), [licence](LICENSE), [web](https://example.org/a.ipynb)" in text
    assert "nobody reads this" not in text and "a path\n" not in text and "source_unseen" not in text
    assert "```text\nread\n```" in text and "```text\nseen\n```" in text and "```text\n3\n```" in text
    assert "|  | name | value |\n| --: | :-- | --: |\n| 3 | a\\|b | 1.5 |\n| 4 | c <d> | -2.0 |" in text
    assert "![A falling line](docs/images/falling.png)\n\n*It falls*" in text
    assert "```python\nrun_me()\n```" in text and "#|" not in text
    assert (project / "docs/images/falling.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_again_and_where_they_disagree(project, monkeypatch, capsys):
    path, picture = project / "README.md", project / "docs/images/falling.png"
    said, drawn = path.read_text(encoding="utf-8"), picture.read_bytes()
    now = readme.made_readme(project)
    assert now[0] == said and list(now[1]) == ["docs/images/falling.png"]
    try:
        picture.write_bytes(drawn + b"another version of matplotlib")
        assert readme.disagreement(project, now) is None
        path.write_text(said.rstrip("\n") + "\n\nAdded by hand.\n", encoding="utf-8")
        assert "makes it ''" in readme.disagreement(project, now)
        path.unlink()
        assert readme.disagreement(project, now).startswith("README.md line 1 says ''")
        path.write_text(said.replace("It falls", "It rises"), encoding="utf-8")
        monkeypatch.setattr(readme, "made_readme", lambda root: now)
        assert readme.main(["--check", "--root", str(project)]) == 1
        line = capsys.readouterr().out
        assert line.count("\n") == 1
        assert "says '*It rises*', nbs/index.ipynb makes it '*It falls*': run `make readme`" in line
        path.write_text(said, encoding="utf-8")
        picture.unlink()
        assert readme.disagreement(project, now) == "docs/images/falling.png is missing: run `make readme`"
    finally:
        path.write_text(said, encoding="utf-8")
        picture.write_bytes(drawn)


def test_a_failing_cell_is_told_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / "nbs").mkdir()
    cells = [nbformat.v4.new_markdown_cell("# tiny"), nbformat.v4.new_code_cell("1 / 0")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "nbs/index.ipynb")
    assert readme.main(["--root", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "index.ipynb does not run: ZeroDivisionError: division by zero\n"
    assert not (tmp_path / "README.md").exists()


def test_no_index_is_told(tmp_path):
    code, line = check(tmp_path)
    assert code == 1 and "index.ipynb" in line


# ---------------------------------------------------------------- what this project's README promises

def said():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_as_it_stands_and_is_short(tmp_path, monkeypatch, capsys):
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", said(), re.S | re.M))
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "__main__"})
    printed = capsys.readouterr().out.strip()
    assert printed in said(), "what it prints is what README.md shows"


def commands(group, path="oco2-outliers"):
    """Every command of the program, as it is typed."""
    for name, command in group.commands.items():
        deeper = getattr(command, "commands", None)
        yield from commands(command, f"{path} {name}") if deeper else [f"{path} {name}"]


def test_the_table_names_every_command():
    import typer.main

    from oco2_outliers.cli import app

    named = set()
    for row in re.findall(r"^\| (`oco2-outliers .*?) \|", said(), re.M):
        # The last word of the first is a command; the others in the row stand beside it.
        typed = [f"{words} " for words in re.findall(r"`(.*?)`", row)]
        (*group, first), *others = [re.findall(r"\b[a-z][\w-]*(?= )", words) for words in typed]
        named |= {" ".join([*group, word]) for word in [first, *(other[0] for other in others)]}
    assert [command for command in commands(typer.main.get_command(app)) if command not in named] == []


def cells_of(name):
    notebook = json.loads((ROOT / "nbs" / name).read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def test_the_table_of_the_page_on_the_command_line_names_every_command():
    import typer.main

    from oco2_outliers.cli import app

    table = next(text for text in cells_of("90_cli.ipynb") if text.startswith("| command |"))
    named = set()
    for row in re.findall(r"^\| (`.*?) \|", table, re.M):
        group, words = "", re.findall(r"`(.*?)`", row)
        for typed in words:
            plain = re.sub(r"\[.*?\]| -.*", "", typed)
            first, *rest = [word for word in re.findall(r"[\w-]+", plain) if word.islower()]
            group = f"{first} " if rest else group
            named |= {f"oco2-outliers {group}{[first, *rest][-1]}", f"oco2-outliers {first}"}
    assert [command for command in commands(typer.main.get_command(app)) if command not in named] == []


def test_the_table_of_tasks_names_every_task():
    from oco2_outliers.runs.tasks import TASKS

    page = next(text for text in cells_of("06_scale.ipynb") if text.startswith("## The tasks"))
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(TASKS)


def test_links_and_pictures_are_there():
    targets = re.findall(r"\]\((?!\w+:|#)([^)#]+)", said())
    assert [target for target in targets if not (ROOT / target).is_file()] == []
    assert len(re.findall(r"!\[[^\]]{20,}\]\(docs/images/", said())) == 1, "one picture, with words"


def test_it_says_how_to_cite():
    assert "@software{oco2_outliers," in said() and "CITATION.cff" in said()
