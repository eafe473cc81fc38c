"""What comes in is known by its content and made anew; what is hostile is refused before it costs anything."""

import io
import zipfile
from typing import Any

import pikepdf
import pytest
from PIL import Image

from domain.materials.inspecting import Limits, MaterialRefused, inspect
from tests.harness.papers import document, huge_png, photo, picture

LIMITS = Limits(10 * 1024 * 1024, 50_000_000, 3)


def _zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil.sh", b"0" * 5_000_000)
    return made.getvalue()


def _script(pdf: Any) -> None:
    pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")


def _hidden_script(pdf: Any) -> None:
    action = pikepdf.Dictionary(
        S=pikepdf.Name.URI, URI="https://a.example", Next=pikepdf.Dictionary(S=pikepdf.Name.Launch, F="calc")
    )
    pdf.pages[0].Annots = pikepdf.Array([pikepdf.Dictionary(Subtype=pikepdf.Name.Link, A=action)])


def _attachment(pdf: Any) -> None:
    pdf.attachments["evil.exe"] = b"MZ"


def _form(pdf: Any) -> None:
    pdf.Root.AcroForm = pikepdf.Dictionary(XFA=pikepdf.Stream(pdf, b"<xdp/>"))


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "a web page": (b"<!doctype html><script>alert(1)</script>", "type"),
    "a drawing with a script": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "type"),
    "an archive": (_zip(), "type"),
    "a GIF": (b"GIF89a" + bytes(100), "type"),
    "a PDF after something else": (b"GIF89a" + document(), "type"),
    "half a photo": (photo(400, 300)[:600], "unreadable"),
    "a photo in name only": (b"\xff\xd8\xff\xe0" + b"<?php system($_GET[0]); ?>", "unreadable"),
    "a PDF in name only": (b"%PDF-1.7\n<script>", "unreadable"),
    "a picture of 100 megapixels": (huge_png(10_000, 10_000), "too_many_pixels"),
    "a picture as long as a road": (huge_png(60_000, 10), "too_many_pixels"),
    "a PDF with a script": (document(_script), "active_content"),
    "a PDF with a program behind a link": (document(_hidden_script), "active_content"),
    "a PDF with an attachment": (document(_attachment), "active_content"),
    "a PDF with a living form": (document(_form), "active_content"),
    "a locked PDF": (document(encryption=pikepdf.Encryption(owner="o", user="u")), "locked"),
    "a book": (document(pages=4), "too_many_pages"),
    "more bytes than allowed": (photo() + bytes(10 * 1024 * 1024), "too_large"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_paper_is_refused_with_the_reason(name: str) -> None:
    content, reason = REFUSED[name]
    with pytest.raises(MaterialRefused) as refused:
        inspect(content, LIMITS)
    assert refused.value.reason == reason


def test_a_photo_is_made_anew_without_where_and_with_what_it_was_taken() -> None:
    exif = Image.Exif()
    exif[0x010F] = "CAMERA-MAKER"
    exif[0x0112] = 6  # lies on its side
    sent = photo(64, 32, exif=exif, comment=b"<script>alert(1)</script>") + _zip() + b"<html>"
    found, clean = inspect(sent, LIMITS)
    assert (found.media_type, found.width, found.height) == ("image/jpeg", 32, 64)
    assert not any(trace in clean for trace in (b"CAMERA", b"script", b"PK\x03\x04", b"<html>", b"Exif"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_a_picture_of_whatever_kind_becomes_a_plain_one(mode: str) -> None:
    found, clean = inspect(picture(mode), LIMITS)
    with Image.open(io.BytesIO(clean)) as image:
        assert (found.media_type, image.size, image.mode in ("L", "RGB")) == ("image/png", (20, 10), True)


def test_a_pdf_is_written_anew_without_what_stands_around_it() -> None:
    def known_by_name(pdf: Any) -> None:
        pdf.docinfo["/Author"] = "SOMEBODY"
        pdf.Root.OpenAction = pikepdf.Array([pdf.pages[0].obj, pikepdf.Name.Fit])
        pdf.pages[0].Contents = pikepdf.Stream(pdf, b"PK\x05\x06" + bytes(18))

    found, clean = inspect(document(known_by_name) + _zip(), LIMITS)
    assert (found.media_type, found.pages) == ("application/pdf", 1)
    assert clean.startswith(b"%PDF-")
    assert not any(trace in clean for trace in (b"PK\x03\x04", b"PK\x05\x06", b"SOMEBODY", b"OpenAction"))
    assert inspect(clean, LIMITS)[1] == clean, "what we made is not changed by us again"
