"""Files on their way in: read piece by piece under hard limits of size, time and number, raw or as the one part of a form.

Neither a name nor a type that the sender gives is looked at: what a file is, its content says.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header
from sanic import Request

from api.errors import BodyTooLarge, MediaTypeUnsupported, RequestMalformed, RequestTimedOut
from api.shedding import refusal

LONGEST_S = 120.0
AT_ONCE = 8
"""Per process: each is held in memory."""
_ENVELOPE_BYTES = 16 * 1024
_LET_PASS = 4
_PART = "file"


class Uploads:
    """Receives uploads of at most `most_bytes`."""

    def __init__(self, most_bytes: Callable[[], int]) -> None:
        self._most_bytes = most_bytes
        self._arriving = 0

    async def receive(self, request: Request) -> bytes:
        """The file that the request carries.

        Raises:
            BodyTooLarge, RequestTimedOut, MediaTypeUnsupported: a form of another kind.
            RequestMalformed: a form that is broken or holds anything but one file. Overloaded: too many at once.
        """
        media_type, options = parse_options_header(request.headers.get("content-type", ""))
        is_form = media_type.lower() == "multipart/form-data"
        if media_type.lower() == "application/x-www-form-urlencoded":
            raise MediaTypeUnsupported
        most_bytes = self._most_bytes()
        if self._arriving >= AT_ONCE:
            raise refusal("filing")
        self._arriving += 1
        try:
            content = await _read(request, most_bytes + (_ENVELOPE_BYTES if is_form else 0))
        finally:
            self._arriving -= 1
        return _only_part(content, options.get("boundary", ""), most_bytes) if is_form else content


async def _read(request: Request, most_bytes: int) -> bytes:
    stream: Any = request.stream
    pieces: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(LONGEST_S):
            while (piece := await stream.read()) is not None:
                size_bytes += len(piece)
                if size_bytes > most_bytes:
                    # Nothing is kept any more, but a client that is still sending does not hear us: the rest is let pass, within reason.
                    pieces.clear()
                    if size_bytes > _LET_PASS * most_bytes:
                        break
                else:
                    pieces.append(piece)
                # A slow telephone is no slow answer: Sanic's own clock starts anew while bytes come, ours goes on.
                stream.protocol._time = stream.protocol.loop.time()
    except TimeoutError:
        raise RequestTimedOut from None
    if size_bytes > most_bytes:
        raise BodyTooLarge
    return b"".join(pieces)


def _only_part(content: bytes, boundary: str, most_bytes: int) -> bytes:
    """The one part of a form, named ``file``."""
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise RequestMalformed(where="header.Content-Type", reason="no boundary")
    found: list[bytes] = []
    name = None
    try:
        with PushMultipartParser(
            boundary, max_header_size=1024, max_header_count=8, max_segment_size=most_bytes, max_segment_count=2
        ) as parser:
            for event in (*parser.parse(content), *parser.parse(b"")):
                if isinstance(event, MultipartSegment):
                    if name is not None:
                        raise RequestMalformed(where="body", reason="one part only")
                    name = event.name
                elif event:
                    found.append(bytes(event))
    except ParserLimitReached:
        raise BodyTooLarge from None
    except MultipartError:
        raise RequestMalformed(where="body", reason="not a form") from None
    if name != _PART:
        raise RequestMalformed(where="body", reason="no part named file")
    return b"".join(found)
