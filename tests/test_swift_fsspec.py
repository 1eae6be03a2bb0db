"""fsspec's own abstract test suite, against the real Swift and the local store."""
import uuid

import fsspec.tests.abstract as abstract
import pytest
from fsspec.implementations.local import LocalFileSystem
from swift_server.fixtures import server, swift  # noqa: F401


class SwiftFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, swift):  # noqa: F811
        return swift

    @pytest.fixture
    def fs_path(self, fs):
        container = f"abstract-{uuid.uuid4().hex[:8]}"
        fs.mkdir(container)
        yield container
        fs.rm(container, recursive=True)

    @pytest.fixture
    def fs_join(self):
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self):
        return False


class TestSwiftCopy(abstract.AbstractCopyTests, SwiftFixtures):
    pass


class TestSwiftGet(abstract.AbstractGetTests, SwiftFixtures):
    pass


class TestSwiftPut(abstract.AbstractPutTests, SwiftFixtures):
    pass


class TestSwiftPipe(abstract.AbstractPipeTests, SwiftFixtures):
    pass


class TestSwiftOpen(abstract.AbstractOpenTests, SwiftFixtures):
    pass


class LocalFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self):
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def fs_path(self, tmpdir):
        return str(tmpdir)


class TestLocalCopy(abstract.AbstractCopyTests, LocalFixtures):
    pass


class TestLocalGet(abstract.AbstractGetTests, LocalFixtures):
    pass


class TestLocalPut(abstract.AbstractPutTests, LocalFixtures):
    pass


class TestLocalPipe(abstract.AbstractPipeTests, LocalFixtures):
    pass


class TestLocalOpen(abstract.AbstractOpenTests, LocalFixtures):
    pass
