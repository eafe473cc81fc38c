"""A virus scanner as clamd(8) speaks: ``zINSTREAM``, chunks after their length, one line back. It knows one virus, the test string of EICAR.

Not part of the running sandbox: whoever wants one starts it. `fault`: ``hang``, ``drop`` (hangs up in the middle), ``garbage``.
"""

import asyncio
import contextlib
import struct
from typing import Final, Self

EICAR: Final = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"


class Scanner:
    """``async with Scanner() as scanner`` listens on a free loopback port; with `path` on a unix socket."""

    def __init__(self, path: str | None = None, *, most_bytes: int = 1_000_000, fault: str = "") -> None:
        self.address = f"unix:{path}" if path else ""
        self.scanned: list[int] = []
        self._path = path
        self._most_bytes = most_bytes
        self._fault = fault
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._path:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.address = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = await reader.readuntil(b"\0")
        if command != b"zINSTREAM\0":
            writer.write(b"UNKNOWN COMMAND\0")
            return
        if self._fault == "drop":
            return
        content = b""
        while (size := struct.unpack(">I", await reader.readexactly(4))[0]) > 0:
            content += await reader.readexactly(size)
            if len(content) > self._most_bytes:
                writer.write(b"INSTREAM size limit exceeded. ERROR\0")
                await writer.drain()
                return
        self.scanned.append(len(content))
        if self._fault == "hang":
            await self._stop.wait()
            return
        found = b"stream: Eicar-Test-Signature FOUND\0" if EICAR in content else b"stream: OK\0"
        writer.write(b"stream OK" if self._fault == "garbage" else found)
        await writer.drain()
