"""Build script: everything it knows stands in settings.ini."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
s = config["DEFAULT"]


def lines(key):
    return [line.strip() for line in s[key].splitlines() if line.strip()]


setup(
    name=s["lib_name"], version=s["version"], description=s["description"], keywords=s["keywords"].split(),
    author=s["author"], author_email=s["author_email"], license="Apache-2.0",
    long_description=Path("README.md").read_text("utf-8"), long_description_content_type="text/markdown",
    packages=find_packages(include=[s["lib_path"], s["lib_path"] + ".*"]),
    package_data={s["lib_path"]: ["py.typed", "data/*", "static/*"]},  # data: coastlines; static: the explorer page
    python_requires=">=" + s["min_python"], install_requires=lines("requirements"),
    extras_require={extra: lines(f"{extra}_requirements") for extra in ("dev", "docs", "lab", "geo", "bench")},
    entry_points={"console_scripts": lines("console_scripts"), "fsspec.specs": lines("fsspec_specs"),
                  "nbdev": [f"{s['lib_path']}={s['lib_path']}._modidx:d"]},
    zip_safe=False,
)
