"""A counterpart made of bytes: it reads one request and then does what the test says, properly or not."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Behaviour = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
_PORTS = range(19_300, 19_400)


@dataclass
class Wire:
    port: int
    requests: list[bytes] = field(default_factory=list)
    inbox: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    """The same requests, for a test that waits for them."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def wire(behaviour: Behaviour, port: int | None = None) -> AsyncIterator[Wire]:
    """Listen while the block runs, on `port` or any free one. Each connection carries one request."""
    state = Wire(0)
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0
            )
            request = head + await reader.readexactly(length)
            state.requests.append(request)
            state.inbox.put_nowait(request)
            await behaviour(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await _listen(serve, [port] if port else _PORTS)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def answer(status: int, body: bytes = b"{}", **headers: str) -> Behaviour:
    async def behaviour(_request: bytes, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return behaviour


async def drop(_request: bytes, _writer: asyncio.StreamWriter) -> None:
    """Close without a word; the work may have been done."""


async def cut_short(_request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"posted": ')
    await writer.drain()


async def hang(_request: bytes, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _listen(serve: Callable[..., Awaitable[None]], ports: Iterable[int]) -> asyncio.Server:
    for port in ports:
        try:
            return await asyncio.start_server(serve, "127.0.0.1", port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise RuntimeError("no free port")


async def nobody_listens() -> str:
    """An address that refuses connections."""
    async with wire(drop) as closed:
        return closed.url
