"""One PostgreSQL and one Valkey for the whole run, in a temporary folder, with a migrated template database.

With xdist the controller starts them before its workers; without it they start when the first test asks, so that tests
of pure code wait for nothing. Fixture: ``engines``.
"""

import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lianban.engines import EmbeddedPostgres, EmbeddedValkey

TEMPLATE = "template_app"
_STARTED = pytest.StashKey["_Started"]()


class Engines(NamedTuple):
    """Addresses of the template database and of Valkey (without a database number)."""

    template_url: str
    redis_url: str

    def url(self, database: str) -> str:
        """The address of another database on the same server."""
        return self.template_url.replace(f"/{TEMPLATE}?", f"/{database}?", 1)


class _Started:
    def __init__(self) -> None:
        # The folder's parents must be open to the OS user PostgreSQL runs as, so the folder lies in the system's own.
        self.root = Path(tempfile.mkdtemp(prefix="lianban-test-"))
        self.root.chmod(0o711)
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.guard", str(self.root)],
            stdin=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        self._postgres = EmbeddedPostgres(self.root / "postgres", self.root / "run", database=TEMPLATE, durable=False)
        self._valkey = EmbeddedValkey(self.root / "valkey")
        try:
            self.engines = self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> Engines:
        # Imported late: with it comes the ORM, and most tests of pure code start no engine.
        from tests.harness import template

        return Engines(template.start(self._postgres), self._valkey.start())

    def stop(self) -> None:
        self._valkey.stop()
        self._postgres.stop()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(300)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and config.getoption("dist", "no") != "no" and not config.option.collectonly:
        config.stash[_STARTED] = _Started()


def pytest_configure_node(node: Any) -> None:
    """xdist: hand the addresses to a worker before it starts."""
    node.workerinput["engines"] = list(node.config.stash[_STARTED].engines)


def pytest_unconfigure(config: pytest.Config) -> None:
    if started := config.stash.get(_STARTED, None):
        del config.stash[_STARTED]
        started.stop()


@pytest.fixture(scope="session")
def engines(request: pytest.FixtureRequest) -> Generator[Engines]:
    """Where the engines of this run answer. Tests want ``database_url`` and ``redis_url`` instead."""
    config = request.config
    if hasattr(config, "workerinput"):
        yield Engines(*getattr(config, "workerinput")["engines"])  # noqa: B009  xdist adds it untyped
        return
    if _STARTED not in config.stash:
        config.stash[_STARTED] = _Started()
    yield config.stash[_STARTED].engines
