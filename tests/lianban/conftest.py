"""Fixtures of the tests that start engines of their own: ``home``, ``cluster``, ``migrated``; and ``spine``."""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lianban import engine_host
from lianban.engines import EmbeddedPostgres
from tests.harness import template
from tests.harness.processes import processes_below
from tests.harness.spine import spine

__all__ = ["spine"]


@pytest.fixture
def home() -> Generator[Path]:
    """A folder below which nothing of ours is left alive. Its name has a space and Chinese in it."""
    # Not tmp_path: that is closed to the OS user PostgreSQL runs as where we are root, as a checkout normally is not.
    folder = Path(tempfile.mkdtemp(prefix="lianban 联办 "))
    folder.chmod(0o711)
    yield folder
    for process in processes_below(folder):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    engine_host.wait_until(lambda: not processes_below(folder), 5.0)
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def cluster() -> Generator[Path]:
    """Fresh data of a stopped server, to copy: initdb takes a second, a copy a tenth."""
    folder = Path(tempfile.mkdtemp(prefix="lianban-cluster-"))
    folder.chmod(0o711)
    made = EmbeddedPostgres(folder / "postgres", folder / "run", durable=False)
    made.start()
    made.stop()
    yield folder / "postgres"
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def migrated() -> Generator[Path]:
    """The same, with the schema in it."""
    folder = Path(tempfile.mkdtemp(prefix="lianban-cluster-"))
    folder.chmod(0o711)
    made = EmbeddedPostgres(folder / "postgres", folder / "run", durable=False)
    template.start(made)
    made.stop()
    yield folder / "postgres"
    shutil.rmtree(folder)
