"""One careless call does not put a person into the log."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from core import log

CANARIES = {
    "id_number": "420704199001011234",
    "id_number_x": "42070419900101123X",
    "mobile": "13800138000",
    "mobile_86": "+8613800138000",
    "openid": "oABCDEFGHIJKLMNOPQRSTUVWXYZ1",
    "jwt": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.abc-DEF_123",
}
PERSON = "张小明"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the log goes during the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _last(lines: io.StringIO) -> dict[str, Any]:
    return json.loads(lines.getvalue().splitlines()[-1])


@pytest.mark.parametrize("canary", CANARIES.values(), ids=list(CANARIES))
@pytest.mark.parametrize("around", ["{}", "phone {} of a person", "电话{}。", '{{"x":"{}"}}', "a={}&b=1"])
def test_what_looks_personal_is_masked_wherever_it_stands(lines: io.StringIO, canary: str, around: str) -> None:
    text = around.format(canary)
    logger = log.get_logger("test")
    logger.info("some.event", reason=text, items=[text], nested={"a": {"b": text}}, error=ValueError(text))
    logger.info(text)
    logging.getLogger("foreign").warning("said %s", text)
    assert canary not in lines.getvalue()
    assert lines.getvalue().count("[masked]") == 6


@pytest.mark.parametrize(
    "name",
    [
        "phone", "mobile", "name", "holder_name", "address", "id_number", "openid", "unionid", "token", "access_token", "secret", "key",
        "private_key", "code", "proof", "password", "authorization", "body", "content",
    ],
)  # fmt: skip
def test_values_under_sensitive_names_are_dropped_at_any_depth(lines: io.StringIO, name: str) -> None:
    log.get_logger("test").info("some.event", **{name: PERSON}, person={name: PERSON}, people=[{"of": {name: PERSON}}])
    assert PERSON not in lines.getvalue()
    assert _last(lines)[name] == "[redacted]"


def test_identifiers_codes_and_numbers_stay(lines: io.StringIO) -> None:
    payment_id = "01a207e6-b266-74f1-9dec-eaf8ba1ad048"
    log.get_logger("test").info(
        "payment.received", payment_id=payment_id, error_code="stale", amount_fen=4199, order="1" * 32, ok=True
    )
    last = _last(lines)
    assert (last["event"], last["payment_id"], last["error_code"]) == ("payment.received", payment_id, "stale")
    assert (last["amount_fen"], last["order"], last["ok"]) == (4199, "1" * 32, True)
    assert last["level"] == "info"


def test_a_traceback_is_masked_too(lines: io.StringIO) -> None:
    try:
        raise ValueError(CANARIES["mobile"])
    except ValueError:
        log.get_logger("test").exception("some.failure")
    assert CANARIES["mobile"] not in lines.getvalue()
    assert "ValueError: [masked]" in _last(lines)["exception"]


def test_bound_context_stands_on_every_line_inside_and_on_none_after(lines: io.StringIO) -> None:
    logger = log.get_logger("test")
    with log.bound(request_id="r1"):
        logger.info("inside")
        logging.getLogger("foreign").warning("inside too")
    logger.info("outside")
    first, second, third = map(json.loads, lines.getvalue().splitlines())
    assert first["request_id"] == second["request_id"] == "r1"
    assert "request_id" not in third


def test_a_client_that_hung_up_is_no_error_of_the_database(lines: io.StringIO) -> None:
    logging.getLogger("asyncpg").warning("Resetting connection with an active transaction <x>")
    assert lines.getvalue() == ""
