"""What the members of requests and answers mean, and what they look like: the words and samples of ``fields.zh-CN.toml``.

An example is made from a type's schema, member by member, so it cannot fall behind the type.
"""

import hashlib
import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

_MOMENT, _DAY = "2026-11-23T02:11:31Z", "2026-11-01"
_REFERENCE = "#/components/schemas/"


class SampleMissing(KeyError):
    """A text member has no sample in ``fields.zh-CN.toml``; the argument names it."""


class _Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: str | None = None
    sample: Any = None


FIELDS: dict[str, _Field] = msgspec.convert(
    tomllib.loads((Path(__file__).parent / "fields.zh-CN.toml").read_text()), dict[str, _Field]
)


def words(owner: str, name: str) -> str | None:
    """The Chinese words for member `name` of the type `owner`."""
    for key in (f"{owner}.{name}", name):
        if (found := FIELDS.get(key)) and found.words:
            return found.words
    return None


def sample(owner: str, name: str) -> Any:
    """The sample of member `name` of the type `owner`; None when there is none."""
    found = FIELDS.get(f"{owner}.{name}") or FIELDS.get(name)
    return found.sample if found else None


def sample_id(name: str) -> str:
    """A UUID for the id `name`, always the same."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return str(UUID(f"019ab0f26f2e7{digest[:3]}8{digest[3:18]}"))


def example(schema: dict[str, Any], components: dict[str, Any], owner: str = "", name: str = "") -> Any:
    """An example value for `schema`.

    Raises:
        SampleMissing: a text in it has no sample.
    """
    if "$ref" in schema:
        owner = schema["$ref"].removeprefix(_REFERENCE)
        return example(components[owner], components, owner)
    if schema.get("properties"):
        return {
            member: example(inner, components, owner, member)
            for member, inner in schema["properties"].items()
            if member in schema.get("required", ()) or "default" not in inner or inner["default"] is not None
        }
    if (known := sample(owner, name)) is not None:
        return known
    if variants := schema.get("anyOf"):
        return example(next(inner for inner in variants if inner.get("type") != "null"), components, owner, name)
    return _plain(schema, components, owner, name)


def filled(template: Any, values: dict[str, str]) -> Any:
    """`template` with its ``{placeholders}`` replaced."""
    if isinstance(template, dict):
        return {name: filled(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    if isinstance(template, str) and template.startswith("{") and template.endswith("}"):
        return values[template[1:-1]]
    return template


def placeholders(template: Any) -> set[str]:
    """The names of the ``{placeholders}`` in `template`."""
    found: set[str] = set()

    class _Noted(dict[str, str]):
        def __missing__(self, name: str) -> str:
            found.add(name)
            return name

    filled(template, _Noted())
    return found


def _plain(schema: dict[str, Any], components: dict[str, Any], owner: str, name: str) -> Any:
    match schema.get("type"), schema.get("format"):
        case "string", "uuid":
            return sample_id(name)
        case "string", "date-time":
            return _MOMENT
        case "string", "date":
            return _DAY
        case "array", _:
            return [example(schema["items"], components, owner, name.removesuffix("s"))]
        case "integer", _:
            return schema.get("minimum", 1)
        case "boolean", _:
            return True
        case "object", _:
            return {}
    if "enum" in schema:
        return schema["enum"][-1]
    raise SampleMissing(f"{owner}.{name}")
