"""One MariaDB for the whole test run; tests skip, and say why, where there is none."""

import uuid

import pytest
from mariadb_server import MariaServer

from oco2_outliers.catalog import Catalog


@pytest.fixture(scope="session")
def maria():
    """The server."""
    server = MariaServer()
    try:
        yield server.start()
    except FileNotFoundError as error:
        pytest.skip(f"no MariaDB here: {error}; the same calls are made to SQLite")
    finally:
        server.stop()


@pytest.fixture
def database(maria):
    """The address of a new and empty database of the server."""
    name = f"c{uuid.uuid4().hex[:12]}"
    maria.run(f"CREATE DATABASE {name}")
    yield maria.url(name)
    maria.run(f"DROP DATABASE {name}")


@pytest.fixture(params=["sqlite", "mariadb"])
def address(request, tmp_path):
    """The address of a new and empty database of either kind."""
    return f"sqlite:///{tmp_path}/catalog.db" if request.param == "sqlite" else request.getfixturevalue("database")


@pytest.fixture
def catalog(address):
    """A new catalog of either kind."""
    made = Catalog(address)
    made.init()
    return made
