"""What the tests of readings share: files to write, a small fleet of them."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Write text or bytes to a file below the test's folder and return its path."""

    def write(name, content):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.fixture
def three():
    """A file of three readings, 10 s apart."""
    return "timestamp,x\n2020-01-01 00:00:00,1\n2020-01-01 00:00:10,2\n2020-01-01 00:00:20,3\n"


@pytest.fixture
def fleet(tmp_path, write, three):
    """Write two pumps and the given tables, and return their folder."""

    def fleet(**tables):
        write("readings/pump-1.csv", three)
        write("readings/pump-2.csv", three)
        for name, text in tables.items():
            write(f"{name}.csv", text)
        return tmp_path

    return fleet
