"""What can wait is refused first, what cannot never, and once the load is gone everything is let in within seconds."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from structlog.testing import capture_logs

from api.errors import STATUS
from api.openapi import problems
from api.routes import ROUTES
from api.shedding import CALM, CLASSES, FIRST, FULL_LAG_S, FULL_WAITING, FULL_WORKING, Overloaded, Shed, Shedder
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


def test_a_class_is_let_in_again_as_soon_as_there_is_room(process: Readings) -> None:
    process.waiting = FULL_WAITING // 2
    assert not process.lets_in("report")
    process.waiting -= 1
    assert process.lets_in("report")


def test_lateness_a_little_below_what_closed_a_class_does_not_open_it(process: Readings) -> None:
    process.pass_by(20, late_s=FULL_LAG_S * FIRST * 1.001)
    assert not process.lets_in("report")
    process.pass_by(60, late_s=FULL_LAG_S * FIRST * (CALM + 0.05))
    assert not process.lets_in("report")
    process.pass_by(10, late_s=FULL_LAG_S * FIRST * (CALM - 0.05))
    assert process.lets_in("report")


def test_when_the_loop_is_in_time_again_the_classes_come_back_last_refused_first(process: Readings) -> None:
    process.pass_by(60, late_s=30)
    seen = [process.admitted()]
    while len(seen) < len(EVERY):
        process.pass_by(STEP_S)
        if process.admitted() != seen[-1]:
            seen.append(process.admitted())
    assert seen == [{*EVERY[first:]} for first in reversed(range(len(EVERY)))]


def test_from_the_worst_to_normal_it_takes_less_than_ten_seconds_but_more_than_one(process: Readings) -> None:
    process.waiting = 10 * FULL_WAITING
    process.pass_by(60, late_s=30)
    assert process.admitted() == {None}
    process.waiting = 0
    spent_s = 0.0
    while process.admitted() != set(EVERY):
        process.pass_by(STEP_S)
        spent_s += STEP_S
    assert 1 < spent_s < 10


def test_lateness_that_comes_back_closes_again_what_had_opened(process: Readings) -> None:
    process.pass_by(60, late_s=30)
    process.pass_by(4)
    assert process.lets_in("payment")
    process.pass_by(2, late_s=30)
    assert process.admitted() == {None}


def test_the_log_says_when_it_begins_and_when_it_is_over_and_not_each_refusal(process: Readings) -> None:
    with capture_logs() as lines:
        process.waiting = FULL_WAITING
        for _ in range(20):
            process.lets_in("search")
            process.pass_by(0.25)
        process.waiting = 0
        process.pass_by(60)
    assert [line["event"] for line in lines] == ["shedding.began", "shedding.ended"]


def test_a_request_that_fails_is_counted_out_again(process: Readings) -> None:
    with pytest.raises(ValueError, match="x"), process.shedder.admitted("payment"):
        raise ValueError("x")
    assert process.shedder.in_flight == 0


def test_notices_and_one_s_own_payment_are_of_no_class() -> None:
    spared = {route.name for route in ROUTES if route.shed is None}
    assert {route.name for route in ROUTES if route.path.startswith("/callbacks/")} <= spared
    assert {
        "payments_show", "payments_pay_params", "payments_check", "payments_close", "sessions_refresh",
        "sessions_end_current", "sessions_end_session", "health_alive",
    } <= spared  # fmt: skip


def test_every_other_row_says_when_it_gives_way() -> None:
    rows = {route.name: route.shed for route in ROUTES}
    assert rows["payments_create"] == rows["payments_create_quote"] == "payment"
    assert rows["sessions_login_by_wechat"] == "login"
    assert rows["utility_accounts_bind"] == "filing"
    assert rows["utility_accounts_show_owed"] == "refresh"
    assert rows["utility_accounts_list_bills"] == rows["payments_list_payments"] == "search"
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


async def test_who_is_refused_is_told_so_before_any_work_is_done(edge: Edge) -> None:
    person = await edge.person()
    payment_id = await edge.payment(person)
    path = "/v1/utility-accounts"
    async with _pressed(edge, FULL_WAITING):
        response = await edge.call("GET", path, by=person)
        without_login = await edge.call("GET", path)
        paid = await edge.call("GET", f"/v1/payments/{payment_id}", by=person)
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
    body = {"quote_ids": [quote["quote_id"]]}
    async with _pressed(edge, FULL_WAITING):
        refused = await edge.call("POST", "/v1/payments", body, by=person, key="shed-once")
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert (await edge.call("POST", "/v1/payments", body, by=person, key="shed-once")).status_code == 201
