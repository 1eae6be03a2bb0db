"""Files of NASA's archive that go into a real object store. Here, where the other tests of Swift are, for the sake of
their one server; the archive is a stand-in on this machine.
"""

from __future__ import annotations

import os

from earthdata_server import servers, standing  # noqa: F401
from swift_server.fixtures import server  # noqa: F401

from oco2_outliers.datasets import Datasets
from oco2_outliers.soundings import fetch_soundings

# ruff: noqa: F811 - the fixtures are imported by name
AUGUST = ("2018-08-01", "2018-08-31")


def test_a_swift_container_gets_the_files_whole(server, servers, tmp_path):
    store = Datasets(server.settings, container=f"fetch{os.getpid()}", backoff=0.05, timeout=20)
    servers.faults[servers.paths[0]] = [1000]
    done = fetch_soundings(dates=AUGUST, store=store, prefix="/lite/")
    assert done.n("fetched") == 3 and [each["name"][:6] for each in store.get_container()] == ["/lite/"] * 3
    assert fetch_soundings(dates=AUGUST, store=store, prefix="/lite/", check=True).n("already there") == 3
    with store.open("/lite/" + servers.paths[2].rpartition("/")[2]) as file:
        assert file.read() == servers.files[servers.paths[2]]
    assert not [each for each in (tmp_path / "cache").rglob("*") if each.is_file()]
