"""Build script: everything it knows stands in settings.ini."""
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
s = config["DEFAULT"]


def lines(key):
    return [line.strip() for line in s[key].splitlines() if line.strip()]


def readme():
    """README.md with links that also work away from the repository."""
    text = Path("README.md").read_text("utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?!\w+:)", rf"\1{s['git_url']}/raw/{s['branch']}/", text)
    return re.sub(r"(?<!!)(\[[^\]!]*\]\()(?!\w+:|#)", rf"\1{s['git_url']}/blob/{s['branch']}/", text)


setup(
    name=s["lib_name"], version=s["version"], description=s["description"], keywords=s["keywords"].split(),
    author=s["author"], author_email=s["author_email"], license="Apache-2.0",
    long_description=readme(), long_description_content_type="text/markdown",
    classifiers=["Development Status :: 3 - Alpha", f"Intended Audience :: {s['audience']}",
                 "Programming Language :: Python :: 3", "Topic :: Scientific/Engineering :: Atmospheric Science",
                 "Typing :: Typed"],
    packages=find_packages(include=[s["lib_path"], s["lib_path"] + ".*"]),
    # data: coastlines; static: the explorer's page; both with a NOTICE of where they are from
    package_data={s["lib_path"]: ["py.typed", "data/*", "static/*"]},
    python_requires=">=" + s["min_python"], install_requires=lines("requirements"),
    extras_require={extra: lines(f"{extra}_requirements")
                    for extra in ("dev", "docs", "lab", "geo", "scale", "embeddings", "umap", "torch", "series",
                                  "mariadb", "stream", "earthdata", "bench")},
    entry_points={"console_scripts": lines("console_scripts"), "fsspec.specs": lines("fsspec_specs"),
                  "nbdev": [f"{s['lib_path']}={s['lib_path']}._modidx:d"]},
    zip_safe=False,
)
