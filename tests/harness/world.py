"""Settings with fresh keys, and the outside world as a process.

Fixtures: ``ports``, ``dev_files``, ``settings``, ``sandbox``.
"""

import os
import socket
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from core import settings as settings_module
from core.settings import Settings
from lianban.keys import Ports, ensure_dev_keys
from lianban.sandbox import SandboxProcess

_COUNT = 6
_FIRST_PORT, _LAST_PORT = 20_000, 30_000
"""Below the range from which the kernel picks ports for outgoing connections."""


class DevFiles(NamedTuple):
    """Paths of our settings file and of the sandbox's configuration."""

    settings: Path
    sandbox: Path


@pytest.fixture(scope="session")
def ports(worker_id: str) -> Ports:
    """Free loopback ports of this worker: one for the API, the next ones for the sandbox."""
    return free_ports(worker_id)


def free_ports(worker_id: str, *, skip: int = 0) -> Ports:
    """As many ports in a row as API and sandbox take, on which nobody listens; `skip` leaves the first ones to those who will take them later."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    # Several runs at once on one machine begin to look at different places: what is free now may be taken a moment later.
    first = _FIRST_PORT + (os.getppid() % 60 * 131 + number * 97) % 8_000
    for port in range(first + skip, _LAST_PORT, _COUNT):
        if _are_free(port, _COUNT):
            return Ports(api=port, sandbox=port + 1)
    raise RuntimeError("no free ports in a row")


@pytest.fixture(scope="session")
def dev_files(tmp_path_factory: pytest.TempPathFactory, ports: Ports) -> DevFiles:
    """Fresh keys, as ``lianban dev`` makes them."""
    return DevFiles(*ensure_dev_keys(tmp_path_factory.mktemp("var"), ports, "ezhou", environment="test"))


@pytest.fixture(scope="session")
def settings(dev_files: DevFiles, database_url: str, redis_url: str) -> Settings:
    """Settings of a test: this worker's engines, the addresses of ``sandbox``, and patience with a machine that has much else to do."""
    found = settings_module.load(
        {
            "LIANBAN_SETTINGS": str(dev_files.settings),
            "DATABASE_URL": database_url,
            "DATABASE_OWNER_URL": database_url,
            "REDIS_URL": redis_url,
        }
    )
    return msgspec.structs.replace(found, pool_wait_s=30.0, redis_wait_s=30.0)


@pytest.fixture(scope="session")
def sandbox(dev_files: DevFiles, ports: Ports) -> Generator[SandboxProcess]:
    """The outside world, running. ``POST {sandbox.url}/control/reset`` brings it back to its start."""
    with SandboxProcess(dev_files.sandbox, ports.sandbox, log=dev_files.sandbox.with_name("sandbox.log")) as process:
        process.wait_until_healthy()
        yield process


def _are_free(first: int, count: int) -> bool:
    with ExitStack() as stack:
        for port in range(first, first + count):
            probe = stack.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
