"""What the tests of the downstream tasks read."""

from pathlib import Path

import pytest

from tests.tasks.downstream_data import write_all


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder with one of each downstream task, see `write_all`."""
    folder = tmp_path_factory.mktemp("downstream")
    write_all(folder)
    return folder / "data"
