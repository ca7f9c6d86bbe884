"""A Prefect server for the tests of the flows."""

from collections.abc import Iterator

import pytest
from servers import Server


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture
def server(prefect_server: Server) -> Iterator[Server]:
    """Return the server, without what another test deployed or started."""
    prefect_server.clear()
    yield prefect_server
    prefect_server.clear()
