"""Looking at an upload in a process of its own: whatever its decoder does there, this one goes on."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from core.engine import transaction_is_open
from core.log import get_logger
from domain.materials.inspecting import Found, Limits, MaterialRefused, Reason

log = get_logger(__name__)

_ROOT = Path(__file__).parents[2]
_WALL_S = 60.0
_AT_ONCE = 2


class _Told(msgspec.Struct):
    found: Found | None = None
    refused: Reason | None = None


class Inspector:
    """Inspects, at most two at once: each may take a core and a gigabyte for a few seconds."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def inspect(self, content: bytes, limits: Limits) -> tuple[Found, bytes]:
        """As :func:`domain.materials.inspecting.inspect`; what kills its process is ``too_complex``.

        Raises:
            MaterialRefused.
        """
        assert not transaction_is_open(), "nobody waits for a decoder with a transaction open"
        if not content:
            raise MaterialRefused("empty")
        async with self._places:
            answer = await _run(content, limits)
        line, _, clean = answer.partition(b"\n")
        try:
            told = msgspec.json.decode(line, type=_Told)
        except msgspec.DecodeError:
            log.warning("material.inspection_died", size_bytes=len(content))
            raise MaterialRefused("too_complex") from None
        if told.found is None:
            raise MaterialRefused(told.refused or "unreadable")
        return told.found, clean


async def _run(content: bytes, limits: Limits) -> bytes:
    words = [str(number) for number in (limits.most_bytes, limits.most_pixels, limits.most_pages)]
    # Nothing of our surroundings: no settings, no addresses, no proxies.
    surroundings = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "domain.materials.inspecting", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=surroundings,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_WALL_S):
            answer, _ = await process.communicate(content)
    except TimeoutError:
        return b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return answer
