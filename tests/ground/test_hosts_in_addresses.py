"""A listed file keeps the host of its address.

No FTP server is at hand in the tests: a filesystem that is told its host by the address and leaves it out of its
paths, as those of FTP, SFTP and SMB do, stands for one.
"""
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from oco2_outliers.ground.addresses import fetch, list_files
from oco2_outliers.runs.running import map_files

TABLE = b"xco2,xco2_uncertainty\n" + b"".join(b"%d.5,0.%d\n" % (400 + i % 5, 4 + i % 3) for i in range(60))


class Hosted(MemoryFileSystem):
    """Files of several hosts; its paths hold no host."""

    protocol = "hosted"
    store: dict = {}
    pseudo_dirs: list = [""]

    def __init__(self, host="nowhere", **kwargs):
        super().__init__(**kwargs)
        assert host == "me@data.host", host

    @classmethod
    def _strip_protocol(cls, path):
        text = str(path).removeprefix("hosted://")
        rest = text.partition("/")[2] if text != str(path) else text
        return "/" + rest.strip("/") if rest.strip("/") else ""

    @staticmethod
    def _get_kwargs_from_urls(path):
        return {"host": path.removeprefix("hosted://").partition("/")[0]}


@pytest.fixture
def hosted():
    fsspec.register_implementation("hosted", Hosted, clobber=True)
    fs = Hosted("me@data.host")
    fs.pipe({"/days/a.csv": TABLE, "/days/b.csv": TABLE, "/days/out/c.csv": TABLE})
    yield "hosted://me@data.host/days"
    Hosted.store.clear()
    Hosted.clear_instance_cache()


@pytest.mark.parametrize("what", ["", "/", "/*.csv", "/?.csv"])
def test_a_listed_file_is_found_again_by_its_name(hosted, what):
    files = list_files(hosted + what, without=hosted + "/out")
    assert [file.name for file in files] == [f"{hosted}/{name}.csv" for name in "ab"]
    assert [fetch(file) for file in files] == [TABLE, TABLE]


def test_a_run_reads_files_of_a_host(hosted, tmp_path):
    result = map_files(f"{hosted}/*.csv", "convert", out=tmp_path / "run")
    assert len(result.manifest) == 2 and result.manifest["rows"].tolist() == [60, 60], result
