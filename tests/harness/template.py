"""The migrated template, kept between runs: migrating takes seconds, copying a stopped cluster a fraction of one.

The copy is named by everything it was made from; a change to a migration, a model or a lock file makes a new one.
"""

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from lianban import os_account
from lianban.engines import EmbeddedPostgres
from lianban.migrate import migrate

_ROOT = Path(__file__).parents[2]
_KEPT = _ROOT / "var" / "test-postgres"


def start(postgres: EmbeddedPostgres) -> str:
    """Start `postgres`, which has no data yet, with its database migrated; returns the address of that database."""
    kept = _KEPT / f"{_digest()}-{postgres.database}"
    if kept.is_dir():
        copy(kept, postgres.data_dir)
        return postgres.start()
    url = postgres.start()
    # In a thread of its own: an event loop, and the ORM's context, that the tests never see.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(lambda: asyncio.run(migrate(url))).result()
    postgres.stop()
    for other in _KEPT.glob("[!.]*"):
        if not other.name.startswith(_digest()):
            shutil.rmtree(other, ignore_errors=True)
    fresh = _KEPT / f".{secrets.token_hex(8)}"
    shutil.copytree(postgres.data_dir, fresh)
    with suppress(OSError):  # another run was faster
        fresh.rename(kept)
    return postgres.start()


def copy(source: Path, target: Path) -> None:
    """Copy the data of a stopped server, for the OS user it runs as."""
    shutil.copytree(source, target)
    account = os_account.for_postgres()
    for folder, folders, files in os.walk(target):
        for name in (".", *folders, *files):
            os_account.give(Path(folder, name), account)


def _digest() -> str:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    yield from sorted(path for path in (_ROOT / "models").rglob("*") if path.suffix in (".py", ".sql"))
    yield from sorted((_ROOT / "core").glob("*.py"))
    yield from sorted((_ROOT / "lianban").glob("*.py"))
    yield from (_ROOT / "requirements.lock", Path(__file__))
