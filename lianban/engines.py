"""PostgreSQL and Valkey for one machine, from the programs that two wheels bring: no installation, no port, no set-up.

Both listen on a unix socket in a folder that only their owner may enter. They outlive a ``kill -9`` of the process that
started them; the next start finds them and goes on, or clears away what is left of them and starts anew on the same
data. ``DATABASE_URL`` and ``REDIS_URL`` name engines that somebody else runs; then none is started here.

PostgreSQL refuses to run as root. Where we are root it runs as an OS user of its own; a folder which that user cannot
reach is never opened up: data and programs then lie under ``/var/lib/lianban``, a symbolic link in their place.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from core.errors import LianbanError
from lianban.embedded_postgres import EmbeddedPostgres
from lianban.embedded_valkey import EmbeddedValkey
from lianban.engine_host import EngineFailed

__all__ = ["Addresses", "AlreadyRunning", "EmbeddedPostgres", "EmbeddedValkey", "EngineFailed", "locked", "running"]


class AlreadyRunning(LianbanError):
    """Another ``lianban dev`` works in this folder."""

    code = "already_running"


class Addresses(NamedTuple):
    """Where the engines answer: a ``postgresql://`` and a ``unix://`` or ``redis://`` address."""

    database_url: str
    redis_url: str


@contextmanager
def running(var_dir: Path, environ: Mapping[str, str] | None = None) -> Iterator[Addresses]:
    """Start what `environ` does not name, with its data under `var_dir`; stop it at the end.

    Raises:
        EngineFailed: an engine does not come up.
    """
    environ = os.environ if environ is None else environ
    database_url, redis_url = environ.get("DATABASE_URL", ""), environ.get("REDIS_URL", "")
    with ExitStack() as stack:
        if not database_url:
            postgres = EmbeddedPostgres(var_dir / "postgres", var_dir / "run")
            stack.callback(postgres.stop)
            database_url = postgres.start()
        if not redis_url:
            valkey = EmbeddedValkey(var_dir / "valkey")
            stack.callback(valkey.stop)
            redis_url = valkey.start()
        yield Addresses(database_url, redis_url)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; the kernel frees it when the process ends, however it ends.

    Raises:
        AlreadyRunning: another process holds it; the message names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(f"{path} is held by process {file.read().strip() or '?'}") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
