"""``python -m bench.cases``: a city's year of applications, each through the whole flow, and filing at its rate. Prints goals and what was seen.

First people file when they are due, however the server fares, while the worker tells the companies (`--rate`, `--seconds`). Then a year
is played day by day, the clock of all processes set forward: drafts, filing, delivery to the companies, survey, promise, plan, contract,
connection, archive, with corrections, withdrawals and promises that are not kept among them. At its end ``lianban check`` finds nothing.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import uvloop

from bench.machine import Meter, Reading
from bench.town import Companies, People, Person, Wires, answers_of, companies_of, deed, moment
from bench.world import ROOT, process, settings_for
from cities.loader import load_city
from core import clock, ids
from core.crypto import Vault
from core.queue import defer_sql
from core.settings import Settings
from core.workdays import Calendar
from lianban import check, engines
from lianban.migrate import migrate
from lianban.sandbox import SandboxProcess
from models.checks import CHECKS

FIRST_DAY = date(2026, 1, 5)
"""Of a year whose calendar is published."""
FILING_P99_MS = 150.0
AT_ONCE = 12
"""Calls that are out at the same time, outside the part that measures filing."""
_MORNING, _EVENING = clock_time(8, 30), clock_time(18, 30)
_CREWS_PER_CASE = 0.25
_OPEN_JOBS = """
select count(*) from procrastinate_jobs
where status = 'doing' or (status = 'todo' and (scheduled_at is null or scheduled_at <= now() + interval '1 second'))
"""
_OVER = ("archived", "withdrawn")


class Case(NamedTuple):
    """One application on its way. Every so many are corrected once, withdrawn, or late."""

    number: int
    person: Person
    application_id: str
    orders: dict[str, str]
    """Company → its order."""

    @property
    def is_corrected(self) -> bool:
        return self.number % 20 == 3

    @property
    def is_withdrawn(self) -> bool:
        return self.number % 25 == 7

    @property
    def is_late(self) -> bool:
        return self.number % 15 == 11


class Town:
    """Plays applicants and companies against one port."""

    def __init__(
        self, wires: Wires, people: People, companies: Companies, database: asyncpg.Pool, clock_file: Path
    ) -> None:
        self._wires = wires
        self._people = people
        self._companies = companies
        self._database = database
        self._clock_file = clock_file
        self._notice = ""
        self._slots = 0

    async def file(self, number: int, person: Person, due: float | None = None, wait_s: float = 0.0) -> Case:
        """Draft and file; `due`: when the draft should leave, the filing `wait_s` later."""
        body = {"answers": answers_of(person, number), "access_point": "mini_program"}
        draft = await self._call(person, "draft", "POST", "/v1/application-drafts", body, due=due)
        await self._hand_in(person, draft["draft_id"], number)
        if due is not None:
            await asyncio.sleep(max(0.0, due + wait_s - clock.monotonic()))
            due += wait_s
        consents = [{"company": company, "notice_version": self._notice} for company in companies_of(number)]
        path = f"/v1/application-drafts/{draft['draft_id']}/filing"
        filed = await self._call(person, "file", "POST", path, {"version": 1, "consents": consents}, due=due)
        return Case(
            number, person, filed["application_id"], {one["company"]: one["order_id"] for one in filed["orders"]}
        )

    async def _hand_in(self, person: Person, draft_id: str, number: int) -> None:
        """The paper of the house: without it nothing is filed."""
        paper = await self._call(person, "upload", "POST", "/v1/materials?paper=property_proof", deed(number))
        body = {"requirement": "property", "material_id": paper["material_id"]}
        await self._call(person, "paper", "POST", f"/v1/applications/{draft_id}/papers", body)

    async def morning(self, day: date, fresh: Sequence[Case], crews: int) -> None:
        """New cases are accepted, corrected first where something is missing; a survey is arranged for tomorrow; some are withdrawn."""
        await self._each(
            self._offer_crews(company, day, crews) for company in ("water", "power", "gas", "telecom_ct", "telecom_cm")
        )
        await self._each(self._first_reports(case) for case in fresh)
        await self._drained()
        await self._each(self._corrected(case) for case in fresh if case.is_corrected)
        await self._each(self._windows(case, day) for case in fresh if not case.is_withdrawn)
        await self._each(
            self._call(case.person, "withdrawal", "POST", f"/v1/applications/{case.application_id}/withdrawal")
            for case in fresh
            if case.is_withdrawn
        )
        await self._drained()
        await self._each(self._confirmed(case) for case in fresh if not case.is_withdrawn)
        await self._drained()

    async def surveyed(self, cases: Sequence[Case]) -> None:
        """Each company signs its part and sends its plan; the applicant agrees and signs."""
        await self._reports(
            cases,
            ("surveyed", {"can_supply": True, "distance_m": 420, "plan": "由滨湖南路主管接入"}),
            ("plan_replied", {"plan": "由现有管线接入，红线外不收费"}),
        )
        await self._drained()
        await self._each(self._signed(case, order) for case in cases for order in case.orders.values())

    async def built(self, cases: Sequence[Case]) -> None:
        """Construction begins."""
        await self._reports(cases, ("construction_started", {}))

    async def connected(self, cases: Sequence[Case]) -> None:
        """Inspected, on, archived; the applicant looks."""
        await self._reports(cases, ("inspected", {"passed": True}), ("connected", {}), ("archived", {}))
        await self._each(
            self._call(case.person, "look", "GET", f"/v1/applications/{case.application_id}") for case in cases
        )

    async def at(self, day: date, hour: clock_time) -> None:
        """Set the clock of all processes; what the queue has planned comes nearer by as much."""
        await self._drained()
        before = clock.now()
        target = max(datetime.combine(day, hour, clock.SHANGHAI), before)
        offset = (target - before).total_seconds() + float(self._clock_file.read_text() or 0)
        beside = self._clock_file.with_suffix(".new")
        beside.write_text(str(offset))
        beside.replace(self._clock_file)
        if target > before:
            query = "update procrastinate_jobs set scheduled_at = scheduled_at - $1::interval where status = 'todo' and scheduled_at is not null"
            await self._database.execute(query, target - before)
        if not self._notice:
            person = Person(ids.new_id(), ids.new_id(), "", "")
            self._notice = (await self._call(person, "notice", "GET", "/v1/notices/application"))["notice_version"]

    async def job(self, name: str) -> None:
        """Have a periodic job run now, as its hour would."""
        query = "select " + defer_sql("$1::text", "'{\"timestamp\": 0}'::jsonb", once="$1::text")
        try:
            await self._database.execute(query, name)
        except asyncpg.UniqueViolationError:
            return  # it waits already
        finally:
            await self._drained()

    async def _drained(self, within_s: float = 600.0) -> None:
        end = clock.monotonic() + within_s
        while await self._database.fetchval(_OPEN_JOBS):
            if clock.monotonic() > end:
                raise SystemExit("jobs are left lying")
            await asyncio.sleep(0.05)

    async def _first_reports(self, case: Case) -> None:
        for company, order in case.orders.items():
            if case.is_corrected and company == "water":
                items = [{"subject": "/site/real_estate_no", "note": "没有填"}]
                await self._report(company, order, "correction_asked", items=items)
            elif not case.is_withdrawn:
                await self._report(company, order, "accepted")

    async def _corrected(self, case: Case) -> None:
        order = case.orders["water"]
        body = {"changes": {"/remark": "北门进"}, "note": "补上了"}
        await self._call(case.person, "correction", "POST", f"/v1/service-orders/{order}/correction", body)
        await self._report("water", order, "accepted")

    async def _offer_crews(self, company: str, day: date, crews: int) -> None:
        slots: list[dict[str, str]] = []
        for crew in range(crews):
            for hour in (9, 10, 11, 13, 14, 15, 16, 17):
                begins = datetime.combine(day, clock_time(hour), clock.SHANGHAI)
                self._slots += 1
                slots.append({
                    "slot_id": f"s{self._slots}-{crew}", "area": "420704", "starts_at": moment(begins),
                    "ends_at": moment(begins + timedelta(hours=1)),
                })  # fmt: skip
        for first in range(0, len(slots), 200):
            data = {"slots": slots[first : first + 200], "withdrawn": []}
            await self._wires.send("crew slots", self._companies.event(company, "crew.slots", data))

    async def _windows(self, case: Case, day: date) -> None:
        first, last = ((9, 12), (13, 18))[case.number % 2]
        window = {
            "starts_at": moment(datetime.combine(day, clock_time(first), clock.SHANGHAI)),
            "ends_at": moment(datetime.combine(day, clock_time(last), clock.SHANGHAI)),
        }
        path = f"/v1/applications/{case.application_id}/survey/windows"
        await self._call(case.person, "windows", "POST", path, {"windows": [window]})

    async def _confirmed(self, case: Case) -> None:
        path = f"/v1/applications/{case.application_id}/survey"
        survey = await self._call(case.person, "survey", "GET", path)
        if survey["status"] != "held":
            return  # no crew was free: it is surveyed without an appointment
        await self._call(case.person, "confirm", "POST", f"{path}/confirmation", {"round": survey["round"]})
        for company in case.orders:
            data = {"survey_id": survey["survey_id"], "round": survey["round"], "answer": "confirmed", "note": ""}
            await self._wires.send("survey answer", self._companies.event(company, "survey.answer", data))

    async def _signed(self, case: Case, order: str) -> None:
        for step in ("plan-confirmation", "contract"):
            await self._call(case.person, step, "POST", f"/v1/service-orders/{order}/{step}", {"plan_version": 1})

    async def _reports(self, cases: Iterable[Case], *reports: tuple[str, dict[str, Any]]) -> None:
        async def one(company: str, order: str) -> None:
            for kind, members in reports:
                await self._report(company, order, kind, **members)

        await self._each(one(company, order) for case in cases for company, order in case.orders.items())

    async def _report(self, company: str, order: str, kind: str, **members: Any) -> None:
        await self._wires.send("report", self._companies.report(company, order, kind, **members))

    async def _call(
        self, person: Person, kind: str, method: str, path: str, body: Any = None, due: float | None = None
    ) -> Any:
        key = ids.new_id().hex if method == "POST" else ""
        return await self._wires.call(kind, method, path, self._people.token(person), body, key=key, due=due)

    async def _each(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(work: Coroutine[Any, Any, None]) -> None:
            async with room:
                await work

        await asyncio.gather(*(one(work) for work in works))


class Run(NamedTuple):
    """What is to be played."""

    cases: int
    days: int
    rate: float
    seconds: float


def main() -> int:
    """Play it; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="bench.cases", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="applications, those of the filing among them")
    parser.add_argument("--days", type=int, default=230, help="working days of the year")
    parser.add_argument("--rate", type=float, default=20.0, help="applications filed a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long at that rate")
    parser.add_argument("--workers", type=int, default=2, help="serving processes")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench-cases", help="folder of data and keys")
    parser.add_argument("--port", type=int, default=19800)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    var_dir = Path(os.path.abspath(arguments.var))
    run = Run(arguments.cases, arguments.days, arguments.rate, arguments.seconds)
    with engines.locked(var_dir / "bench.lock"), engines.running(var_dir, {}) as addresses, ExitStack() as stack:
        settings = settings_for(var_dir, arguments.port, addresses, travels=True)
        asyncio.run(_emptied(settings.database_url))
        clock_file = Path(settings.clock_file or "")
        clock_file.write_text("0")
        clock.follow(clock_file)
        begins = datetime.combine(FIRST_DAY, _MORNING, clock.SHANGHAI)
        clock_file.write_text(str((begins - clock.now()).total_seconds()))
        sandbox = stack.enter_context(
            SandboxProcess(var_dir / "keys" / "sandbox.json", arguments.port + 10, log=var_dir / "cases-sandbox.log")
        )
        sandbox.wait_until_healthy()
        httpx.post(
            f"{sandbox.url}/control/companies/telecom_cm/latency", json={"seconds": [0.0, 0.0]}
        ).raise_for_status()
        serve = ["serve", "--workers", str(arguments.workers), "--port", str(arguments.port), "--ops-port", "0"]
        api = stack.enter_context(
            process([sys.executable, "-m", "lianban", *serve], arguments.port, var_dir, "cases-api")
        )
        worker = stack.enter_context(process([sys.executable, "-m", "lianban", "worker"], 0, var_dir, "cases-worker"))
        meter = Meter({"api": api.pid, "worker": worker.pid}, os.getpid(), var_dir)
        return uvloop.run(_play(settings, clock_file, run, meter))


async def _play(settings: Settings, clock_file: Path, run: Run, meter: Meter) -> int:
    vault = Vault([(key.keyid, key.raw()) for key in settings.field_keys], _index_key(settings))
    people = People(settings, vault)
    wires = Wires(int(settings.public_url.rpartition(":")[2]))
    missed: list[str] = []

    def goal(words: str, reached: bool) -> None:
        print(f"{'reached' if reached else 'MISSED'}: {words}", flush=True)
        if not reached:
            missed.append(words)

    companies = Companies(clock_file.parent / "keys" / "sandbox.json", wires.authority)
    async with _pool(settings.database_url) as database:
        town = Town(wires, people, companies, database, clock_file)
        await town.at(FIRST_DAY, _MORNING)
        crowd = await people.settle(settings.database_url, run.cases)
        first = await _filing(town, wires, crowd[: int(run.rate * run.seconds)], run, meter, goal)
        wires.latencies.clear()
        cases = await _year(town, wires, first, crowd[len(first) :], run, database, meter)
        await _judged(settings.database_url, database, cases, goal)
    wires.close()
    return 1 if missed else 0


async def _filing(
    town: Town, wires: Wires, people: Sequence[Person], run: Run, meter: Meter, goal: Callable[[str, bool], None]
) -> list[Case]:
    """People file when they are due, whatever became of those before them."""
    warm = [await town.file(number, person) for number, person in enumerate(people[:5])]
    wires.latencies.clear()
    draw, at, before = random.Random(1), clock.monotonic() + 1, meter.read()
    works: list[asyncio.Task[Case]] = []
    for number, person in enumerate(people[5:], 5):
        at += draw.expovariate(run.rate)
        await asyncio.sleep(max(0.0, at - clock.monotonic()))
        work = asyncio.get_running_loop().create_task(town.file(number, person, due=at, wait_s=2.0))
        works.append(work)
    cases = warm + [await work for work in works]
    spent = meter.read() - before
    print(f"filing {run.rate:.0f} a second for {run.seconds:.0f} s, delivered meanwhile; {_used(spent)}\n")
    _table(wires, spent.whole / (os.cpu_count() or 1))
    found = sorted(wires.latencies["file"])
    p99_ms = found[int(len(found) * 0.99)] * 1000
    goal(f"filing at {run.rate:.0f}/s: p99 {p99_ms:.0f} ms under {FILING_P99_MS:.0f}", p99_ms < FILING_P99_MS)
    return cases


async def _year(
    town: Town,
    wires: Wires,
    first: list[Case],
    people: Sequence[Person],
    run: Run,
    database: asyncpg.Pool,
    meter: Meter,
) -> list[Case]:
    """Day by day: those of today are filed and arranged, those of yesterday surveyed, the older ones built and connected."""
    days = _workdays(FIRST_DAY, run.days + 12)
    cohorts: list[list[Case]] = [[] for _ in days]
    per_day = -(-len(people) // run.days)
    began, before, jobs = (
        clock.monotonic(),
        meter.read(),
        await database.fetchval("select max(id) from procrastinate_jobs"),
    )
    for number, day in enumerate(days[:-1]):
        await town.at(day, _MORNING)
        todays = people[number * per_day : (number + 1) * per_day]
        numbered = enumerate(todays, len(first) + number * per_day)
        fresh = [await one for one in asyncio.as_completed([town.file(*each) for each in numbered])]
        cohorts[number] = (first if number == 0 else []) + fresh
        await town.morning(days[number + 1], cohorts[number], 1 + int(len(cohorts[number]) * _CREWS_PER_CASE))
        await town.built(_going_on(cohorts, number - 2))
        await town.connected([case for case in _going_on(cohorts, number - 3) if not case.is_late])
        await town.connected([case for case in _going_on(cohorts, number - 9) if case.is_late])
        await town.job("deadlines.watch")
        await town.at(day, _EVENING)
        await town.surveyed(_going_on(cohorts, number - 1))
    await town.at(days[-1] + timedelta(days=3), _MORNING)
    await town.job("deadlines.watch")
    await town.job("notifications.expire")
    took_s, spent = clock.monotonic() - began, meter.read() - before
    cases = [case for cohort in cohorts for case in cohort]
    done = await database.fetchval("select max(id) from procrastinate_jobs") - jobs
    calls = sum(len(found) for found in wires.latencies.values())
    print(
        f"\n{len(cases):,} cases of {len(days)} working days in {took_s:.0f} s: {len(cases) / took_s:.1f} cases/s, {calls / took_s:.0f} calls/s,"
        f" {done / took_s:.0f} jobs/s; {_used(spent)}\n"
    )
    _table(wires, took_s)
    return cases


async def _judged(
    database_url: str, database: asyncpg.Pool, cases: Sequence[Case], goal: Callable[[str, bool], None]
) -> None:
    orders = sum(len(case.orders) for case in cases)
    rows = {
        row["status"]: row["count"]
        for row in await database.fetch("select status, count(*) as count from service_order group by 1")
    }
    over = sum(rows.get(status, 0) for status in _OVER)
    goal(f"{over:,} of {orders:,} orders are archived or withdrawn: {rows}", over == orders == sum(rows.values()))
    alarms = await database.fetchrow(
        "select (select count(*) from deadline where outcome = 'met' and kind = 'promise') as met,"
        " (select count(*) from deadline where outcome = 'missed' and kind = 'promise') as missed,"
        " (select count(*) from supervision) as ordered, (select count(*) from message) as messages,"
        " (select count(*) from survey where status = 'surveyed' and round > 0) as arranged"
    )
    print(", ".join(f"{name} {value:,}" for name, value in (alarms or {}).items()))
    findings = await check.examine(database_url)
    broken = [f"{found.check.name}: {found.violations[:3]}" for found in findings if found.violations]
    goal(f"lianban check: {len(CHECKS)} checks, violated {broken or 0}", not broken)


def _going_on(cohorts: Sequence[list[Case]], number: int) -> list[Case]:
    return [] if number < 0 else [case for case in cohorts[number] if not case.is_withdrawn]


def _workdays(first: date, count: int) -> list[date]:
    calendar = Calendar(load_city("ezhou").schedules)
    days = (first + timedelta(days=n) for n in range(3 * count))
    return [day for day in days if calendar.is_workday(day)][:count]


def _table(wires: Wires, took_s: float) -> None:
    print("| verb | calls | a second | p50 ms | p99 ms | worst ms |\n| --- | --- | --- | --- | --- | --- |")
    for kind, latencies in sorted(wires.latencies.items()):
        found = sorted(latency * 1000 for latency in latencies)
        p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
        print(f"| {kind} | {len(found)} | {len(found) / took_s:.1f} | {p50:.1f} | {p99:.1f} | {found[-1]:.0f} |")
    print(flush=True)


def _used(spent: Reading) -> str:
    took_s = spent.whole / (os.cpu_count() or 1)
    servers = sum(spent.servers.values())  # children of this process, as the sandbox is
    shares = {
        **spent.servers,
        "database": spent.postgres,
        "load and sandbox": spent.load - servers,
        "other": spent.other + servers,
    }
    return "processors: " + ", ".join(f"{name} {seconds / took_s:.2f}" for name, seconds in shares.items())


def _index_key(settings: Settings) -> bytes:
    import base64

    return base64.b64decode(settings.blind_index_key)


@asynccontextmanager
async def _pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool:
        yield pool


async def _emptied(database_url: str) -> None:
    """As if nobody had ever applied."""
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "truncate reconciliation_run, person, organization, survey_slot, deadline, fee_claim, journal, event, inbox, idempotent_answer, message, job_run,"
            " audit, procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers cascade"
        )
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
