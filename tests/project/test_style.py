"""Notebooks are cut into small cells and short functions, and rooms keep to themselves what is private.

The rules stand in `scripts/style_rules.py`; what may break them for now stands in `style_exceptions.json`, which may
only shrink. `make style` shows where the project stands; `python scripts/style.py --list` names every place.
"""

import nbformat
import pytest
import style
import style_cells
import style_rules


@pytest.mark.parametrize("rule", style_rules.RULES)
def test_rule(rule):
    found, listed = set(style_rules.RULES[rule]()), set(style_rules.exceptions().get(rule, []))
    assert sorted(found - listed) == [], f"{rule}: see CONTRIBUTING.md"
    assert sorted(listed - found) == [], "no exceptions any more: take them off tests/project/style_exceptions.json"


def test_most_cells_define_one_thing_and_half_of_them_are_short():
    told = dict(zip([name.strip() for name, _ in style.ROWS], style.measured(style_cells.ROOT / "nbs")))
    assert int(told["cells with one definition"].split()[0]) >= 75
    assert float(told["code lines in a cell: median"]) <= 12 and told["private names imported"] == "0"


def test_the_list_of_exceptions_names_rules():
    assert set(style_rules.exceptions()) <= {*style_rules.RULES, style_rules.FOREIGN}
    assert style_rules.needless_reasons() == set(), "take them off tests/project/style_exceptions.json"


# ---------------------------------------------------------------- the rules themselves

LONG = "def long():\n    \"\"\"Says.\n\n    More.\n    \"\"\"\n    # why\n\n" + "    x = 1\n" * 40 + "    return x"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that writes notebooks, each a module of cells, and makes the rules see them."""
    def write(**modules):
        order = []
        for name, cells in modules.items():
            whole = [f"#| default_exp {name.replace('__', '.')}", *cells]
            notebook = nbformat.v4.new_notebook(cells=[
                nbformat.v4.new_markdown_cell(cell[2:]) if cell.startswith("m:") else nbformat.v4.new_code_cell(cell)
                for cell in whole])
            nbformat.write(notebook, tmp_path / f"{name}.ipynb")
            order.append(f"      - {name}.ipynb\n")
        (tmp_path / "sidebar.yml").write_text("website:\n  sidebar:\n    contents:\n" + "".join(order))
        monkeypatch.setattr(style_rules, "NBS", tmp_path)
        forget()
        monkeypatch.setattr(style_rules, "exceptions", dict)
        return tmp_path

    yield write
    forget()


def forget():
    """What the rules remember of the notebooks that they read."""
    style_rules.project.cache_clear()
    style_rules.all_privates.cache_clear()


def broken(rule):
    return sorted(set(style_rules.RULES[rule]()))


def test_code_lines_are_counted_without_words(made):
    notebooks = style_cells.read_notebooks(made(a=["#| export\n" + LONG, "def test():\n    pass"]))
    assert [cell.n_lines for cell in notebooks[0].code] == [42]
    assert broken("cells over 40 code lines") == ["a: long"]
    assert broken("functions over 40 code lines") == ["a.long"]


def test_a_kernel_may_be_long_and_a_method_may_not(made):
    method = "class Box:\n" + "\n".join(f"    {line}" for line in LONG.split("\n"))
    made(a=[f"#| exporti\n@_compiled(fastmath=True)\n{LONG}", f"#| export\n{method}"])
    assert broken("functions over 40 code lines") == ["a.Box.long"]


def test_definitions_runs_and_modules(made):
    small = "\n".join(f"def f{i}():\n    return {i}" for i in range(4))
    text = "text = '''\n#| export\ndef g(): ...\n'''"
    made(a=["#| export\nimport os", "m:words", f"#| export\n{small}", "#| export\n" + "y = 1\n" * 39, "f0()", text,
            "#| exporti\n" + "z = 1\n" * 39, "m:words", "#| export\nq = 1"], b=["#| export\n" + "x = 1\n" * 900])
    assert broken("cells with over 3 definitions") == ["a: f0"]
    assert broken("runs over 80 code lines without a word") == ["a: f0", "b: x = 1"]
    assert broken("modules over 900 lines") == ["b"]


@pytest.mark.parametrize("code, told", [
    ("from oco2_outliers.b import _x", "a: _x of oco2_outliers.b"),
    ("def f():\n    from ..b import _x\n    return _x", "a: _x of b"),
    ("from oco2_outliers import b\nb._x", "a: b._x"),
    ("def _x(): ...\nfrom oco2_outliers import b\nb._x", "a: b._x"),
    ("def f(it):\n    return it._x", "a: it._x"),
    ("class C:\n    def f(self, other):\n        self._x = 1\n        return other._x", None),
    ("class C:\n    _x: int = 1\ndef f(it):\n    return it._x, it._replace(a=1), it.__class__", None),
    ("class C(D):\n    def f(self):\n        return self._x, super()._x", None),
])
def test_private_names(made, code, told):
    made(a=[f"#| export\n{code}"])
    assert broken("private names of another module") == ([told] if told else [])


def test_public_names(made):
    made(a=["#| export\ndef thing(): ...\nLIMIT = 1"], b=["#| export\nfrom oco2_outliers.a import thing",
         "#| export\n_all_ = [thing]\nLIMIT = 2"], rooms__thing=["#| exporti\nLIMIT = 3\ndef b(): ..."])
    assert broken("public names of two things") == ["LIMIT: a, b"]
    assert broken("modules named as a function or class") == ["rooms.thing"]


def test_circles_and_order(made):
    made(one__a=["#| export\nfrom oco2_outliers.two import c"],
         two__c=["#| export\ndef f():\n    from oco2_outliers.one.b import x"],
         one__b=["#| export\nimport oco2_outliers.one.b", "%matplotlib inline\nfrom oco2_outliers import two"])
    assert broken("circles of modules") == ["one.b"]
    assert broken("circles of folders") == ["one, two"]
    assert broken("imports from further down") == [
        "one__a.ipynb: oco2_outliers.two.c", "one__b.ipynb: oco2_outliers.one.b", "two__c.ipynb: oco2_outliers.one.b"]


def test_the_table_has_a_column_for_each_folder(made, capsys):
    folder = made(a=["#| export\n" + LONG, "#| export\ndef f(): ..."])
    style.main([str(folder), str(folder)])
    said = capsys.readouterr().out
    assert "cells over 40 code lines" in said and said.count("50 %") == 2
    with pytest.raises(SystemExit, match="no notebook here exports code"):
        style.table([folder / "nothing"])
