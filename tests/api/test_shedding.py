"""What can wait is refused first, what cannot never, and once the load is gone everything is let in within seconds."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from api.errors import STATUS
from api.openapi import problems
from api.routes import ROUTES
from api.shedding import CLASSES, FULL_LAG_S, FULL_WAITING, FULL_WORKING, HOLD_S, Overloaded, Shed, Shedder
from tests.harness.edge import Edge

STEP_S = 0.125
"""Between two looks; exact in binary, so that times add up."""
EVERY: tuple[Shed | None, ...] = (*CLASSES, None)


class Readings:
    """A process whose load a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.outside = self.waiting = 0
        self.shedder = Shedder(lambda: self.outside, lambda: self.waiting, lambda: self.now_s)

    def admitted(self) -> set[Shed | None]:
        """The classes that are let in now."""
        return {shed for shed in EVERY if self.lets_in(shed)}

    def lets_in(self, shed: Shed | None) -> bool:
        try:
            self.shedder.admitted(shed)
        except Overloaded:
            return False
        return True

    def pass_by(self, seconds: float, late_s: float = 0.0) -> None:
        """`seconds` of looks, each `late_s` late."""
        for _ in range(round(seconds / STEP_S)):
            self.now_s += STEP_S
            self.shedder.look(late_s)


@pytest.fixture
def process() -> Readings:
    return Readings()


def test_without_load_everything_is_let_in(process: Readings) -> None:
    process.pass_by(1)
    assert process.admitted() == set(EVERY)


@pytest.mark.parametrize("measured", ["working", "waiting", "late"])
def test_the_more_load_the_more_classes_are_refused_in_their_order(process: Readings, measured: str) -> None:
    seen: list[set[Shed | None]] = []
    with ExitStack() as requests:
        for percent in range(0, 101, 5):
            if measured == "working":
                for _ in range(FULL_WORKING * percent // 100 - process.shedder.in_flight):
                    requests.enter_context(process.shedder.admitted(None))
            elif measured == "waiting":
                process.waiting = FULL_WAITING * percent // 100
            else:
                process.pass_by(20, late_s=FULL_LAG_S * percent / 100 * 1.001)
            if not seen or seen[-1] != process.admitted():
                seen.append(process.admitted())
    assert seen == [{*EVERY[first:]} for first in range(len(EVERY))]


def test_half_full_is_no_load_yet(process: Readings) -> None:
    with ExitStack() as requests:
        for _ in range(FULL_WORKING // 2 - 1):
            requests.enter_context(process.shedder.admitted("report"))
        assert process.admitted() == set(EVERY)


def test_a_burst_between_two_looks_is_stopped_by_its_own_size(process: Readings) -> None:
    with ExitStack() as requests:
        while process.lets_in("payment"):
            requests.enter_context(process.shedder.admitted("payment"))
        assert process.shedder.in_flight == FULL_WORKING
    assert process.shedder.in_flight == 0


def test_those_who_wait_for_an_outside_system_press_nobody(process: Readings) -> None:
    with ExitStack() as requests:
        for _ in range(3 * FULL_WORKING):
            requests.enter_context(process.shedder.admitted("refresh"))
            process.outside += 1
        assert process.admitted() == set(EVERY)


def test_one_stall_refuses_nobody_and_lasting_lateness_does(process: Readings) -> None:
    process.pass_by(STEP_S, late_s=30)
    assert process.admitted() == set(EVERY)
    process.pass_by(2, late_s=30)
    assert process.admitted() == {None}


def test_below_what_raised_it_by_a_little_nothing_changes(process: Readings) -> None:
    process.waiting = FULL_WAITING // 2
    assert "report" not in process.admitted()
    process.waiting = FULL_WAITING // 2 - 5
    process.pass_by(60)
    assert "report" not in process.admitted()


def test_when_the_load_is_gone_the_classes_come_back_one_by_one_last_refused_first(process: Readings) -> None:
    process.waiting = 10 * FULL_WAITING
    assert process.admitted() == {None}
    process.waiting = 0
    for first in reversed(range(len(CLASSES))):
        process.pass_by(HOLD_S)
        assert process.admitted() == {*EVERY[first:]}


def test_from_the_worst_to_normal_it_takes_less_than_ten_seconds(process: Readings) -> None:
    process.waiting = 10 * FULL_WAITING
    process.pass_by(60, late_s=30)
    assert process.admitted() == {None}
    process.waiting = 0
    spent_s = 0.0
    while process.admitted() != set(EVERY):
        process.pass_by(STEP_S)
        spent_s += STEP_S
    assert spent_s < 10


def test_a_load_that_comes_back_while_it_falls_raises_it_at_once(process: Readings) -> None:
    process.waiting = 10 * FULL_WAITING
    process.admitted()
    process.waiting = 0
    process.pass_by(2)
    assert "payment" in process.admitted()
    process.waiting = 10 * FULL_WAITING
    assert process.admitted() == {None}


def test_a_request_that_fails_is_counted_out_again(process: Readings) -> None:
    with pytest.raises(ValueError, match="x"), process.shedder.admitted("payment"):
        raise ValueError("x")
    assert process.shedder.in_flight == 0


def test_notices_and_one_s_own_payment_are_of_no_class() -> None:
    spared = {route.name for route in ROUTES if route.shed is None}
    assert {route.name for route in ROUTES if route.path.startswith("/callbacks/")} <= spared
    assert {
        "payments_list_payments", "payments_show", "payments_pay_params", "payments_check", "payments_close", "sessions_refresh",
        "sessions_end_current", "sessions_end_session", "health_alive",
    } <= spared  # fmt: skip


def test_every_other_row_says_when_it_gives_way() -> None:
    rows = {route.name: route.shed for route in ROUTES}
    assert rows["payments_create"] == rows["payments_create_quote"] == "payment"
    assert rows["sessions_login_by_wechat"] == "login"
    assert rows["utility_accounts_bind"] == "filing"
    assert rows["utility_accounts_show_owed"] == "refresh"
    assert rows["utility_accounts_list_bills"] == "search"
    assert rows["docs_openapi"] == "report"


def test_the_contract_names_it_where_it_may_happen_and_only_there() -> None:
    assert STATUS[Overloaded] == 503
    assert {route.name for route in ROUTES if Overloaded in problems(route).get(503, ())} == {
        route.name for route in ROUTES if route.shed is not None
    }


@asynccontextmanager
async def _pressed(edge: Edge, waiting: int) -> AsyncIterator[None]:
    shedder: Shedder = edge.app.ctx.shedder
    real = shedder._waiting
    shedder._waiting = lambda: waiting
    try:
        yield
    finally:
        shedder._waiting = real
        shedder.level = 0


async def test_who_is_refused_is_told_so_before_any_work_is_done(edge: Edge) -> None:
    person = await edge.person()
    path = "/v1/utility-accounts"
    async with _pressed(edge, FULL_WAITING):
        response = await edge.call("GET", path, by=person)
        without_login = await edge.call("GET", path)
        paid = await edge.call("GET", "/v1/payments", by=person)
        alive = await edge.call("GET", "/livez")
    assert (response.status_code, response.json()["code"]) == (503, "overloaded")
    assert response.headers["retry-after"] == str(response.json()["data"]["retry_after_s"]) == "10"
    assert without_login.json()["code"] == "overloaded"
    assert (paid.status_code, alive.status_code) == (200, 200)
    assert (await edge.call("GET", path, by=person)).status_code == 200


async def test_a_refused_submission_may_be_sent_again_under_its_key(edge: Edge) -> None:
    person = await edge.person()
    token = await edge.spine.qr(await edge.spine.account(4199))
    quote = await edge.told("POST", "/v1/quotes", {"token": token}, by=person)
    body = {"quote_id": quote["quote_id"]}
    async with _pressed(edge, FULL_WAITING):
        refused = await edge.call("POST", "/v1/payments", body, by=person, key="shed-once")
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert (await edge.call("POST", "/v1/payments", body, by=person, key="shed-once")).status_code == 201
