"""A virus scanner that speaks clamd's protocol (clamd(8), command INSTREAM), over a unix socket or TCP.

The bytes go in chunks, each after its length in four bytes, big-endian, an empty one at the end; the answer is one line ended by a
zero byte: ``stream: OK``, ``stream: <name> FOUND`` or ``… ERROR``. Anything else is no verdict: nobody is called clean by a guess.
"""

import asyncio
import struct
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from core.engine import transaction_is_open
from core.log import get_logger
from core.outbound import MalformedAnswer, NotSent, OutcomeUnknown

log = get_logger(__name__)

NAME = "clamd"
_CHUNK = 64 * 1024
_MOST_ANSWER = 4096
_AT_ONCE = 4
"""Fewer than clamd's own threads, which others on the machine may use as well."""


class Clamd:
    """One clamd. `address`: ``unix:/run/clamav/clamd.ctl`` or ``tcp://host:port``; `timeout` is for the whole of a scan."""

    def __init__(self, address: str, timeout: timedelta, most_bytes: int) -> None:
        self._address = urlsplit(address)
        self._timeout_s = timeout.total_seconds()
        self._most_bytes = most_bytes
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def scan(self, content: bytes) -> Literal["clean", "infected"]:
        """What the scanner says of these bytes.

        Raises:
            NotSent: nobody answers the door, or it is more than the scanner takes (`most_bytes`).
            OutcomeUnknown: it began and did not end. MalformedAnswer: it said neither OK nor FOUND.
        """
        if transaction_is_open():
            raise RuntimeError("a scan inside a transaction")
        if len(content) > self._most_bytes:
            log.error("scanner.too_large", size_bytes=len(content))
            raise NotSent(NAME, "scan", "too_large")
        async with self._places:
            reader = writer = None
            try:
                async with asyncio.timeout(self._timeout_s):
                    reader, writer = await self._open()
                    answer = await _ask(reader, writer, content)
            except TimeoutError:
                failure = NotSent if writer is None else OutcomeUnknown
                raise failure(NAME, "scan", "timeout") from None
            except (OSError, EOFError) as error:
                failure = NotSent if writer is None else OutcomeUnknown
                raise failure(NAME, "scan", type(error).__name__) from None
            finally:
                if writer is not None:
                    writer.transport.abort()
        return _verdict(answer)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._address.scheme == "unix":
            return await asyncio.open_unix_connection(self._address.path)
        return await asyncio.open_connection(self._address.hostname, self._address.port)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> bytes:
    try:
        writer.write(b"zINSTREAM\0")
        for start in range(0, len(content), _CHUNK):
            chunk = content[start : start + _CHUNK]
            writer.write(struct.pack(">I", len(chunk)) + chunk)
            await writer.drain()
        writer.write(struct.pack(">I", 0))
        await writer.drain()
    except ConnectionError:
        # It stops listening when it has had enough, and says why before it hangs up.
        pass
    answer = await reader.read(_MOST_ANSWER)
    while answer and not answer.endswith((b"\0", b"\n")) and len(answer) < _MOST_ANSWER:
        more = await reader.read(_MOST_ANSWER)
        if not more:
            break
        answer += more
    return answer


def _verdict(answer: bytes) -> Literal["clean", "infected"]:
    said = answer.rstrip(b"\0\n").decode("ascii", "replace")
    if said == "stream: OK":
        return "clean"
    if said.startswith("stream: ") and said.endswith(" FOUND"):
        log.warning("scanner.found", signature=said[8:-6][:120])
        return "infected"
    log.error("scanner.no_verdict", answer=said[:120])
    raise MalformedAnswer(NAME, "scan", "error" if said.endswith("ERROR") else "answer")
