"""Running promises: stopped and made longer by the rules of the pack only, and counted anew when a calendar comes out."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from cities.errors import CityPackInvalid
from cities.loader import load, load_city
from cities.promises import Promise
from core import clock, ids
from core.clock import SHANGHAI
from core.database import fetch, transaction, violated_constraint
from domain.deadlines.calendars import Calendars
from domain.deadlines.clocks import (
    ApproverNeeded,
    CommitmentNeeded,
    DeadlineNotPaused,
    DeadlineNotRunning,
    DeadlinePaused,
    Deadlines,
    ExtensionRefused,
    Subject,
)
from domain.deadlines.recounting import Recounting
from models.deadline import Deadline, DeadlineChange, DeadlinePause
from models.lifecycle import Actor
from tests.cities import packs

CITY = load_city("ezhou")
ON = date(2026, 11, 23)
WATER, LEADER = Actor("staff", "water:wang"), "water:li"


@pytest.fixture(autouse=True)
def _home() -> Iterator[None]:
    yield
    clock.travel(timedelta())


@pytest.fixture
def deadlines(database: None) -> Deadlines:
    return Deadlines(CITY, Calendars(CITY.schedules))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def travel(text: str) -> datetime:
    """Makes it this time in Ezhou."""
    clock.travel(timedelta())
    clock.travel(at(text) - clock.now())
    return at(text)


async def begun(deadlines: Deadlines, accepted: str, distance_m: int = 420) -> Subject:
    now = travel(accepted)
    subject = Subject("service_order", ids.new_id())
    promise = deadlines.promise(distance_m, now.date())
    await deadlines.open_deadline(subject, promise, now, company="water", area="420704")
    return subject


async def row_of(subject: Subject) -> Deadline:
    return await Deadline.get(subject_id=subject.id, kind="promise")


@pytest.mark.parametrize(("distance_m", "days"), [(0, 3), (500, 3), (501, 5), (1000, 5)])
def test_the_distance_makes_the_promise_boundaries_included(distance_m: int, days: int) -> None:
    promise = Deadlines(CITY, Calendars(CITY.schedules)).promise(distance_m, ON)
    assert promise.days == days
    assert "鄂州工改办〔2023〕11号" in promise.clause


def test_beyond_the_last_band_the_company_commits_itself() -> None:
    deadlines = Deadlines(CITY, Calendars(CITY.schedules))
    with pytest.raises(CommitmentNeeded):
        deadlines.promise(1001, ON)
    assert deadlines.committed(20, ON) == Promise(20, "committed", CITY.promises.commitment[0].source)
    for days in (0, 61):
        with pytest.raises(ExtensionRefused):
            deadlines.committed(days, ON)
    assert deadlines.promise(5000, ON, main_laid=True).days == 0, "pushed, with its main laid"


@pytest.mark.parametrize(
    ("path", "value", "days"),
    [("distance.0.bands.0.days", 2, 2), ("distance.0.bands.0.up_to_m", 400, 5), ("push.0.days", 1, 3)],
    ids=["days", "metres", "push"],
)
def test_changing_a_rule_of_the_pack_changes_the_promise(tmp_path: Path, path: str, value: int, days: int) -> None:
    city = load(packs.change(tmp_path, "promises.toml", packs.put(path, value)))
    deadlines = Deadlines(city, Calendars(city.schedules))
    assert deadlines.promise(420, ON).days == days
    assert deadlines.promise(420, ON, main_laid=True).days == (1 if path.startswith("push") else 0)


async def test_day_three_across_a_make_up_saturday(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-09-17T10:00")
    assert (await row_of(subject)).due_on == date(2026, 9, 21), "the 18th, Sunday the 20th, the 21st"
    travel("2026-09-21T16:00")
    assert await deadlines.close(subject) == "met"
    row = await row_of(subject)
    assert (row.used_days, row.lived_days) == (3, 3)
    assert await deadlines.close(subject) is None, "ending twice is no harm"


async def test_a_promise_stands_still_and_both_clocks_are_told(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-11-23T10:00")
    travel("2026-11-24T08:00")
    await deadlines.pause(subject, "permit", "占道许可申请 2026-118", WATER)
    standing = await row_of(subject)
    assert standing.due_at == at("2026-12-28T17:30"), "30 days at most, then it runs on by itself"
    with pytest.raises(DeadlinePaused):
        await deadlines.pause(subject, "applicant", "等申请人确认方案", WATER)
    with pytest.raises(DeadlineNotPaused):
        await deadlines.resume(subject, "applicant")
    travel("2026-11-26T18:00")
    await deadlines.resume(subject, "permit")
    explained = await deadlines.explain(subject)
    assert explained is not None
    assert (explained.due.due_on, explained.due.used_days, explained.due.lived_days) == (date(2026, 12, 1), 0, 3)
    assert [day.why.value for day in explained.due.days][1:4] == ["paused"] * 3
    assert (await row_of(subject)).due_at == at("2026-12-01T17:30")
    travel("2026-12-01T17:31")
    assert await deadlines.close(subject) == "missed"


async def test_a_cap_ends_a_pause_that_nobody_ended(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-11-23T10:00")
    await deadlines.pause(subject, "applicant", "等申请人确认方案", WATER)
    travel("2026-12-24T10:00")
    await deadlines.pause(subject, "permit", "占道许可申请 2026-118", WATER)
    pauses = await DeadlinePause.filter(deadline__subject_id=subject.id).order_by("begins_at")
    assert [pause.ends_at for pause in pauses] == [pauses[0].cap_at, None]


async def test_force_majeure_and_every_repetition_need_a_supervisor(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-11-23T10:00")
    with pytest.raises(ApproverNeeded):
        await deadlines.pause(subject, "force_majeure", "暴雨红色预警", WATER)
    await deadlines.pause(subject, "force_majeure", "暴雨红色预警", WATER, approver=LEADER)
    assert (await row_of(subject)).due_at is None, "nobody knows how long: no alarm"
    await deadlines.resume(subject, "force_majeure")
    await deadlines.pause(subject, "correction", "缺授权委托书，一次性告知", WATER)
    await deadlines.resume(subject, "correction")
    for nobody in (None, WATER.id):
        with pytest.raises(ApproverNeeded):
            await deadlines.pause(subject, "correction", "又缺材料", WATER, approver=nobody)


async def test_it_is_made_longer_once_before_it_is_over_by_somebody_elses_consent(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-11-23T10:00")
    with pytest.raises(ApproverNeeded):
        await deadlines.extend(subject, 2, "遇到地下管线", WATER, WATER.id)
    with pytest.raises(ExtensionRefused):
        await deadlines.extend(subject, 11, "遇到地下管线", WATER, LEADER)
    row = await deadlines.extend(subject, 2, "遇到地下管线", WATER, LEADER)
    assert row.due_on == date(2026, 11, 30)
    with pytest.raises(ExtensionRefused):
        await deadlines.extend(subject, 1, "还没有好", WATER, LEADER)
    change = await DeadlineChange.get(deadline_id=row.id)
    assert (change.from_days, change.to_days, change.approver) == (3, 5, LEADER)
    other = await begun(deadlines, "2026-11-23T10:00")
    travel("2026-11-26T17:31")
    with pytest.raises(ExtensionRefused):
        await deadlines.extend(other, 1, "晚了", WATER, LEADER)
    with pytest.raises(DeadlineNotRunning):
        await deadlines.extend(Subject("service_order", ids.new_id()), 1, "没有", WATER, LEADER)


async def test_what_the_survey_finds_replaces_the_promise_longer_only_with_consent(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-11-23T10:00")
    longer = deadlines.promise(800, ON)
    with pytest.raises(ApproverNeeded):
        await deadlines.revise(subject, longer, "踏勘测得 800 米", WATER)
    assert (await deadlines.revise(subject, longer, "踏勘测得 800 米", WATER, LEADER)).due_on == date(2026, 11, 30)
    shorter = await deadlines.revise(subject, deadlines.promise(300, ON), "复测 300 米", WATER)
    assert shorter.due_on == date(2026, 11, 26)


async def test_the_database_itself_refuses_pauses_that_overlap(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-11-23T10:00")
    row, begin = await row_of(subject), at("2026-11-24T08:00")

    async def put(begins_at: datetime, ends_at: datetime, reason: str = "permit") -> None:
        await fetch(
            "insert into deadline_pause (id, deadline_id, reason, evidence, actor_kind, actor_id, begins_at, ends_at)"
            " values ($1, $2, $3, '占道许可', 'staff', 'x', $4, $5)",
            ids.new_id(), row.id, reason, begins_at, ends_at,
        )  # fmt: skip

    await put(begin, begin + timedelta(hours=2))
    await put(begin + timedelta(hours=2), begin + timedelta(hours=3))
    for begins_at, ends_at, reason, constraint in (
        (begin + timedelta(hours=1), begin + timedelta(hours=5), "permit", "deadline_pause_no_overlap"),
        (begin + timedelta(hours=9), begin + timedelta(hours=8), "permit", "deadline_pause_runs_forward"),
        (begin + timedelta(hours=9), begin + timedelta(hours=9), "holiday", "deadline_pause_reason_listed"),
    ):
        with pytest.raises(Exception) as refused:  # noqa: PT011  the constraint is what counts
            await put(begins_at, ends_at, reason)
        assert violated_constraint(refused.value) == constraint


async def test_steps_have_clocks_of_their_own(deadlines: Deadlines) -> None:
    travel("2026-11-23T10:00")
    subject = Subject("service_order", ids.new_id())
    survey = await deadlines.enter_node(subject, "survey", company="water")
    assert survey is not None
    assert survey.due_on == date(2026, 11, 24)
    assert await deadlines.enter_node(subject, "confirm") is None, "the applicant's turn has no limit"
    await survey.refresh_from_db()
    assert survey.outcome == "met"


async def test_a_calendar_that_comes_out_moves_what_was_provisional_and_says_so(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-12-28T10:00")
    row = await row_of(subject)
    assert (row.due_on, row.provisional) == (date(2026, 12, 31), True), "New Year's Day is a Friday of an unknown year"
    calendars = Calendars(CITY.schedules)
    paper = {
        "year": 2027,
        "papers": ["https://www.gov.cn/example"],
        "days": [
            {"name": "元旦", "date": "2026-12-30", "isOffDay": True},
            {"name": "元旦", "date": "2027-01-01", "isOffDay": True},
            {"name": "国庆节", "date": "2027-10-01", "isOffDay": True},
        ],
    }
    with pytest.raises(CityPackInvalid):
        await calendars.take(json.dumps(paper | {"days": paper["days"] * 2}).encode(), WATER)
    await calendars.take(json.dumps(paper).encode(), WATER)
    recounting = Recounting(deadlines, calendars)
    await recounting.recount(2027)
    await recounting.recount(2027)
    row = await row_of(subject)
    assert (row.due_on, row.provisional) == (date(2027, 1, 4), False)
    (change,) = await DeadlineChange.filter(deadline_id=row.id)
    assert (change.kind, change.from_due_on, change.to_due_on) == ("recount", date(2026, 12, 31), date(2027, 1, 4))
    assert await fetch("select 1 from audit where action = 'calendar.imported' and subject_id = '2027'")
    assert await fetch("select 1 from procrastinate_jobs where task_name = 'deadlines.recount'")


async def test_two_promises_of_one_subject_never_run_at_once(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-11-23T10:00")
    with pytest.raises(Exception) as refused:  # noqa: PT011
        async with transaction():
            await deadlines.open_deadline(subject, deadlines.promise(1, ON), clock.now())
    assert violated_constraint(refused.value) == "deadline_live_once"


async def test_a_machine_whose_clock_is_behind_ends_what_another_has_just_begun(deadlines: Deadlines) -> None:
    subject = await begun(deadlines, "2026-11-23 09:00:01")
    travel("2026-11-23 09:00:00")
    assert await deadlines.close(subject) == "met"
    row = await row_of(subject)
    assert row.closed_at == row.opened_at
