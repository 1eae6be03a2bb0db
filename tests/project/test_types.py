"""Types as a user's checker sees them: complete on every public name, and accepted by mypy."""

import inspect
import subprocess
import sys

import pytest

# Base classes write these; their hints are not ours to give.
NOT_OURS = {"fit_predict", "fit_transform", "get_params", "set_params", "score"}


def public_functions(module):
    """Every public function and public method of a module of the package, by the name a reader calls it."""
    for name in module.__all__:
        member = getattr(module, name)
        if inspect.isfunction(member):
            yield name, member
        elif inspect.isclass(member):
            for key, method in vars(member).items():
                method = getattr(method, "__func__", getattr(method, "fget", None) or method)
                if inspect.isfunction(method) and method.__module__ == module.__name__ and (
                        key == "__init__" or not key.startswith("_")) and key not in NOT_OURS:
                    yield f"{name}.{key}", method


def without_hints(function):
    """Parameters, and `return`, that say nothing of their type."""
    signature = inspect.signature(function)
    bare = [key for key, parameter in signature.parameters.items()
            if parameter.annotation is parameter.empty and key not in ("self", "cls")]
    return bare + ["return"] * (signature.return_annotation is signature.empty and function.__name__ != "__init__")


def test_every_public_name_states_its_types(package_modules):
    found = {f"{module.__name__}.{name}": bare for module in package_modules
             for name, function in public_functions(module) if (bare := without_hints(function))}
    assert found == {}


def test_the_package_says_that_it_has_types(root):
    assert (root / "oco2_outliers" / "py.typed").is_file()


@pytest.mark.slow
def test_mypy_accepts_the_package_and_what_its_user_writes(root, tmp_path):
    """`make check` runs the same command."""
    pytest.importorskip("mypy", reason="no mypy (extra dev); the hints are read without it above")
    done = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)], cwd=root, capture_output=True,
                          text=True, timeout=600)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("line, told", [
    ("isolate('a.nc4', min_samples=[5])", "min_samples"),
    ("isolate('a.nc4').isolatd", "isolatd"),
    ("x: int = find_peaks('a.nc4').peaks", "DataFrame"),
    ("simulate_granule(seed=0)", "seed"),
])
def test_mypy_tells_a_user_of_a_slip(root, tmp_path, line, told):
    """The hints are worth something: a wrong call is named before it runs."""
    pytest.importorskip("mypy", reason="no mypy (extra dev); the hints are read without it above")
    imports = "".join(f"from oco2_outliers.{module} import {name}\n" for module, name in [
        ("main_job", "isolate"), ("peaks", "find_peaks"), ("soundings", "simulate_granule")])
    (tmp_path / "slip.py").write_text(imports + line + "\n", encoding="utf-8")
    config = ["--config-file", str(root / "pyproject.toml"), "--cache-dir", str(root / ".mypy_cache")]
    done = subprocess.run([sys.executable, "-m", "mypy", *config, str(tmp_path / "slip.py")], cwd=root,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 1 and told in done.stdout
