"""Forms as data: a JSON Schema of the city pack, and what is wrong with the answers to it, in words that name the field.

A form is one file ``forms/{name}-{version}.json``: a :class:`FormFile` around a schema (draft 2020-12, the part of it that
:mod:`cities.form_checks` allows) and around what a schema cannot say. The same file is served to every front end and judges the answers
here, so that the two cannot differ. A case keeps the version it was filed under: a version that has been in force is never changed.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial
from typing import Annotated, Any, NamedTuple, cast

import jsonschema_rs
import msgspec
from msgspec import Meta

from cities.shapes import Code, Rule, Shape, Text, Title
from core import clock
from core.numbers import is_credit_code, is_id_number, is_mobile

MOST_DEPTH = 8
MOST_NODES = 2000
MOST_CHARACTERS = 40_000
MOST_PROBLEMS = 100
_LONGEST_KEY = 60

Pointer = Annotated[str, Meta(pattern=r"\A(/[0-9a-z_]+)+\Z", max_length=120)]
Answers = Mapping[str, Any]

COMPACT = ("cn-id-number", "cn-credit-code", "cn-mobile", "cn-project-code")
"""Formats of numbers, in which people write spaces, dashes and full-width characters as they like."""


class Problem(NamedTuple):
    """One thing wrong with the answers. `pointer` (RFC 6901) leads to the field, or to where it is missing; no value stands in it."""

    pointer: str
    code: str
    sentence: str


class Impossible(Shape, frozen=True, kw_only=True):
    """What cannot be: answers that fit the schema `when`. `at` is the field to correct."""

    code: Code
    when: dict[str, Any]
    at: Pointer
    sentence: Text
    source: Text | None = None


class NotGreater(Shape, frozen=True, kw_only=True):
    """Of two fields (numbers, or days) `lesser` is at most `greater`; where one is missing there is nothing to compare."""

    code: Code
    lesser: Pointer
    greater: Pointer
    sentence: Text


class Among(Shape, frozen=True, kw_only=True):
    """What stands at `value` is one of the list at `among`."""

    code: Code
    value: Pointer
    among: Pointer
    sentence: Text


class FormFile(Rule, frozen=True, kw_only=True):
    """A version of a form as it stands in the pack."""

    name: Code
    version: Annotated[int, Meta(ge=1, le=999)]
    title: Title
    schema_: dict[str, Any] = msgspec.field(name="schema")
    impossible: tuple[Impossible, ...] = ()
    not_greater: tuple[NotGreater, ...] = ()
    among: tuple[Among, ...] = ()


class Form:
    """A version of a form, ready to judge answers.

    `carriers` are the codes of the network companies that may be chosen: a format rather than a list in the schema, since a list would
    offer one of them first to everybody (``GET /v1/companies`` offers them in an order by chance).
    """

    def __init__(self, file: FormFile, carriers: frozenset[str]) -> None:
        self.file = file
        self.name, self.version, self.title = file.name, file.version, file.title
        self.effective_from, self.effective_to, self.source = file.effective_from, file.effective_to, file.source
        self.schema: dict[str, Any] = file.schema_
        self.tag = hashlib.sha256(msgspec.json.encode(file)).hexdigest()[:32]
        """Changes with the file: an entity tag."""
        formats = {**FORMATS, "carrier": lambda text: text in carriers}
        judge = partial(jsonschema_rs.Draft202012Validator, formats=formats, validate_formats=True)
        self._validator = judge(file.schema_)
        self._impossible = [(rule, judge(rule.when)) for rule in file.impossible]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.tag == other.tag

    def __hash__(self) -> int:
        return hash(self.tag)

    def in_force(self, day: date) -> bool:
        """True when cases may be filed under this version on `day`."""
        return self.file.in_force(day)

    def problems(self, answers: Any, *, partial: bool = False) -> list[Problem]:
        """Everything wrong with `answers` (parsed JSON), in the order of the form's fields, at most :data:`MOST_PROBLEMS`.

        `partial`: of a draft; what is missing is not wrong yet. Never raises, whatever `answers` is.
        """
        if not isinstance(answers, Mapping):
            return [Problem("", "not_an_object", "申请内容要是一组填好的项")]
        if _is_too_large(answers):
            return [Problem("", "too_large", "填的内容太多了，删去重复和不需要的项")]
        found: dict[tuple[str, str], Problem] = {}
        for error in self._validator.iter_errors(answers):
            for problem in self._translated(error):
                if not (partial and problem.code == "missing"):
                    found.setdefault((problem.pointer, ""), problem)
        for problem in self._contradictions(answers, {pointer for pointer, _ in found}):
            found.setdefault((problem.pointer, problem.code), problem)
        order = self._order
        return sorted(found.values(), key=lambda problem: order(problem.pointer))[:MOST_PROBLEMS]

    def cleaned(self, answers: Answers) -> dict[str, Any]:
        """`answers` without what people write by habit: spaces at the edges; in numbers also spaces, dashes, full-width characters.

        What is too large to be looked at comes back as it is; :meth:`problems` refuses it.
        """
        return dict(answers) if _is_too_large(answers) else _cleaned(answers, self.schema)

    def field(self, pointer: str) -> Mapping[str, Any] | None:
        """The schema of the field at `pointer`; None when the form has no such field."""
        schema: Any = self.schema
        for step in pointer.split("/")[1:]:
            schema = schema.get("items") if step.isdecimal() else schema.get("properties", {}).get(step)
            if not isinstance(schema, Mapping):
                return None
        return schema

    def titles(self, pointer: str) -> str:
        """What people call the field: its title, after the number of the entry in a list it stands in."""
        words, steps = "", pointer.split("/")[1:]
        for end in range(1, len(steps) + 1):
            schema = self.field("/" + "/".join(steps[:end]))
            if steps[end - 1].isdecimal():
                words += f"第 {int(steps[end - 1]) + 1} 项" + ("：" if end < len(steps) else "")
            elif schema is not None and (end == len(steps) or schema.get("type") == "array"):
                words += schema["title"]
        return words

    def _translated(self, error: jsonschema_rs.ValidationError) -> Iterator[Problem]:
        pointer, told = _pointer(error.instance_path), cast("Any", error.kind)
        match told.name:
            case "required":
                missing = f"{pointer}/{told.property}"
                schema = self.field(missing) or {}
                yield Problem(missing, "missing", schema.get("x-empty") or f"{_verb(schema)}{self.titles(missing)}")
            case "additionalProperties":
                for name in told.unexpected[:MOST_PROBLEMS]:
                    yield Problem(f"{pointer}/{_escaped(name)}", "unknown", "这份申请表没有这一项，去掉它")
            case kind:
                yield Problem(pointer, _CODES.get(kind, "wrong"), self._sentence(pointer, kind, error))

    def _sentence(self, pointer: str, kind: str, error: jsonschema_rs.ValidationError) -> str:
        schema, title = self.field(pointer) or {}, self.titles(pointer)
        limit = getattr(error.kind, "limit", "")
        if kind == "falseSchema":
            return f"{title}在这种情况下不用填"
        if kind == "type" and "oneOf" in schema:
            kind = "oneOf"
        if kind == "minItems":
            return schema.get("x-empty") or f"{title}至少要有 {limit} 项"
        length = schema.get("x-length")
        if length is not None and isinstance(error.instance, str) and len(error.instance) != length:
            return f"{title}是 {length} 位，您填了 {len(error.instance)} 位"
        if kind in ("format", "pattern") and "x-wrong" in schema:
            return schema["x-wrong"]
        if kind == "type":
            return f"{title}要填{_TYPES.get(str(schema.get('type')), '正确的内容')}"
        wording = _WORDINGS.get(kind)
        return wording.format(title=title, limit=limit) if wording else f"{title}填得不对，核对一遍"

    def _contradictions(self, answers: Answers, wrong: set[str]) -> Iterator[Problem]:
        """What the schema cannot say; what is `wrong` by itself is compared with nothing."""

        def is_sound(*pointers: str) -> bool:
            return not any(f"{other}/".startswith(f"{pointer}/") for pointer in pointers for other in wrong)

        for rule, validator in self._impossible:
            if validator.is_valid(answers):
                yield Problem(rule.at, rule.code, rule.sentence)
        for rule in self.file.not_greater:
            lesser, greater = at(answers, rule.lesser), at(answers, rule.greater)
            if is_sound(rule.lesser, rule.greater) and _is_comparable(lesser, greater) and lesser > greater:
                yield Problem(rule.lesser, rule.code, rule.sentence)
        for rule in self.file.among:
            value, among = at(answers, rule.value), at(answers, rule.among)
            is_among = value is None or not isinstance(among, list) or value in among
            if not is_among and is_sound(rule.value, rule.among):
                yield Problem(rule.value, rule.code, rule.sentence)

    def _order(self, pointer: str) -> tuple[int, ...]:
        """Where the field stands in the form; entries of a list by their number, what the form does not have last."""
        places, schema = [], self.schema
        for step in pointer.split("/")[1:]:
            if step.isdecimal():
                places.append(int(step))
                schema = schema.get("items", {})
            else:
                names = list(schema.get("properties", {}))
                places.append(names.index(step) if step in names else len(names))
                schema = schema.get("properties", {}).get(step, {})
        return tuple(places)


def at(answers: Any, pointer: str) -> Any:
    """What stands at `pointer`; None when nothing does."""
    for step in pointer.split("/")[1:]:
        if not isinstance(answers, Mapping) or step not in answers:
            return None
        answers = answers[step]
    return answers


def _is_birthday_past(number: str) -> bool:
    return is_id_number(number) and number[6:14] <= f"{clock.today():%Y%m%d}"


_PROJECT_CODE = re.compile(r"[0-9]{4,6}-[0-9]{6}-[0-9]{2}-[0-9]{2}-[0-9]{6}")


def _is_project_code(code: str) -> bool:
    """Groups of 4 (older ones 6)-6-2-2-6 digits; taken loosely, since the groups' meaning differs by year."""
    return _PROJECT_CODE.fullmatch(code) is not None


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "cn-id-number": _is_birthday_past,
    "cn-credit-code": is_credit_code,
    "cn-mobile": is_mobile,
    "cn-project-code": _is_project_code,
}
"""Formats of ours, beside ``date`` of the standard and ``carrier``, which the pack's companies make."""

_CODES = {
    "falseSchema": "not_wanted", "format": "wrong", "pattern": "wrong", "oneOf": "not_offered", "const": "not_offered", "enum": "not_offered",
    "type": "wrong_type", "maxLength": "too_long", "minLength": "too_short", "maximum": "too_great", "minimum": "too_small",
    "exclusiveMinimum": "too_small", "exclusiveMaximum": "too_great", "maxItems": "too_many", "minItems": "missing", "uniqueItems": "twice",
    "contains": "not_offered",
}  # fmt: skip
_WORDINGS = {
    "oneOf": "{title}要从列出的里面选", "const": "{title}在这种情况下只有一种选法，核对一遍", "enum": "{title}要从列出的里面选",
    "maxLength": "{title}最多 {limit} 个字", "minLength": "{title}至少 {limit} 个字", "maximum": "{title}最多 {limit}，核对单位",
    "minimum": "{title}最少 {limit}", "exclusiveMinimum": "{title}要大于 {limit}", "exclusiveMaximum": "{title}要小于 {limit}",
    "maxItems": "{title}最多 {limit} 项", "uniqueItems": "{title}里有重复的", "format": "{title}填得不对，核对一遍",
    "pattern": "{title}的格式不对，核对一遍", "contains": "{title}少了必须有的一项",
}  # fmt: skip
_TYPES = {
    "string": "文字",
    "number": "数字",
    "integer": "整数",
    "boolean": "“是”或“否”",
    "array": "列表",
    "object": "完整的一组内容",
}


def _verb(schema: Mapping[str, Any]) -> str:
    is_chosen = "oneOf" in schema or schema.get("type") in ("boolean", "array")
    return "选择" if is_chosen else "填写"


def _is_comparable(lesser: Any, greater: Any) -> bool:
    if any(isinstance(value, bool) for value in (lesser, greater)):
        return False
    return all(isinstance(value, int | float) for value in (lesser, greater)) or all(
        isinstance(value, str) for value in (lesser, greater)
    )


def _is_too_large(answers: Any) -> bool:
    """A loop, not a recursion; ends as soon as it knows."""
    waiting, nodes, characters = [(answers, 1)], 0, 0
    while waiting:
        value, depth = waiting.pop()
        nodes += 1
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, Mapping):
            characters += sum(len(name) for name in value if isinstance(name, str))
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
        elif isinstance(value, int) and value.bit_length() > 64:
            return True
        if depth > MOST_DEPTH or nodes + len(waiting) > MOST_NODES or characters > MOST_CHARACTERS:
            return True
    return False


def _cleaned(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        inner = schema.get("properties", {})
        return {name: _cleaned(member, inner.get(name) or {}) for name, member in value.items()}
    if isinstance(value, list):
        return [_cleaned(member, schema.get("items") or {}) for member in value]
    if not isinstance(value, str):
        return value
    if schema.get("format") not in COMPACT:
        return value.strip()
    text = "".join(character for character in unicodedata.normalize("NFKC", value) if not character.isspace())
    kept = text if schema["format"] == "cn-project-code" else text.replace("-", "")
    return kept.upper()


def _pointer(path: list[str | int]) -> str:
    return "".join(f"/{_escaped(str(step))}" for step in path)


def _escaped(step: str) -> str:
    return step[:_LONGEST_KEY].replace("~", "~0").replace("/", "~1")
