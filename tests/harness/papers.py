"""Files as people send them, and as nobody should."""

import io
import struct
import zlib
from typing import Any

import pikepdf
from PIL import Image


def photo(width: int = 40, height: int = 30, shade: int = 90, **saved: Any) -> bytes:
    """A small JPEG; `shade` makes two differ."""
    made = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 120, 80)).save(made, "JPEG", **saved)
    return made.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (20, 10)) -> bytes:
    """A small PNG."""
    made = io.BytesIO()
    Image.new(mode, size).save(made, "PNG")
    return made.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that says it has `width` × `height` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def document(change: Any = None, pages: int = 1, **saved: Any) -> bytes:
    """A PDF of empty pages, changed by `change`."""
    pdf = pikepdf.new()
    for _ in range(pages):
        pdf.add_blank_page()
    if change is not None:
        change(pdf)
    made = io.BytesIO()
    pdf.save(made, **saved)
    return made.getvalue()
