"""Where sealed materials lie: a private folder, or anything that speaks S3. Keys are our own ids; nobody else's name ever becomes a path."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

from core.engine import transaction_is_open
from core.errors import LianbanError
from core.outbound import OutboundError
from gateways.object_storage import Bucket

T = TypeVar("T")


class StoreAway(LianbanError):
    """The store of materials does not answer, or has no room; what was sent is not kept."""

    code = "material_store_away"


class NotKept(LianbanError):
    """The store has nothing under this key, though a row says so."""

    code = "internal"


class Store(Protocol):
    """Keeps sealed bytes. Every call may be repeated."""

    async def put(self, key: UUID, sealed: bytes) -> None:
        """Keep `sealed`; when this returns it survives a power cut. Raises :class:`StoreAway`."""
        ...

    async def get(self, key: UUID) -> bytes:
        """Raises :class:`StoreAway`, :class:`NotKept`."""
        ...

    async def delete(self, key: UUID) -> None:
        """Forget `key`; what is not there is forgotten. Raises :class:`StoreAway`."""
        ...

    async def older_than(self, moment: datetime) -> list[UUID]:
        """Keys written before `moment` (real time, the store's own), at most a few thousand. Raises :class:`StoreAway`."""
        ...


class DiskStore:
    """A folder of this machine (or a mounted one) that only we may read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: UUID, sealed: bytes) -> None:
        await self._away(self._put, key, sealed)

    async def get(self, key: UUID) -> bytes:
        return await self._away(self._path(key).read_bytes)

    async def delete(self, key: UUID) -> None:
        with suppress(NotKept):
            await self._away(self._path(key).unlink)

    async def older_than(self, moment: datetime) -> list[UUID]:
        return await self._away(self._older_than, moment.timestamp())

    def _path(self, key: UUID) -> Path:
        # The last digits of our ids are random: the folders fill evenly.
        return self._folder / key.hex[-2:] / key.hex

    def _put(self, key: UUID, sealed: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _older_than(self, moment_s: float) -> list[UUID]:
        found: list[UUID] = []
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < moment_s:
                    if path.suffix == ".part":
                        path.unlink()
                    else:
                        found.append(UUID(path.name))
        return found

    async def _away(self, work: Callable[..., T], *arguments: object) -> T:
        if transaction_is_open():
            raise RuntimeError("the database is never held while waiting for a disk")
        try:
            return await asyncio.to_thread(work, *arguments)
        except FileNotFoundError:
            raise NotKept from None
        except OSError as error:
            raise StoreAway from error


class BucketStore:
    """A bucket that speaks S3, shared by as many machines as there are."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def put(self, key: UUID, sealed: bytes) -> None:
        try:
            await self._bucket.put(_key(key), sealed)
        except OutboundError as error:
            raise StoreAway from error

    async def get(self, key: UUID) -> bytes:
        try:
            found = await self._bucket.get(_key(key))
        except OutboundError as error:
            raise StoreAway from error
        if found is None:
            raise NotKept
        return found

    async def delete(self, key: UUID) -> None:
        try:
            await self._bucket.delete(_key(key))
        except OutboundError as error:
            raise StoreAway from error

    async def older_than(self, moment: datetime) -> list[UUID]:
        try:
            keys = await self._bucket.written_before(_PREFIX, moment)
        except OutboundError as error:
            raise StoreAway from error
        return [UUID(key.removeprefix(_PREFIX)) for key in keys]


_PREFIX = "materials/"


def _key(key: UUID) -> str:
    return f"{_PREFIX}{key.hex}"
