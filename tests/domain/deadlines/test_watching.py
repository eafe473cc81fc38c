"""Whoever must know is told once; silence climbs by itself; and somebody watches the watch."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from cities.errors import CityPackInvalid
from cities.loader import load, load_city
from cities.schema import City
from core import clock, ids
from core.clock import SHANGHAI
from core.database import fetch
from core.errors import NotFound
from domain.deadlines import watching
from domain.deadlines.calendars import Calendars
from domain.deadlines.clocks import Deadlines, Subject
from domain.deadlines.supervising import Scope, Supervising
from domain.deadlines.watching import Told, Watch, watched
from models.lifecycle import Actor, IllegalMove
from models.supervision import DeadlineWarning, Supervision
from tests.cities import packs

CITY = load_city("ezhou")
WANG, BUREAU = Actor("staff", "water:wang"), Actor("staff", "approval:chen")
WATER, EZHOU = Scope("water", None), Scope(None, None)


@pytest.fixture(autouse=True)
def _home() -> Iterator[None]:
    yield
    clock.travel(timedelta())


class Town:
    """A city's clocks."""

    def __init__(self, city: City = CITY) -> None:
        calendars = Calendars(city.schedules)
        self.deadlines = Deadlines(city, calendars)
        self.watch = Watch(city, calendars)
        self.supervising = Supervising(city, self.watch)

    async def begin(self, *, company: str = "water", area: str | None = "420704", node: bool = False) -> Subject:
        subject = Subject("service_order", ids.new_id())
        if node:
            await self.deadlines.enter_node(subject, "survey", company=company, area=area)
        else:
            promise = self.deadlines.promise(420, clock.today())
            await self.deadlines.open_deadline(subject, promise, clock.now(), company=company, area=area)
        return subject


@pytest.fixture
def town(database: None) -> Town:
    return Town()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def travel(text: str) -> None:
    clock.travel(timedelta())
    clock.travel(at(text) - clock.now())


async def test_yellow_goes_to_the_handler_then_to_his_leader_red_to_the_bureau_and_silence_to_the_city(
    town: Town,
) -> None:
    travel("2026-11-23T10:00")
    await town.begin(area="420704001")
    travel("2026-11-26T11:29")
    assert await town.watch.run() == Told(0, 0, 0, 0)
    travel("2026-11-26T11:30")
    assert await town.watch.run() == Told(1, 0, 0, 0)
    assert await town.watch.run() == Told(0, 0, 0, 0), "nobody is told twice"
    (seen,) = await town.supervising.warnings(WATER, None, 20)
    assert (seen["level"], seen["leader_at"]) == ("yellow", None)
    travel("2026-11-26T15:29")
    assert (await town.watch.run()).climbed == 0
    travel("2026-11-26T15:31")
    assert (await town.watch.run()).climbed == 1, "two working hours, the noon not counted"
    assert len(await town.supervising.warnings(WATER, None, 20, leader=True)) == 1
    travel("2026-11-26T17:31")
    assert await town.watch.run() == Told(0, 1, 1, 0)
    (order,) = await town.supervising.orders(EZHOU, ["issued"], None, 20)
    assert (order["unit"], order["reply_due_at"]) == ("approval_420704", at("2026-11-27T17:30"))
    travel("2026-11-27T17:31")
    assert (await town.watch.run()).climbed == 1
    (order,) = await town.supervising.orders(EZHOU, ["climbed"], None, 20)
    assert order["unit"] == "optimization"
    assert [
        row["event"] for row in await fetch("select event from journal where subject = 'supervision' order by at")
    ] == [
        "created",
        "climb",
    ]


async def test_an_answered_warning_climbs_no_further_and_the_first_answer_stays(town: Town) -> None:
    travel("2026-11-23T10:00")
    await town.begin()
    travel("2026-11-26T12:00")
    await town.watch.run()
    (seen,) = await town.supervising.warnings(WATER, None, 20)
    with pytest.raises(NotFound):
        await town.supervising.answer(seen["id"], Scope("gas", None), WANG, "不是我们的")
    assert (await town.supervising.answer(seen["id"], WATER, WANG, "明天上午装表"))["answer"] == "明天上午装表"
    assert (await town.supervising.answer(seen["id"], WATER, WANG, "又一个回应"))["answer"] == "明天上午装表"
    travel("2026-11-26T17:00")
    assert (await town.watch.run()).climbed == 0
    assert await town.supervising.warnings(WATER, None, 20) == []
    assert len(await town.supervising.warnings(WATER, None, 20, over=True)) == 1


async def test_a_step_that_takes_too_long_is_told_without_a_supervision_order(town: Town) -> None:
    travel("2026-11-23T10:00")
    await town.begin(node=True)
    travel("2026-11-25T10:00")
    assert await town.watch.run() == Told(0, 1, 0, 0)


async def test_what_stands_still_or_is_over_warns_nobody(town: Town) -> None:
    travel("2026-11-23T10:00")
    standing, done = await town.begin(), await town.begin()
    await town.deadlines.pause(standing, "permit", "占道许可申请 2026-118", WANG)
    await town.deadlines.close(done)
    travel("2026-12-15T10:00")
    assert await town.watch.run() == Told(0, 0, 0, 0)
    travel("2027-01-15T10:00")
    assert (await town.watch.run()).red == 1, "after the cap the clock runs on, and its alarm with it"


async def test_the_bureau_closes_what_the_company_has_explained(town: Town) -> None:
    travel("2026-11-23T10:00")
    await town.begin(area=None)
    travel("2026-11-27T09:00")
    await town.watch.run()
    (order,) = await town.supervising.orders(EZHOU, ["issued"], None, 20)
    assert order["unit"] == "optimization", "of no district, so the city's"
    act = town.supervising
    with pytest.raises(IllegalMove):
        await act.close(order["id"], EZHOU, BUREAU)
    with pytest.raises(NotFound):
        await act.reply(order["id"], Scope("gas", None), WANG, "不是我们的")
    with pytest.raises(NotFound):
        await act.close(order["id"], Scope(None, "420703"), BUREAU)
    await act.reply(order["id"], WATER, WANG, "管沟遇岩石")
    travel("2026-11-27T10:00")
    back = await act.send_back(order["id"], EZHOU, BUREAU, "没有写明什么时候办好")
    assert (back["status"], back["reply_due_at"]) == ("issued", at("2026-11-30T17:30"))
    await act.reply(order["id"], WATER, WANG, "明天上午通水")
    assert (await act.close(order["id"], EZHOU, BUREAU))["status"] == "closed"
    travel("2026-12-30T10:00")
    assert (await town.watch.run()).climbed == 0


async def test_figures_say_how_each_company_keeps_its_promises(town: Town) -> None:
    travel("2026-11-23T10:00")
    kept, missed = await town.begin(), await town.begin()
    await town.begin(company="gas", area="420703400")
    travel("2026-11-25T10:00")
    await town.deadlines.close(kept)
    travel("2026-11-30T10:00")
    await town.deadlines.close(missed)
    water, gas = sorted(
        await town.supervising.figures(EZHOU, date(2026, 11, 1), date(2026, 11, 30)), key=lambda row: row.open
    )
    assert (water.company, water.area, water.met, water.missed, water.open) == ("water", "420704", 1, 1, 0)
    assert (water.used_days, water.lived_days, water.longest_days) == (2.5, 3.5, 5)
    assert (gas.company, gas.area, gas.open, gas.overdue) == ("gas", "420703", 1, 1)
    assert await town.supervising.figures(WATER, date(2026, 11, 1), date(2026, 11, 24)) == []


async def test_somebody_watches_the_watch(town: Town) -> None:
    travel("2026-11-23T10:00")
    assert await watched() == (None, 0)
    await town.begin()
    assert await watched() == (None, 1)
    await town.watch.run()
    travel("2026-11-23T11:00")
    alive = await watched()
    assert alive.age_s is not None
    assert round(alive.age_s) == 3600


async def test_many_are_told_batch_by_batch(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AT_ONCE", 3)
    travel("2026-11-23T10:00")
    for _ in range(8):
        await town.begin()
    travel("2026-11-27T10:00")
    assert await town.watch.run() == Told(0, 8, 8, 0)
    assert (await DeadlineWarning.all().count(), await Supervision.all().count()) == (8, 8)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [("warning.0.short_hours", 10, Told(1, 0, 0, 0)), ("distance.0.bands.0.days", 1, Told(0, 1, 1, 0))],
    ids=["yellow", "red"],
)
async def test_changing_a_rule_changes_who_is_told(
    database: None, tmp_path: Path, path: str, value: int, told: Told
) -> None:
    town = Town(load(packs.change(tmp_path, "promises.toml", packs.put(path, value))))
    travel("2026-11-23T10:00")
    await town.begin()
    travel("2026-11-25T17:31")
    assert await town.watch.run() == told


def test_an_order_climbs_to_a_unit_there_is(tmp_path: Path) -> None:
    with pytest.raises(CityPackInvalid, match="city_unit"):
        load(packs.change(tmp_path, "promises.toml", packs.put("escalation.0.city_unit", "water")))
