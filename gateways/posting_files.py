"""A company's posting file of one day (docs/company-gateway.md §7a): what it has recorded as paid through us, whole or not at all."""

import hashlib
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from core.strict_json import decode
from gateways.company_types import ContentWrong, Fen, Instant, PostingId, Serial

__all__ = ["FilePosting", "PostingFile", "read_posting_file"]


class FilePosting(msgspec.Struct, frozen=True):
    """One posting as the company has recorded it."""

    posting_id: PostingId
    serial: Serial
    total_fen: Fen
    posted_at: Instant


class PostingFile(msgspec.Struct, frozen=True):
    """A whole file whose trailer is right."""

    day: date
    postings: tuple[FilePosting, ...]
    total_fen: int
    sha256: str


class _Trailer(msgspec.Struct, frozen=True):
    date: date
    count: Annotated[int, Meta(ge=0)]
    total_fen: Annotated[int, Meta(ge=0)]


class _TrailerLine(msgspec.Struct, frozen=True):
    trailer: _Trailer


def read_posting_file(body: bytes, day: date) -> PostingFile:
    """Read a verified body. May hold 64 MB: call it in a thread.

    Raises:
        JsonRefused: a wrong shape. ContentWrong: ``trailer``.
    """
    *lines, last = body.removesuffix(b"\n").split(b"\n")
    trailer = decode(last, _TrailerLine).trailer
    postings = tuple(decode(line, FilePosting) for line in lines)
    total_fen = sum(posting.total_fen for posting in postings)
    if (trailer.date, trailer.count, trailer.total_fen) != (day, len(postings), total_fen):
        raise ContentWrong("trailer")
    return PostingFile(day, postings, total_fen, hashlib.sha256(body).hexdigest())
