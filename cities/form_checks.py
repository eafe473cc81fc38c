"""What a form of a pack may say: a small part of JSON Schema, bounded everywhere, with words for people at every field.

Every function raises :class:`CityPackInvalid` at the first fault it finds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs

from cities.checks import check_days, unique
from cities.errors import CityPackInvalid
from cities.forms import FORMATS, Among, Form, FormFile, Impossible, NotGreater
from cities.schema import Area

_WORDS = {"title", "description", "x-empty", "x-wrong", "x-length", "x-list"}
_FIELDS: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties", "allOf", "if", "then", "else"},
    "array": {"items", "minItems", "maxItems", "uniqueItems"},
    "string": {"minLength", "maxLength", "format", "oneOf"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "oneOf"},
    "boolean": set(),
}
_CONDITIONS = {"properties", "required", "contains", "const", "enum", "not", "if", "then", "else", "anyOf",
               "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}  # fmt: skip
_FORMATS = {"date", "carrier", *FORMATS}
_DEEPEST = 8


def expanded(file: FormFile, areas: Sequence[Area]) -> FormFile:
    """`file` with the lists it takes from the pack (``"x-list": "areas"``) written out as ``oneOf``, in place."""
    for field in _fields(file.schema_):
        if field.get("x-list") == "areas":
            names = {area.code: area.name for area in areas}
            field["oneOf"] = [
                {"const": area.code, "title": f"{names[area.parent]} {area.name}"}
                for area in areas
                if area.kind != "district"
            ]
    return file


def check_form(path: str, file: FormFile) -> None:
    """The schema is one, stays within our part of the language, and speaks of fields that exist."""
    if path != f"forms/{file.name}-{file.version}.json":
        raise CityPackInvalid(path, "$.name", f"the file of this form is forms/{file.name}-{file.version}.json")
    _check_field(path, "$.schema", file.schema_, 1)
    if not jsonschema_rs.meta.is_valid(file.schema_):
        raise CityPackInvalid(path, "$.schema", "is no JSON Schema")
    try:
        form = Form(file, frozenset())
    except ValueError as error:
        raise CityPackInvalid(path, "$", f"cannot be used: {str(error)[:200]}") from error
    rules: tuple[Impossible | NotGreater | Among, ...] = (*file.impossible, *file.not_greater, *file.among)
    unique(path, "$.impossible[{}].code", (rule.code for rule in rules))
    for number, rule in enumerate(file.impossible):
        _check_condition(path, f"$.impossible[{number}].when", rule.when, file.schema_)
        if form.field(rule.at) is None:
            raise CityPackInvalid(path, f"$.impossible[{number}].at", f"there is no field {rule.at}")
    compared = [
        (f"$.not_greater[{number}]", (rule.lesser, rule.greater)) for number, rule in enumerate(file.not_greater)
    ]
    compared += [(f"$.among[{number}]", (rule.value, rule.among)) for number, rule in enumerate(file.among)]
    for where, pointers in compared:
        for pointer in pointers:
            if form.field(pointer) is None:
                raise CityPackInvalid(path, where, f"there is no field {pointer}")


def check_versions(name: str, forms: Sequence[Form]) -> None:
    """The versions are numbered from 1 in the order of their days, and one is in force on every day."""
    if [form.version for form in forms] != list(range(1, len(forms) + 1)):
        raise CityPackInvalid(f"forms/{name}", "$.version", "versions are counted 1, 2, 3 …")
    check_days(f"forms/{name}", "$", [form.file for form in forms])


def _check_field(path: str, where: str, field: Any, depth: int) -> None:
    kind = field.get("type") if isinstance(field, dict) else None
    if kind not in _FIELDS:
        raise CityPackInvalid(path, f"{where}.type", f"is one of {', '.join(_FIELDS)}")
    allowed = _WORDS | _FIELDS[kind] | {"type"} | ({"$schema", "$id"} if depth == 1 else set())
    if unknown := set(field) - allowed:
        raise CityPackInvalid(path, where, f"{min(unknown)} is not said of a field of type {kind}")
    if not isinstance(field.get("title"), str) or not field["title"]:
        raise CityPackInvalid(path, f"{where}.title", "every field has a title: sentences name it")
    if depth > _DEEPEST:
        raise CityPackInvalid(path, where, "is nested too deep")
    if "oneOf" in field:
        _check_choices(path, f"{where}.oneOf", field["oneOf"])
    elif kind == "string" and field.get("x-list") is None and not isinstance(field.get("maxLength"), int):
        raise CityPackInvalid(path, f"{where}.maxLength", "every text has an end")
    elif kind in ("number", "integer") and not (
        {"minimum", "exclusiveMinimum"} & set(field) and {"maximum", "exclusiveMaximum"} & set(field)
    ):
        raise CityPackInvalid(path, where, "every number has a least and a greatest value")
    if field.get("format") is not None and field["format"] not in _FORMATS:
        raise CityPackInvalid(path, f"{where}.format", f"is one of {', '.join(sorted(_FORMATS))}")
    if kind == "array":
        if not isinstance(field.get("maxItems"), int):
            raise CityPackInvalid(path, f"{where}.maxItems", "every list has an end")
        _check_field(path, f"{where}.items", field.get("items"), depth + 1)
    if kind == "object":
        _check_object(path, where, field, depth)


def _check_object(path: str, where: str, field: Mapping[str, Any], depth: int) -> None:
    if field.get("additionalProperties") is not False:
        raise CityPackInvalid(path, f"{where}.additionalProperties", "is false: what is not asked for is not taken")
    for name, inner in field.get("properties", {}).items():
        _check_field(path, f"{where}.properties.{name}", inner, depth + 1)
    for name in field.get("required", ()):
        if name not in field.get("properties", {}):
            raise CityPackInvalid(path, f"{where}.required", f"there is no field {name}")
    for number, rule in enumerate(field.get("allOf", ())):
        _check_condition(path, f"{where}.allOf[{number}]", rule, field)
    for word in ("if", "then", "else"):
        if word in field:
            _check_condition(path, f"{where}.{word}", field[word], field)


def _check_choices(path: str, where: str, choices: Any) -> None:
    if not isinstance(choices, list) or not choices:
        raise CityPackInvalid(path, where, "there is nothing to choose from")
    for number, choice in enumerate(choices):
        if not isinstance(choice, dict) or set(choice) != {"const", "title"} or not choice["title"]:
            raise CityPackInvalid(path, f"{where}[{number}]", "a choice is a const with its title")
    unique(path, where + "[{}].const", (repr(choice["const"]) for choice in choices))
    unique(path, where + "[{}].title", (choice["title"] for choice in choices))


def _check_condition(path: str, where: str, rule: Any, field: Mapping[str, Any]) -> None:
    """A condition only tightens what `field` says: it speaks of the field's own members, and of values the field may have."""
    if isinstance(rule, bool):
        return
    if not isinstance(rule, dict) or set(rule) - _CONDITIONS:
        raise CityPackInvalid(path, where, f"a condition is made of {', '.join(sorted(_CONDITIONS))}")
    for name, inner in rule.get("properties", {}).items():
        if name not in field.get("properties", {}):
            raise CityPackInvalid(path, f"{where}.properties.{name}", "there is no such field")
        _check_condition(path, f"{where}.properties.{name}", inner, field["properties"][name])
    for name in rule.get("required", ()):
        if name not in field.get("properties", {}):
            raise CityPackInvalid(path, f"{where}.required", f"there is no field {name}")
    for word in ("not", "if", "then", "else", "contains"):
        if word in rule:
            _check_condition(path, f"{where}.{word}", rule[word], field["items"] if word == "contains" else field)
    for number, inner in enumerate(rule.get("anyOf", ())):
        _check_condition(path, f"{where}.anyOf[{number}]", inner, field)
    offered = {choice["const"] for choice in field.get("oneOf", ())}
    for value in (*rule.get("enum", ()), *((rule["const"],) if "const" in rule else ())):
        if offered and value not in offered:
            raise CityPackInvalid(path, where, f"{value} is not among the choices of the field")


def _fields(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield field
    for inner in field.get("properties", {}).values():
        if isinstance(inner, dict):
            yield from _fields(inner)
    if isinstance(field.get("items"), dict):
        yield from _fields(field["items"])
