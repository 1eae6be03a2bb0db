"""fsspec's own abstract test suite, against the real Swift and the local store.

The 96 glob edge cases on Swift are thousands of requests and run in `make test-slow`. So do copies of globs, and globs
into a folder that is there. Globs and folders into new folders run in `make test-heavy`: the quick tests put, get and
copy folders into folders that are there, by the same expansion of names.
"""
import functools
import types
import uuid

import fsspec.tests.abstract as abstract
import pytest
from fsspec.implementations.local import LocalFileSystem
from swift_server.fixtures import server, swift  # noqa: F401


def marked(mark, test):
    """A copy of an inherited test with a mark; the original, which the local store uses, has none."""
    copy = types.FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    copy.__dict__.update(test.__dict__)
    copy.pytestmark = [*getattr(test, "pytestmark", []), mark.mark]
    return copy


slow, heavy = (functools.partial(marked, mark) for mark in (pytest.mark.slow, pytest.mark.heavy))


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
    test_copy_glob_edge_cases = slow(abstract.AbstractCopyTests.test_copy_glob_edge_cases)
    test_copy_glob_to_existing_directory = slow(abstract.AbstractCopyTests.test_copy_glob_to_existing_directory)
    test_copy_glob_to_new_directory = slow(abstract.AbstractCopyTests.test_copy_glob_to_new_directory)
    test_copy_directory_to_new_directory = heavy(abstract.AbstractCopyTests.test_copy_directory_to_new_directory)
    test_copy_list_of_files_to_existing_directory = heavy(
        abstract.AbstractCopyTests.test_copy_list_of_files_to_existing_directory)
    test_copy_with_source_and_destination_as_list = heavy(
        abstract.AbstractCopyTests.test_copy_with_source_and_destination_as_list)


class TestSwiftGet(abstract.AbstractGetTests, SwiftFixtures):
    test_get_glob_edge_cases = slow(abstract.AbstractGetTests.test_get_glob_edge_cases)
    test_get_glob_to_existing_directory = slow(abstract.AbstractGetTests.test_get_glob_to_existing_directory)
    test_get_glob_to_new_directory = heavy(abstract.AbstractGetTests.test_get_glob_to_new_directory)


class TestSwiftPut(abstract.AbstractPutTests, SwiftFixtures):
    test_put_glob_edge_cases = slow(abstract.AbstractPutTests.test_put_glob_edge_cases)
    test_put_glob_to_existing_directory = slow(abstract.AbstractPutTests.test_put_glob_to_existing_directory)
    test_put_glob_to_new_directory = heavy(abstract.AbstractPutTests.test_put_glob_to_new_directory)
    test_put_directory_to_new_directory = heavy(abstract.AbstractPutTests.test_put_directory_to_new_directory)
    test_put_list_of_files_to_existing_directory = heavy(
        abstract.AbstractPutTests.test_put_list_of_files_to_existing_directory)


class TestSwiftPipe(abstract.AbstractPipeTests, SwiftFixtures):
    pass


class TestSwiftOpen(abstract.AbstractOpenTests, SwiftFixtures):
    pass


# Nothing but fsspec's own files on disk, to compare with: no code of this project.
class LocalFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self):
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def fs_path(self, tmpdir):
        return str(tmpdir)


@pytest.mark.slow
class TestLocalCopy(abstract.AbstractCopyTests, LocalFixtures):
    pass


@pytest.mark.slow
class TestLocalGet(abstract.AbstractGetTests, LocalFixtures):
    pass


@pytest.mark.slow
class TestLocalPut(abstract.AbstractPutTests, LocalFixtures):
    pass


@pytest.mark.slow
class TestLocalPipe(abstract.AbstractPipeTests, LocalFixtures):
    pass


@pytest.mark.slow
class TestLocalOpen(abstract.AbstractOpenTests, LocalFixtures):
    pass
