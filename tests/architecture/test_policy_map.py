"""docs/policy-map.md names only what exists, and leaves no rule of the pack out."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from api.routes import ROUTES
from tests.cities.test_rules_change import CHANGES
from tests.domain.test_another_city import changed_keys

ROOT = Path(__file__).parents[2]
PACK = ROOT / "cities" / "ezhou"
TEXT = (ROOT / "docs" / "policy-map.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ")]
NAMES = re.findall(r"`([^`]+)`", TEXT)
CLAUSES = ("一、", "二、1 ", "二、2 ", "二、3 ", "二、4 ", "二、5 ", "（一）", "（二）", "（三）", "（四）", "（五）")
NO_RULES = frozenset({"effective_from", "effective_to", "source"})
"""What every rule has: since when, until when, and where it comes from."""
NAMES_AND_WORDS = frozenset(
    [
        "name",
        "title",
        "hint",
        "note",
        "doubt",
        "words",
        "code",
        "service",
        "reason",
        "kind",
        "node",
        "first",
        "company",
        "receivers",
    ]
)
"""What a rule is called, and what tells one rule from another of its kind; of `first` there is only one value."""
ELSEWHERE = (
    "retention.toml#retention",
    "staff.toml#limits",
    "staff.toml#acting",
    "staff.toml#roles.duty",
    "crews.toml#deliveries",
    "applications.toml#pushes",
)
"""Rules that tests of their own rooms change, or hold to their values."""
RULE_FILES = ("promises", "fees", "materials", "applications", "crews", "retention", "staff")


@cache
def raw(file: str) -> dict[str, Any]:
    """A file of the pack as it stands."""
    return tomllib.loads((PACK / file).read_text(encoding="utf-8"))


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The keys below `value`, without the places in lists; a table of free keys (``/applicant/kind``) is one value."""
    if isinstance(value, dict) and not any(key.startswith("/") for key in value):
        for key, inner in value.items():
            if key not in NO_RULES:
                yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield ".".join(path)


RULES = frozenset(f"{file}.toml#{leaf}" for file in RULE_FILES for leaf in leaves(raw(f"{file}.toml")))


def covers(name: str, rule: str) -> bool:
    """True when the name is this rule's, of a table around it, or of the whole file."""
    return rule == name or rule.startswith(f"{name}.") or rule.partition("#")[0] == name


def exists(name: str) -> bool:
    """Whether what is named is there."""
    if "#" in name:
        return any(covers(name, rule) for rule in RULES)
    if name.startswith("[["):
        return any(f"# {name}" in (PACK / f"{file}.toml").read_text(encoding="utf-8") for file in RULE_FILES)
    if re.match(r"(GET|POST|PUT|PATCH|DELETE) /", name):
        return name in {f"{route.method} {route.path}" for route in ROUTES}
    path, _, member = name.partition("::")
    if not member:
        return any((folder / path).exists() for folder in (ROOT, PACK)) if "." in path else _is_said(path)
    file = ROOT / path
    return (
        file.exists()
        and re.search(rf"^(async )?def {re.escape(member)}\(", file.read_text("utf-8"), re.MULTILINE) is not None
    )


def _is_said(name: str) -> bool:
    """A table or a constraint of the database: some migration makes it."""
    return any(name in file.read_text("utf-8") for file in (ROOT / "models" / "migrations").glob("0*.py"))


def test_what_is_named_exists() -> None:
    jobs = {name for line in ROWS for name in re.findall(r"job `([^`]+)`", line)}
    assert [name for name in NAMES if name not in jobs and not exists(name)] == []
    timetable = (ROOT / "domain" / "deadlines" / "watching.py").read_text("utf-8")
    assert all(f'"{job}"' in timetable for job in jobs)


@pytest.mark.parametrize("name", ["promises.toml#nothing", "GET /v1/nothing", "domain/nothing.py", "nothing_known"])
def test_what_does_not_exist_is_seen(name: str) -> None:
    assert not exists(name)


def test_every_clause_has_its_row() -> None:
    assert [clause for clause in CLAUSES if clause not in TEXT] == []


def test_no_rule_is_left_out_and_each_is_changed_by_a_test() -> None:
    changed = {change.rule for change in CHANGES} | set(changed_keys())
    missing = [rule for rule in RULES if not any(covers(name, rule) for name in (*NAMES, *ELSEWHERE))]
    unchanged = [
        rule
        for rule in RULES - changed
        if not {*rule.partition("#")[2].split(".")} & NAMES_AND_WORDS
        and not any(covers(name, rule) for name in ELSEWHERE)
    ]
    unknown = [rule for rule in changed if not rule.startswith("forms/") and rule not in RULES]
    assert (sorted(missing), sorted(unchanged), sorted(unknown)) == ([], [], [])


def test_every_row_with_a_rule_has_a_test() -> None:
    rows = [line for line in TEXT.partition("## Rules that no")[0].splitlines() if line.startswith("| ")]
    assert [line for line in rows if "#" in line.split("|")[2] and "tests/" not in line.split("|")[3]] == []
