"""What an upload is, by its content, and a clean copy of it: made anew, so that nothing hidden in the original stays.

Runs as a program of its own (``python -m domain.materials.inspecting``) under limits of memory and time that it sets itself before it
reads the first byte: decoders of images and PDFs are where hostile files aim, and that process knows no key and no address.
Bytes in on standard input; out come a line of JSON (:class:`Found` or a refusal) and the clean copy.
"""

import io
import sys
import warnings
from typing import Any, Literal

import msgspec

from core.errors import LianbanError

MediaType = Literal["image/jpeg", "image/png", "application/pdf"]
Reason = Literal[
    "empty",
    "type",
    "unreadable",
    "too_many_pixels",
    "too_many_pages",
    "locked",
    "active_content",
    "too_large",
    "too_complex",
]

_MEMORY_BYTES = 1_500 * 1024 * 1024
_CPU_S = 25
_JPEG_QUALITY = 88
_LONGEST_EDGE = 6_000
"""A photo larger than that is a page nobody reads better for it."""
_SMALLER_EDGE, _SMALLER_QUALITY = 3_500, 80
_MOST_OBJECTS = 50_000
_MOST_VISITS = 400_000
_ACTIVE_KEYS = ("/JS", "/EF", "/XFA", "/RichMedia", "/RichMediaContent")
_ACTIVE_ACTIONS = (
    "/JavaScript", "/Launch", "/ImportData", "/SubmitForm", "/Rendition", "/GoToE", "/GoToR", "/Movie", "/Sound", "/GoTo3DView", "/RichMediaExecute",
)  # fmt: skip
_ACTIVE_TYPES = ("/EmbeddedFile", "/Filespec", "/3D")


class MaterialRefused(LianbanError):
    """The upload is nothing we keep. data: ``reason``, one of :data:`Reason`."""

    code = "material_refused"

    def __init__(self, reason: Reason = "unreadable") -> None:
        super().__init__(reason, reason=reason)
        self.reason = reason


class Limits(msgspec.Struct, frozen=True):
    """How large a material may be."""

    most_bytes: int
    most_pixels: int
    most_pages: int


class Found(msgspec.Struct, frozen=True):
    """What the upload is: its type by content, its size in pixels or pages."""

    media_type: MediaType
    width: int | None = None
    height: int | None = None
    pages: int | None = None


def inspect(content: bytes, limits: Limits) -> tuple[Found, bytes]:
    """What `content` is and a clean copy of it: images without EXIF, comments and whatever follows them, PDFs written anew.

    Raises:
        MaterialRefused: not a JPEG, PNG or PDF from the first byte on, broken, too large, locked, or with something that acts.
    """
    if not content:
        raise MaterialRefused("empty")
    if len(content) > limits.most_bytes:
        raise MaterialRefused("too_large")
    if content.startswith(b"\xff\xd8\xff"):
        found, clean = _image(content, "JPEG", limits)
    elif content.startswith(b"\x89PNG\r\n\x1a\n"):
        found, clean = _image(content, "PNG", limits)
    elif content.startswith(b"%PDF-"):
        found, clean = _pdf(content, limits)
    else:
        raise MaterialRefused("type")
    if len(clean) > limits.most_bytes:
        raise MaterialRefused("too_large")
    return found, clean


def _image(content: bytes, kind: Literal["JPEG", "PNG"], limits: Limits) -> tuple[Found, bytes]:
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # our own limit stands below, before anything is decoded
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Any = Image.open(io.BytesIO(content), formats=[kind])
            width, height = image.size
            if width * height > limits.most_pixels or max(width, height) > 40_000:
                raise MaterialRefused("too_many_pixels")
            if kind == "JPEG" and max(width, height) > _LONGEST_EDGE:
                # The decoder itself halves what is too large, so that the whole is never in memory.
                image.draft("RGB", (_LONGEST_EDGE, _LONGEST_EDGE))
            image.load()
            upright = ImageOps.exif_transpose(image) or image
            flat = _flat(upright)
            if max(flat.size) > _LONGEST_EDGE:
                flat.thumbnail((_LONGEST_EDGE, _LONGEST_EDGE))
            clean = io.BytesIO()
            # A copy of the pixels alone: what Pillow keeps beside them (EXIF, comments, profiles, text) would be written again.
            bare = Image.frombytes(flat.mode, flat.size, flat.tobytes())
            bare.save(clean, kind, quality=_JPEG_QUALITY)
            if clean.tell() > limits.most_bytes:
                # Made anew it may be larger than it came; then a smaller photo of it will do.
                clean, kind = io.BytesIO(), "JPEG"
                bare.thumbnail((_SMALLER_EDGE, _SMALLER_EDGE))
                bare.save(clean, kind, quality=_SMALLER_QUALITY)
    except MaterialRefused:
        raise
    except MemoryError:
        raise MaterialRefused("too_many_pixels") from None
    except Exception:
        raise MaterialRefused("unreadable") from None
    return Found("image/jpeg" if kind == "JPEG" else "image/png", *bare.size), clean.getvalue()


def _flat(image: Any) -> Any:
    """The picture as it looks on paper: 8 bits, grey or colour, what is transparent white."""
    from PIL import Image

    if image.mode in ("L", "RGB"):
        return image
    if image.mode in ("1", "I", "F") or image.mode.startswith("I;16"):
        return image.convert("L")
    if image.mode in ("RGBA", "LA", "PA", "P"):
        with_alpha = image.convert("RGBA")
        paper = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        paper.alpha_composite(with_alpha)
        return paper.convert("RGB")
    return image.convert("RGB")


def _pdf(content: bytes, limits: Limits) -> tuple[Found, bytes]:
    import pikepdf

    try:
        with pikepdf.open(io.BytesIO(content)) as pdf:
            if pdf.is_encrypted:
                raise MaterialRefused("locked")
            pages = len(pdf.pages)
            if not 1 <= pages <= limits.most_pages:
                raise MaterialRefused("too_many_pages" if pages else "unreadable")
            if len(pdf.objects) > _MOST_OBJECTS:
                raise MaterialRefused("too_complex")
            for key in ("/OpenAction", "/AA", "/Names", "/AcroForm", "/Metadata", "/Collection", "/PieceInfo"):
                if key in pdf.Root and not _acts(pdf.Root[key]):
                    del pdf.Root[key]
            if any(_acts(item) for item in pdf.objects):
                raise MaterialRefused("active_content")
            if "/Info" in pdf.trailer:
                del pdf.trailer["/Info"]
            clean = io.BytesIO()
            # Written anew from its objects: what stood before, between or after them is gone, every stream is packed again.
            pdf.save(
                clean,
                compress_streams=True,
                recompress_flate=True,
                object_stream_mode=pikepdf.ObjectStreamMode.generate,
                deterministic_id=True,
            )
    except MaterialRefused:
        raise
    except pikepdf.PasswordError:
        raise MaterialRefused("locked") from None
    except MemoryError:
        raise MaterialRefused("too_complex") from None
    except Exception:
        raise MaterialRefused("unreadable") from None
    return Found("application/pdf", pages=pages), clean.getvalue()


def _acts(item: Any) -> bool:
    """True when a PDF object, or what stands directly in it, runs, starts, sends or carries something."""
    import pikepdf

    waiting, visits = [item], 0
    while waiting:
        value = waiting.pop()
        visits += 1
        if visits > _MOST_VISITS:
            raise MaterialRefused("too_complex")
        if isinstance(value, pikepdf.Array):
            waiting += [inner for inner in value if _is_direct(inner)]  # type: ignore[union-attr]
        elif isinstance(value, pikepdf.Dictionary | pikepdf.Stream):
            names = {str(key) for key in value.keys()}  # noqa: SIM118  a pikepdf dictionary
            if names & set(_ACTIVE_KEYS):
                return True
            if str(value.get("/S", "")) in _ACTIVE_ACTIONS or str(value.get("/Type", "")) in _ACTIVE_TYPES:
                return True
            if str(value.get("/Subtype", "")) in (
                "/FileAttachment",
                "/RichMedia",
                "/Movie",
                "/Sound",
                "/Screen",
                "/3D",
            ):
                return True
            waiting += [inner for key in names if _is_direct(inner := value[key])]
    return False


def _is_direct(value: Any) -> bool:
    """What is an object of its own is looked at as such."""
    return not getattr(value, "is_indirect", False)


class _Told(msgspec.Struct, omit_defaults=True):
    found: Found | None = None
    refused: str | None = None


def main() -> None:
    """Inspect what comes on standard input; ``argv`` holds the three limits."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = Limits(*(int(word) for word in sys.argv[1:4]))
    content = sys.stdin.buffer.read(limits.most_bytes + 1)
    try:
        found, clean = inspect(content, limits)
        told = _Told(found=found)
    except MaterialRefused as refused:
        told, clean = _Told(refused=refused.reason), b""
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n" + clean)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
