"""Kill -9 at any step: after the restart everything still holds, without a person, within a minute.

Every point in the source is found by reading the source, so a new one without a journey fails here. At each, the process that
passes it really dies; it is started again at once, the client only repeats what got no answer, and then all must be well.
"""

import ast
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from core.database import opened
from core.settings import Settings
from lianban.sandbox import SandboxProcess
from models import MODULES
from tests.faults import case_journeys, journeys, staff_journeys
from tests.faults.conftest import RECOVERED
from tests.faults.customer import Customer
from tests.faults.journeys import Journey
from tests.faults.rest import assert_all_holds, until_at_rest
from tests.faults.world import KILLED, ROOT, World
from tests.harness.world import DevFiles

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

_ROOMS = (
    "api",
    "jobs",
    "domain",
    "payments",
    "notifications",
    "models",
    "gateways",
    "wechat",
    "cities",
    "core",
    "lianban",
)


class Case(NamedTuple):
    """Kill at `point` on this journey; armed when the journey comes to the stage `at`, from its beginning by default."""

    point: str
    journey: Journey
    at: str | None = None
    program: str = "worker"

    @property
    def name(self) -> str:
        return f"{self.point}-{self.journey.__name__}" + (f"-{self.at}" if self.at else "")


_API = "api"
CASES = (
    Case("job.begun", journeys.pays),
    Case("job.begun", journeys.pays, "paying"),
    Case("job.worked", journeys.pays),
    Case("job.worked", journeys.pays, "paying"),
    Case("login.answered", journeys.stays_logged_in, program=_API),
    Case("login.committed", journeys.pays, program=_API),
    Case("phone.answered", journeys.stays_logged_in, program=_API),
    Case("phone.committed", journeys.pays, program=_API),
    Case("sso.returned_committed", journeys.logs_in_by_browser, program=_API),
    Case("sso.code_spent_committed", journeys.logs_in_by_browser, program=_API),
    Case("sso.vouched", journeys.logs_in_by_browser, program=_API),
    Case("sso.handover_committed", journeys.logs_in_by_browser, program=_API),
    Case("sso.finished_committed", journeys.logs_in_by_browser, program=_API),
    Case("sso.link_opened_committed", journeys.joins_and_parts, program=_API),
    Case("identity.joined_committed", journeys.joins_and_parts, program=_API),
    Case("identity.settled_committed", journeys.joins_and_parts),
    Case("identity.parted_committed", journeys.joins_and_parts, program=_API),
    Case("session.refreshed_committed", journeys.stays_logged_in, program=_API),
    Case("session.ended_committed", journeys.logs_out, program=_API),
    Case("staff.enrolled_committed", staff_journeys.comes_in, program=_API),
    Case("staff.logged_in_committed", staff_journeys.comes_in, program=_API),
    Case("acting.opened_committed", staff_journeys.acts, program=_API),
    Case("acting.ended_committed", staff_journeys.acts, program=_API),
    Case("acting.real_name_committed", staff_journeys.proves_at_a_counter, program=_API),
    Case("card.read_committed", staff_journeys.proves_at_a_kiosk, program=_API),
    Case("card.taken_committed", staff_journeys.proves_at_a_kiosk, program=_API),
    Case("card.confirmed_committed", staff_journeys.proves_at_a_kiosk, program=_API),
    Case("binding.answered", journeys.pays, program=_API),
    Case("binding.committed", journeys.holder_objects, program=_API),
    Case("binding.revoked_committed", journeys.unbinds, program=_API),
    Case("share.offered_committed", journeys.shares_with_the_family, program=_API),
    Case("share.accepted_committed", journeys.shares_with_the_family, program=_API),
    Case("share.ended_committed", journeys.shares_with_the_family, program=_API),
    Case("mandate.first_committed", journeys.acts_for_an_organization, program=_API),
    Case("mandate.offered_committed", journeys.acts_for_an_organization, program=_API),
    Case("mandate.accepted_committed", journeys.acts_for_an_organization, program=_API),
    Case("mandate.revoked_committed", journeys.acts_for_an_organization, program=_API),
    Case("holder_notice.accepted", journeys.holder_objects),
    Case("company_nonce.committed", journeys.pays, program=_API),
    Case("qr_code.account_known", journeys.pays, program=_API),
    Case("overview.catch_up_committed", journeys.looks_at_everything, program=_API),
    Case("qr_code.committed", journeys.pays, program=_API),
    Case("company_event.stored", journeys.pays, program=_API),
    Case("company_event.stored", journeys.holder_objects, "objecting", program=_API),
    Case("company_event.stored", journeys.company_is_slow, "paying", program=_API),
    Case("push.stored", journeys.pays, program=_API),
    Case("push.stored", journeys.pays, "paying", program=_API),
    Case("credit.granted_committed", journeys.pays),
    Case("bills.answered", journeys.pays),
    Case("bills.answered", journeys.pays, "quoting", program=_API),
    Case("bills.committed", journeys.pays),
    Case("bills.committed", journeys.pays, "quoting", program=_API),
    Case("bill_file.account_committed", journeys.daily_file_comes),
    Case("bill_file.committed", journeys.daily_file_comes),
    Case("quote.committed", journeys.pays, program=_API),
    Case("application.filed_before_commit", case_journeys.is_connected, program=_API),
    Case("application.filed_committed", case_journeys.is_connected, program=_API),
    Case("survey.opened_committed", case_journeys.is_connected),
    Case("order_telling.written_committed", case_journeys.is_connected),
    Case("order_telling.sending_committed", case_journeys.is_connected),
    Case("order_telling.answered", case_journeys.is_connected),
    Case("order_report.kept_committed", case_journeys.is_connected),
    Case("order_report.worked_before_commit", case_journeys.is_connected),
    Case("order.accepted_before_commit", case_journeys.is_connected),
    Case("order.cost_recorded_committed", case_journeys.is_connected),
    Case("order.plan_confirmed_committed", case_journeys.is_connected, program=_API),
    Case("order.contracted_committed", case_journeys.is_connected, program=_API),
    Case("order.connected_before_commit", case_journeys.is_connected),
    Case("project_push.stored", case_journeys.is_pushed, program=_API),
    Case("push.kept_committed", case_journeys.is_pushed),
    Case("push.filed_before_commit", case_journeys.is_pushed),
    Case("platform_report.sending_committed", case_journeys.is_pushed),
    Case("platform_report.answered", case_journeys.is_pushed),
    Case("payment.created_before_commit", journeys.pays, program=_API),
    Case("payment.created_committed", journeys.pays, program=_API),
    Case("payment.ordering_committed", journeys.pays, program=_API),
    Case("payment.order_answered", journeys.pays, program=_API),
    Case("payment.order_answered", journeys.order_answer_is_lost, program=_API),
    Case("payment.awaiting_committed", journeys.pays, program=_API),
    Case("payment.order_lost_committed", journeys.order_answer_is_lost, program=_API),
    Case("payment.order_refused_committed", journeys.order_is_refused, program=_API),
    Case("payment.abandoned_committed", journeys.abandons, program=_API),
    Case("payment.closing_committed", journeys.closes, program=_API),
    Case("payment.closing_committed", journeys.pays_at_the_second_try, program=_API),
    Case("payment.closing_committed", journeys.lets_it_expire),
    Case("payment.closing_committed", journeys.closes_after_paying, program=_API),
    Case("payment.close_answered", journeys.closes, program=_API),
    Case("payment.close_answered", journeys.pays_at_the_second_try, program=_API),
    Case("payment.close_answered", journeys.lets_it_expire),
    Case("payment.close_answered", journeys.closes_after_paying, program=_API),
    Case("payment.closed_committed", journeys.pays_at_the_second_try, program=_API),
    Case("payment.closed_committed", journeys.lets_it_expire),
    Case("payment.lapsed_committed", journeys.order_never_arrives),
    Case("payment.queried", journeys.pays_and_comes_back, program=_API),
    Case("payment.queried", journeys.pays_unheard),
    Case("payment.watch_planned_committed", journeys.pays_slowly),
    Case("notice.verified", journeys.pays, program=_API),
    Case("notice.stored", journeys.pays, program=_API),
    Case("notice.stored", journeys.company_refuses, "refunding", program=_API),
    Case("alipay_notice.verified", journeys.pays_by_alipay, program=_API),
    Case("alipay_notice.stored", journeys.pays_by_alipay, program=_API),
    Case("payment.handle_renewed_committed", journeys.comes_late_to_the_page, program=_API),
    Case("payment.close_answered", journeys.pays_both, "changing", program=_API),
    Case("payment.closed_committed", journeys.pays_both, "changing", program=_API),
    Case("payment.received_committed", journeys.pays_both),
    Case("refund.answered", journeys.pays_both),
    Case("inbox.applied", journeys.pays),
    Case("inbox.applied", journeys.pays, "paying"),
    Case("inbox.applied", journeys.holder_objects, "objecting"),
    Case("inbox.processed_committed", journeys.pays, "paying"),
    Case("payment.mismatch_committed", journeys.notice_lies),
    Case("payment.received_before_commit", journeys.pays),
    Case("payment.received_before_commit", journeys.pays_and_comes_back, program=_API),
    Case("payment.received_committed", journeys.pays),
    Case("payment.received_committed", journeys.pays_and_comes_back, program=_API),
    Case("payment.received_committed", journeys.pays_late),
    Case("events.dispatched", journeys.pays, "paying"),
    Case("posting.opened_committed", journeys.pays),
    Case("posting.sending_committed", journeys.pays),
    Case("posting.answered", journeys.pays),
    Case("posting.answered", journeys.company_refuses),
    Case("posting.applied_before_commit", journeys.pays),
    Case("posting.applied_before_commit", journeys.company_refuses),
    Case("posting.applied_committed", journeys.pays),
    Case("posting.lost_committed", journeys.company_is_silent),
    Case("posting.planned_committed", journeys.company_is_silent),
    Case("posting.queried", journeys.company_is_silent),
    Case("posting.queried", journeys.company_heard_nothing),
    Case("posting.given_up_committed", journeys.company_is_away_for_days),
    Case("posting.delay_committed", journeys.company_takes_long),
    Case("refund.requested_committed", journeys.company_refuses),
    Case("refund.requested_committed", journeys.pays_late),
    Case("refund.submitting_committed", journeys.company_refuses),
    Case("refund.answered", journeys.company_refuses),
    Case("refund.planned_committed", journeys.company_refuses),
    Case("refund.blocked_committed", journeys.refund_is_refused),
    Case("refund.applied_before_commit", journeys.company_refuses),
    Case("refund.applied_committed", journeys.pays_late),
    Case("payment.created_before_commit", journeys.one_of_three_refuses, program=_API),
    Case("payment.created_committed", journeys.one_of_three_refuses, program=_API),
    Case("payment.ordering_committed", journeys.one_of_three_refuses, program=_API),
    Case("payment.order_answered", journeys.one_of_three_refuses, program=_API),
    Case("payment.awaiting_committed", journeys.one_of_three_refuses, program=_API),
    Case("payment.order_lost_committed", journeys.answer_to_the_order_of_three_is_lost, program=_API),
    Case("payment.closing_committed", journeys.answer_to_the_order_of_three_is_lost, program=_API),
    Case("payment.close_answered", journeys.answer_to_the_order_of_three_is_lost, program=_API),
    Case("payment.closed_committed", journeys.answer_to_the_order_of_three_is_lost, program=_API),
    Case("notice.verified", journeys.one_of_three_refuses, program=_API),
    Case("notice.stored", journeys.one_of_three_refuses, program=_API),
    Case("payment.queried", journeys.one_of_three_refuses_unheard, program=_API),
    Case("payment.received_before_commit", journeys.one_of_three_refuses_unheard, program=_API),
    Case("payment.received_committed", journeys.one_of_three_refuses_unheard, program=_API),
    Case("payment.received_before_commit", journeys.one_of_three_refuses),
    Case("payment.received_committed", journeys.one_of_three_refuses),
    Case("payment.received_committed", journeys.pays_three_late),
    Case("posting.opened_committed", journeys.one_of_three_refuses),
    Case("posting.sending_committed", journeys.one_of_three_refuses),
    Case("posting.answered", journeys.one_of_three_refuses),
    Case("posting.applied_before_commit", journeys.one_of_three_refuses),
    Case("posting.applied_committed", journeys.one_of_three_refuses),
    Case("refund.requested_committed", journeys.one_of_three_refuses),
    Case("refund.requested_committed", journeys.pays_three_late),
    Case("refund.submitting_committed", journeys.one_of_three_refuses),
    Case("refund.answered", journeys.one_of_three_refuses),
    Case("refund.applied_before_commit", journeys.one_of_three_refuses),
    Case("refund.applied_committed", journeys.one_of_three_refuses),
    Case("company_file.accounts_committed", journeys.account_file_comes),
    Case("company_file.taken_committed", journeys.account_file_comes),
    Case("filed_posting.committed", journeys.pays_a_company_without_an_interface),
    Case("company_file.made_committed", journeys.pays_a_company_without_an_interface),
    Case("company_file.put", journeys.pays_a_company_without_an_interface),
    Case("company_file.delivered_committed", journeys.pays_a_company_without_an_interface),
    Case("company_file.answers_committed", journeys.pays_a_company_without_an_interface),
    Case("top_up.quoted", journeys.tops_up, program=_API),
    Case("top_up.created_before_commit", journeys.tops_up, program=_API),
    Case("top_up.created_committed", journeys.tops_up, program=_API),
    Case("payment.received_committed", journeys.tops_up),
    Case("posting.opened_committed", journeys.tops_up),
    Case("posting.answered", journeys.tops_up),
    Case("posting.applied_before_commit", journeys.tops_up),
    Case("posting.lost_committed", journeys.company_is_silent_about_a_top_up),
    Case("posting.queried", journeys.company_is_silent_about_a_top_up),
    Case("refund.requested_committed", journeys.company_refuses_a_top_up),
    Case("refund.applied_before_commit", journeys.company_refuses_a_top_up),
    Case("reconciliation.opened_committed", journeys.day_is_reconciled),
    Case("reconciliation.answered", journeys.day_is_reconciled),
    Case("reconciliation.taken_committed", journeys.day_is_reconciled),
    Case("reconciliation.items_committed", journeys.day_is_reconciled),
    Case("reconciliation.compared_committed", journeys.day_is_reconciled),
    Case("reconciliation.explained_committed", journeys.day_is_reconciled),
    Case("message.intended_committed", journeys.pays),
    Case("message.sending_committed", journeys.pays),
    Case("message.answered", journeys.pays),
    Case("message.ended_committed", journeys.pays),
    Case("message.receipt_committed", journeys.pays),
    Case("message.template_receipt_committed", journeys.is_told_by_the_official_account),
    Case("message.answered", journeys.is_told_by_the_official_account, "paying"),
    Case("message.repeat_committed", journeys.official_account_answer_is_lost),
    Case("message.asked", journeys.is_told_by_text_message),
    Case("message.report_committed", journeys.is_told_by_text_message),
    Case("follower.changed_committed", journeys.is_told_by_the_official_account),
    Case("follower.answered", journeys.is_told_by_the_official_account),
    Case("phone_code.requested_committed", journeys.proves_phone_by_text_message, program=_API),
    Case("phone_code.begun_committed", journeys.proves_phone_by_text_message),
    Case("phone_code.answered", journeys.proves_phone_by_text_message),
    Case("phone_code.tried_committed", journeys.proves_phone_by_text_message, program=_API),
    Case("phone_code.used_committed", journeys.proves_phone_by_text_message, program=_API),
    Case("code.drawn", journeys.company_gets_a_wechat_code, program=_API),
    Case("message.failed_committed", journeys.wechat_refuses_the_message),
)


def points_in_source() -> dict[str, list[str]]:
    """Point → the places that call it."""
    found: dict[str, list[str]] = {}
    for room in _ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for name, line in _calls(path):
                found.setdefault(name, []).append(f"{path.relative_to(ROOT)}:{line}")
    return found


def _calls(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
            (argument,) = node.args
            name = getattr(argument, "value", None)
            assert isinstance(name, str), f"{path}:{node.lineno}: a point is named by a literal"
            yield name, node.lineno


def test_every_point_of_the_source_has_a_journey_that_leads_to_it() -> None:
    points = points_in_source()
    assert {case.point for case in CASES} == set(points)
    assert [(name, places) for name, places in points.items() if len(places) > 1] == []


@pytest.fixture(scope="module")
async def world(
    settings: Settings, dev_files: DevFiles, sandbox: SandboxProcess, _cleaner: object
) -> AsyncGenerator[World]:
    """The product in two processes on an empty database; used by one customer after the other, all new."""
    _cleaner.clean()  # type: ignore[attr-defined]
    async with opened(settings.database_url, MODULES, pool_size=4), World(settings, dev_files, sandbox) as world:
        async with Customer(world) as nobody:
            await nobody.control("POST", "/reset")
        yield world


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_killed_there_all_still_holds(
    world: World, case: Case, record_property: Callable[[str, object], None]
) -> None:
    world.disarm()
    await until_at_rest(world, time.monotonic())  # what a failed case left behind is not this one's
    world.disarm()
    await world.hurry_others(1)
    async with Customer(world, case.at, case.point) as customer:
        await customer.control("DELETE", "/faults")
        if case.at is None:
            world.arm(case.point)
        outcome = await case.journey(customer)
        await customer.until(world.hit, f"a kill at {case.point}: the journey does not lead there")
        assert world.hit() == [case.point]
        await customer.until(lambda: world.deaths, "its death")
        assert [(death.program, death.status) for death in world.deaths] == [(case.program, KILLED)]
        died_at = world.deaths[0].at
        recovered_s = await until_at_rest(world, died_at)
        # WeChat cannot be asked: a message that was just leaving when its worker died ends as unknown and is not sent again.
        await assert_all_holds(world, customer, outcome, maybe_unknown=case.program == "worker")
        assert len(world.deaths) == 1
    record_property(
        RECOVERED, f"{recovered_s:5.1f} s  {case.point:32} {case.program:6} {case.journey.__name__} {case.at or ''}"
    )
