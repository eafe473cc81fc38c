"""A city whose every rule is another: the same cases end otherwise, without a line of the program.

Rules whose effect shows only in the life of a case; the others are changed in tests/cities/test_rules_change.py.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from msgspec.structs import force_setattr

from cities.loader import load
from cities.schema import City
from core import clock, ids
from core.clock import SHANGHAI
from core.redis import RateLimited
from domain.applications.cases import ProgressRefused
from domain.applications.drafts import TooManyDrafts
from domain.deadlines.calendars import Calendars
from domain.deadlines.clocks import ApproverNeeded, Deadlines, ExtensionRefused, Subject
from domain.deadlines.watching import Watch
from domain.materials.inspecting import Limits
from domain.materials.materials import Materials
from domain.orders.handling import Item
from domain.surveys.appointments import WindowsUnsuitable
from domain.surveys.planning import Window
from domain.surveys.slots import Offer
from models.credit import CreditRecord
from models.deadline import DeadlinePause
from models.lifecycle import Actor
from models.supervision import DeadlineWarning
from tests.cities import packs
from tests.harness import cases
from tests.harness.papers import document
from tests.harness.spine import Spine

WATER, LEADER = Actor("staff", "water:wang"), "water:li"
BY = cases.of("water")
RULES: Mapping[str, Mapping[str, Any]] = {
    "promises.toml": {
        "pause.0.times": 0,
        "pause.1.cap": "2d",
        "extension.0.times": 2,
        "extension.0.most_days": 1,
        "commitment.0.within_days": 2,
        "node.0.days": 2,
        "escalation.0.leader_hours": 6,
        "escalation.0.reply_days": 3,
        "permit.2.unit": "transport",
        "permit.2.days": 5,
    },
    "applications.toml": {
        "rules.0.draft_life": "10d",
        "rules.0.most_drafts": 1,
        "rules.0.correction_days": 10,
        "rules.0.return_days": 5,
        "rules.0.progress_tries": 1,
        "rules.0.progress_window": "2h",
        "rules.0.progress_life": "5d",
    },
    "crews.toml": {
        "surveys.0.duration": "2h",
        "surveys.0.lead": "2d",
        "surveys.0.horizon": "4d",
        "surveys.0.most_windows": 1,
        "surveys.0.confirm_within": "1h",
    },
    "materials.toml": {
        "upload.0.most_bytes": 100_000,
        "upload.0.most_pixels": 1_000_000,
        "upload.0.most_pages": 1,
        "upload.0.most_per_day": 10,
        "upload.0.link_life": "1m",
        "tolerance.0.remind_days": 1,
        "credit.0.objection_days": 10,
        "papers.5.site_bound": False,
        "requirements.0.waived_by": [],
    },
}
"""What is otherwise there; beside each value of the pack of Ezhou the tests of its own room say what it does."""


@pytest.fixture
def city(tmp_path: Path) -> City:
    pack = packs.copy(tmp_path)
    for file, rules in RULES.items():
        for path, value in rules.items():
            packs.also(pack, file, packs.put(path, value))
    return load(pack)


@pytest.fixture
def there(spine: Spine, city: City) -> Spine:
    """The business of that city: its rules in the place of Ezhou's, before anything has happened."""
    for name in ("promises", "applications", "crews", "materials"):
        force_setattr(spine.services.city, name, getattr(city, name))
    return spine


@pytest.fixture
def _home() -> Iterator[None]:
    yield
    clock.travel(timedelta())


def days_from_now(days: int) -> date:
    return clock.today() + timedelta(days=days)


def travel(moment: datetime) -> None:
    clock.travel(timedelta())
    clock.travel(moment - clock.now())


@pytest.mark.usefixtures("_home")
async def test_a_promise_stands_still_and_grows_by_other_rules(database: None, city: City) -> None:
    deadlines, subject = Deadlines(city, Calendars(city.schedules)), Subject("service_order", ids.new_id())
    travel(datetime(2026, 11, 23, 10, tzinfo=SHANGHAI))
    assert (await deadlines.open_commitment(subject, clock.now())).due_on == date(2026, 11, 25)
    node = await deadlines.enter_node(subject, "accept")
    assert node is not None
    assert node.due_on == date(2026, 11, 25)
    await deadlines.open_deadline(subject, deadlines.promise(420, clock.today()), clock.now())
    with pytest.raises(ApproverNeeded):
        await deadlines.pause(subject, "correction", "缺授权委托书", WATER)
    for _ in range(2):
        await deadlines.extend(subject, 1, "遇到地下管线", WATER, LEADER)
    with pytest.raises(ExtensionRefused):
        await deadlines.extend(subject, 1, "还没有好", WATER, LEADER)
    other = Subject("service_order", ids.new_id())
    await deadlines.open_deadline(other, deadlines.promise(420, clock.today()), clock.now())
    with pytest.raises(ExtensionRefused):
        await deadlines.extend(other, 2, "遇到地下管线", WATER, LEADER)
    watch = Watch(city, Calendars(city.schedules))
    assert await watch.reply_due(clock.now()) == datetime(2026, 11, 26, 17, 30, tzinfo=SHANGHAI)
    travel(datetime(2026, 11, 26, 12, tzinfo=SHANGHAI))
    await watch.run()
    warning = await DeadlineWarning.filter(deadline__subject_id=other.id).first()
    assert warning is not None
    assert warning.climbs_at == datetime(2026, 11, 27, 11, 0, tzinfo=SHANGHAI)
    await deadlines.pause(other, "permit", "占道许可申请 2026-118", WATER)
    pause = await DeadlinePause.get(deadline__subject_id=other.id)
    assert pause.cap_at == pause.begins_at + timedelta(days=2)


async def test_drafts_corrections_and_the_progress_code_live_by_other_rules(there: Spine) -> None:
    citizen, _ = await there.resident()
    caller, services = citizen.caller, there.services
    await services.drafts.begin(caller, {"contact": {"mobile": "13812345678"}}, "ehuiban")
    with pytest.raises(TooManyDrafts):
        await services.drafts.begin(caller, {}, "ehuiban")
    await there.travel(timedelta(days=11))
    assert await services.drafts.discard_old() == 1

    filed = await cases.file(there, caller, await cases.answers_of(there, caller, ["water", "gas"]))
    water, gas = await cases.order_of(filed, "water"), await cases.order_of(filed, "gas")
    sent_back = await services.orders.send_back(water.id, BY, [Item("/site/real_estate_no", "没有填")])
    assert sent_back.correction_ends_on == days_from_now(10)
    await services.orders.receive(gas.id)
    await there.travel(timedelta(days=4))
    assert (await services.orders.hand_back(gas.id, cases.of("gas"), "不归我们")).status == "returned"

    progress, code = services.cases.progress, filed.progress_code
    await progress(code, "5678")
    await there.travel(timedelta(minutes=61))
    with pytest.raises(RateLimited):
        await progress(code, "5678")
    for order in (water, gas):
        await services.order_answers.withdraw(caller, order.id)
    await there.travel(timedelta(days=6))
    await services.redis.flushdb()
    with pytest.raises(ProgressRefused):
        await progress(code, "5678")


async def test_permits_and_surveys_are_arranged_by_other_rules(there: Spine) -> None:
    citizen, _ = await there.resident()
    caller, services = citizen.caller, there.services
    filed = await cases.file(there, caller, await cases.answers_of(there, caller, ["water"]))
    await there.jobs.run()
    offer = partial(services.surveys.offer_windows, caller, filed.application_id)
    begin = clock.now() + timedelta(days=3)
    for windows, why in (
        ([(timedelta(), timedelta(minutes=90))], "too_short"),
        ([(-timedelta(days=2), timedelta(hours=2) - timedelta(days=2))], "too_soon"),
        ([(timedelta(days=1), timedelta(days=2))], "too_far"),
        ([(timedelta(), timedelta(hours=3))] * 2, "too_many"),
    ):
        with pytest.raises(WindowsUnsuitable) as refused:
            await offer([Window(begin + start, begin + end) for start, end in windows])
        assert refused.value.data["why"] == why
    crew = Offer("w1", "420704", begin, begin + timedelta(hours=3))
    await services.surveys.slots("water", [crew], (), Actor("company", "water"))
    await offer([Window(begin, begin + timedelta(hours=3))])
    await there.jobs.run()
    survey = (await services.surveys.shown(caller, filed.application_id)).survey
    assert survey.starts_at is not None
    assert survey.answer_by is not None
    assert survey.ends_at == survey.starts_at + timedelta(hours=2)
    assert survey.answer_by < clock.now() + timedelta(minutes=61)

    order = await cases.order_of(filed, "water")
    await cases.brought_to(there, caller, order, "surveyed")
    (permit,) = await services.permits.ask(order.id, BY, ["traffic"], "占道许可申请 2026-118")
    calendar = await Calendars(services.city.schedules).current()
    assert (permit["unit"], permit["due_on"]) == ("transport", calendar.after(calendar.on_or_after(clock.today()), 5))


class _Seen:
    """An inspector that is content to see the limits."""

    def __init__(self) -> None:
        self.limits: Limits | None = None

    async def inspect(self, content: bytes, limits: Limits) -> NoReturn:
        del content
        self.limits = limits
        raise LookupError


async def test_papers_are_taken_waived_promised_and_remembered_by_other_rules(there: Spine) -> None:
    citizen, _ = await there.resident()
    caller, services = citizen.caller, there.services
    seen, taken = _Seen(), services.materials
    inspecting = Materials(services.city, services.vault, None, services.limiter, seen, None)  # pyright: ignore[reportArgumentType]
    for _ in range(10):
        with pytest.raises(LookupError):
            await inspecting.upload(caller, "property_proof", b"%PDF-1.7")
    assert seen.limits == Limits(100_000, 1_000_000, 1)
    with pytest.raises(RateLimited):
        await inspecting.upload(caller, "property_proof", b"%PDF-1.7")
    await services.redis.flushdb()
    assert taken.link_for(uuid4(), "person:x", "own").expires_at < clock.now() + timedelta(seconds=61)

    answers = await cases.answers_of(there, caller, ["water"])
    filed = await cases.file(there, caller, answers)
    deed = await taken.upload(caller, "property_proof", document())
    await services.needs.attach(caller, filed.application_id, "property", deed.id)
    elsewhere = await cases.begun(there, caller, cases.changed(answers, "/site/address", "滨湖南路20号1栋101"))
    states = {need.requirement.code: need.state for need in await services.needs.show(caller, elsewhere)}
    assert states == {"applicant_id": "missing", "property": "waived"}, "no real name stands for it, and any deed does"

    await services.drafts.discard(caller, elsewhere)
    await cases.file(there, caller, cases.changed(answers, "/site/right", "rural"), "rural_land")
    await services.tolerances.watch()
    await there.jobs.run()
    assert "tolerance.due_soon" not in await there.told(citizen)
    await there.travel(timedelta(days=1))
    await services.tolerances.watch()
    await there.jobs.run()
    assert "tolerance.due_soon" in await there.told(citizen)
    await there.travel(timedelta(days=2))
    await services.tolerances.watch()
    await there.jobs.run()
    record = await CreditRecord.get(person_id=citizen.id)
    assert record.objection_until == (await Calendars(services.city.schedules).current()).after(clock.today(), 10)


def changed_keys(rules: Mapping[str, Mapping[str, Any]] = RULES) -> Iterator[str]:
    """The changed rules as docs/policy-map.md names them."""
    for file, paths in rules.items():
        for path in paths:
            yield f"{file}#{'.'.join(step for step in path.split('.') if not step.isdigit())}"
