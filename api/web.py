"""The page for phones and browsers, as built from ``web/`` into ``web/h5``: read once, served from memory beside the API.

Everything but the first file carries its own hash in its name, so it is kept for ever; the first file is asked about each time.
"""

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import NamedTuple

from api.calls import Answer, Call
from core.errors import NotFound

FOLDER = Path(__file__).parents[1] / "web" / "h5"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, no script in the page. The framework writes styles into the page, so those are allowed."""


class File(NamedTuple):
    """A built file: its bytes, its media type, its entity tag."""

    content: bytes
    media_type: str
    tag: str


@cache
def files() -> dict[str, File]:
    """All built files by their path below the folder, such as ``assets/index-1a2b.js``."""
    return {
        path.relative_to(FOLDER).as_posix(): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


async def lead(_call: Call) -> Answer:
    """From the bare address to the page."""
    return Answer(
        '<!doctype html><a href="/h5/">联办</a>'.encode(), 302, "text/html; charset=utf-8", {"Location": "/h5/"}
    )


async def show(call: Call) -> Answer:
    """The page itself."""
    answer = _answer(call, "index.html", "public, no-cache")
    answer.headers["Content-Security-Policy"] = _POLICY
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


async def asset(call: Call) -> Answer:
    """A script or a style sheet of the page.

    Raises:
        NotFound: no such file was built.
    """
    return _answer(call, f"assets/{call.path['name']}", "public, max-age=31536000, immutable")


def _answer(call: Call, name: str, caching: str) -> Answer:
    file = files().get(name)
    if file is None:
        raise NotFound("file")
    headers = {"ETag": file.tag, "Cache-Control": caching}
    if call.headers.get("if-none-match") == file.tag:
        return Answer(None, 304, headers=headers)
    return Answer(file.content, 200, file.media_type, headers)


def _read(path: Path) -> File:
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    is_text = kind.startswith("text/") or kind.endswith("javascript")
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return File(content, f"{kind}; charset=utf-8" if is_text else kind, tag)
