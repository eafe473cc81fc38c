"""Every designed error has a status and words, and none gets out that has not."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from sanic.exceptions import SanicException, ServiceUnavailable

from api.app import FRESH_S
from api.errors import _SANIC, STATUS, WORDS, AnswerLate, NotFound, Unexpected, known, problem
from cities.loader import load_city
from core import clock
from core.database import DatabaseAway
from core.errors import LianbanError

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "cities", "wechat", "gateways", "models", "notifications", "payments", "domain", "api")
OF_THE_START = {"SettingsInvalid", "CityPackInvalid"}
"""Stop the start; no request can meet them."""
OF_THE_CONSOLE = {
    "AdministratorExists",
    "NothingToReturn",
    "AgreementMissing",
    "ApproverMissing",
    "DayNotOver",
    "FileNotOverdue",
    "ItemUnknown",
    "NothingUnmatched",
    "ReasonMissing",
}
"""Only the commands of the console meet them."""
OF_OUR_FAULTS = {
    "CannotDecrypt", "LedgerAccountMissing", "RefundMismatch", "NotInForce", "UnknownCompany", "UnknownMessageKind", "MessageValuesInvalid",
    "TemplateValueWrong", "NotKept",
}  # fmt: skip
"""Mean that we are wrong, in our data or our program: 500 is their status, and they are in the log."""


def _classes() -> dict[str, type[LianbanError]]:
    for room in ROOMS:
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if "migrations" not in found.name:
                importlib.import_module(found.name)
    return {cls.__name__: cls for cls in _below(LianbanError) if cls.__module__.partition(".")[0] in ROOMS}


def _below(cls: type) -> Iterator[type]:
    for inner in cls.__subclasses__():
        yield inner
        yield from _below(inner)


def _caught() -> set[str]:
    """The names of all exceptions that some handler above the gateways catches."""
    names: set[str] = set()
    named: dict[str, set[str]] = {}
    for room in ("api", "domain", "payments", "notifications", "gateways", "wechat", "models", "jobs"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ExceptHandler) and node.type is not None:
                    names |= {inner.id for inner in ast.walk(node.type) if isinstance(inner, ast.Name)}
                    names |= {inner.attr for inner in ast.walk(node.type) if isinstance(inner, ast.Attribute)}
                elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) and len(node.targets) == 1:
                    named[ast.unparse(node.targets[0])] = {
                        inner.id for inner in node.value.elts if isinstance(inner, ast.Name)
                    }
    return names.union(*(members for name, members in named.items() if name in names))


def test_every_designed_error_has_a_status_or_is_caught_before_the_edge() -> None:
    caught = _caught() - {"Exception", "BaseException", "LianbanError"}
    homeless = {
        name
        for name, cls in _classes().items()
        if cls not in STATUS
        and name not in OF_THE_START | OF_THE_CONSOLE | OF_OUR_FAULTS
        and not caught.intersection(base.__name__ for base in cls.__mro__)
    }
    assert homeless == set()


def test_the_lists_of_exceptions_name_only_what_exists_and_has_no_status() -> None:
    classes = _classes()
    assert set(classes) >= OF_THE_START | OF_THE_CONSOLE | OF_OUR_FAULTS
    assert not {cls.__name__ for cls in STATUS} & (OF_THE_START | OF_THE_CONSOLE | OF_OUR_FAULTS)


def test_every_code_has_words_and_no_words_are_left_over() -> None:
    assert {cls.code for cls in STATUS} == set(WORDS)
    assert len({cls.code for cls in STATUS}) == len(STATUS)


@pytest.mark.parametrize("code", WORDS)
def test_the_words_are_chinese_and_end_with_a_next_step(code: str) -> None:
    words = WORDS[code]
    assert words.title
    assert words.title[-1] not in "。.！!"
    assert words.detail.endswith("。")


def test_the_words_say_the_limits_that_hold() -> None:
    """The texts are written out, the limits are the city's: whoever changes one changes the other."""
    city = load_city("ezhou")
    rules, staff = city.payment_rules(clock.today()), city.staff
    said = {
        "account_or_proof_wrong": (
            rules.binding_limit.window,
            "一小时内最多试五次",
            rules.binding_limit.per_account,
            5,
        ),
        "counter_code_refused": (staff.acting.code_life, "三分钟内有效"),
        "proof_too_old": (timedelta(seconds=FRESH_S), "五分钟内"),
        "staff_login_refused": (staff.limits.locked_for, "连续错五次锁定十五分钟", staff.limits.tries, 5),
        "staff_setup_refused": (staff.limits.setup, "设置码三天有效"),
        "too_many_payments": (rules.creation_limit.window, "请十分钟后再试"),
    }
    spans = {
        "一小时": timedelta(hours=1), "三分钟": timedelta(minutes=3), "五分钟": timedelta(minutes=5), "十五分钟": timedelta(minutes=15),
        "三天": timedelta(days=3), "十分钟": timedelta(minutes=10),
    }  # fmt: skip
    for code, (span, phrase, *counts) in said.items():
        assert phrase in WORDS[code].detail
        assert any(word in phrase and length == span for word, length in spans.items()), code
        assert counts[: len(counts) // 2] == counts[len(counts) // 2 :], code


def test_every_error_renders_with_its_status_and_headers() -> None:
    for cls, status in STATUS.items():
        content, headers = problem(cls(), "request-1")
        assert (content.status, content.code, content.request_id) == (status, cls.code, "request-1")
        assert ("Retry-After" in headers) == (status == 503)
        assert ("WWW-Authenticate" in headers) == (status == 401)
    _, headers = problem(next(cls for cls in STATUS if cls.__name__ == "RateLimited")(retry_after_s=7), "request-1")
    assert headers["Retry-After"] == "7"


def test_what_is_not_designed_is_a_fault_of_ours_and_a_base_class_s_status_is_not_inherited() -> None:
    class Undesigned(NotFound):
        code = "undesigned"

    assert isinstance(known(ValueError("x")), Unexpected)
    assert isinstance(known(Undesigned("x")), Unexpected)
    assert isinstance(known(SanicException("x", status_code=418)), Unexpected)


def test_a_late_answer_is_503_and_an_absent_database_too_however_deep() -> None:
    assert isinstance(known(ServiceUnavailable("Response Timeout")), AnswerLate)
    wrapped = RuntimeError("outer")
    wrapped.__cause__ = asyncpg.CannotConnectNowError("starting up")
    assert isinstance(known(wrapped), DatabaseAway)
    assert {STATUS[cls] for cls in (AnswerLate, DatabaseAway)} == {503}
    assert set(_SANIC.values()) <= set(STATUS)
