"""Every public name says what it takes, gives and refuses, and shows an example that runs."""

import ast
import doctest
import inspect
import re

import pytest
from layout import module_files

MODULES = list(module_files())
# Classes that need a server to show anything: their examples are in the notebook's walk through.
NO_EXAMPLE = {"SwiftFileSystem"}
COMMANDS = {"cli", "shell"}  # commands describe themselves with --help


def has(doc, section):
    """Whether a numpydoc docstring has a section."""
    return bool(re.search(rf"^\s*{section}\n\s*-{{4,}}$", doc, re.M))


def described(doc):
    """Names that stand at the head of an entry of a docstring's Parameters."""
    body = re.search(r"^( *)Parameters\n *-{4,}\n(.*?)(?=^ *\w+\n *-{4,}$|\Z)", doc, re.S | re.M)
    heads = re.findall(r"^ *((?:\*{0,2}\w+, )*\*{0,2}\w+)(?: :.*)?$", body[2], re.M) if body else []
    return {name.strip("* ") for head in heads for name in head.split(",")}


def raises(function):
    """Whether the function itself raises, functions inside it aside."""
    body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))).body[0]
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(body))


def gaps_of_function(function):
    doc = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    lacking = [] if doc else ["a docstring"]
    if signature.parameters and not has(doc, "Parameters"):
        lacking.append("Parameters")
    elif missing := [name for name in signature.parameters if name not in described(doc)]:
        lacking.append(f"Parameters {', '.join(missing)}")
    if str(signature.return_annotation) not in ("None", "") and not has(doc, "Returns") and not has(doc, "Yields"):
        lacking.append("Returns")
    if raises(function) and not has(doc, "Raises"):
        lacking.append("Raises")
    return lacking + ["Examples"] * (not has(doc, "Examples"))


def gaps_of_class(kind):
    doc = vars(kind).get("__doc__") or ""
    if issubclass(kind, Exception):
        return [] if doc else ["a docstring"]
    lacking = [] if has(doc, "Parameters") or has(doc, "Attributes") else ["Parameters"]
    return lacking + ["Examples"] * (not has(doc, "Examples"))


def defined(module):
    """Functions and classes that a module defines itself, by name; what it passes on is checked where it is defined."""
    for name, member in vars(module).items():
        member = getattr(member, "py_func", member)  # what numba compiled
        is_code = inspect.isroutine(member) or inspect.isclass(member)
        if is_code and member.__module__ == module.__name__ and member.__name__ == name:
            yield name, member


def gaps(module):
    """`name: what is missing` of every public function and class that a module defines."""
    for name, member in defined(module):
        if name in module.__all__:
            found = gaps_of_class(member) if inspect.isclass(member) else gaps_of_function(member)
            yield from (f"{name}: {what}" for what in found if not (what == "Examples" and name in NO_EXAMPLE))


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_described(module, package_modules):
    (here,) = [each for each in package_modules if each.__name__ == f"oco2_outliers.{module}"]
    found = list(gaps(here)) if module.split(".")[0] not in COMMANDS else []
    assert found == []


@pytest.mark.parametrize("module", MODULES)
def test_every_shared_name_says_what_it_does_in_a_sentence(module, package_modules):
    """What a room gives to other rooms, but not to users: no underscore, and not in `__all__`."""
    (here,) = [each for each in package_modules if each.__name__ == f"oco2_outliers.{module}"]
    shared = {name: inspect.getdoc(member) or "" for name, member in defined(here)
              if name[0] != "_" and name not in here.__all__}
    assert [name for name, doc in shared.items() if not re.match(r"\S.*?\S[.:;?](\s|$)", doc, re.S)] == []


def test_what_is_public_is_there(package_modules):
    """Each name of an `__all__`, also where a headline passes it on."""
    missing = [f"{module.__name__}.{name}" for module in package_modules for name in module.__all__
               if not hasattr(module, name)]
    assert missing == []


def test_every_public_method_says_what_it_does(package_modules):
    """One line at least, its own or of the fsspec or scikit-learn method that it fills in."""
    silent = [f"{kind.__name__}.{name}" for module in package_modules for kind in vars(module).values()
              if inspect.isclass(kind) and kind.__module__ == module.__name__ and not kind.__name__.startswith("_")
              for name, member in vars(kind).items()
              if not name.startswith("_") and callable(member) and not inspect.getdoc(getattr(kind, name))]
    assert silent == []


def examples_of(module):
    """How many examples of a module fail, and how many ran; docstrings without one are left out.

    For each docstring the runner looks at every file that Python has read so far, also for one without examples.
    """
    runner = doctest.DocTestRunner()
    for each in doctest.DocTestFinder().find(module):
        if each.examples:
            runner.run(each)
    return runner.summarize()


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module, package_modules, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (here,) = [each for each in package_modules if each.__name__ == f"oco2_outliers.{module}"]
    failed, run = examples_of(here)
    assert not failed
    shows = any(inspect.isfunction(member) for name, member in defined(here) if name in here.__all__)
    assert run or not shows or module.split(".")[0] in COMMANDS
