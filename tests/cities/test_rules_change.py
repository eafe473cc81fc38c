"""Every rule of the plan, changed in a copy of the pack: what comes of it changes with it, without a line of the program.

What only shows in the life of a case, through the database, is changed in tests/domain/test_another_city.py. docs/policy-map.md says which clause
each rule stands on.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cities.loader import load, load_city
from cities.schema import City, Service
from core import clock
from core.clock import SHANGHAI
from core.crypto import Vault
from core.errors import LianbanError
from core.workdays import Calendar
from domain.applications.cases import official_of
from domain.deadlines.calendars import Calendars
from domain.deadlines.clocks import Deadlines
from domain.deadlines.counting import Pause, due, yellow_at
from domain.deadlines.supervising import Scope, Supervising
from domain.deadlines.watching import Watch
from domain.guides.connection import Asked, Guides
from domain.materials.tolerances import Tolerances
from models.service_order import ServiceOrder
from tests.cities import packs
from tests.cities.answers import FACTORY, PERSON

CITY = load_city("ezhou")
ON = date(2026, 11, 23)
KEYS = Vault([("k1", bytes(32))], bytes(32))


class Change(NamedTuple):
    """The value at `path` of a file becomes `value`; what `ask` answers of the city was `before` and is `after`."""

    file: str
    path: str
    value: Any
    ask: Callable[[City], Any]
    before: Any
    after: Any

    @property
    def rule(self) -> str:
        """As docs/policy-map.md names it: without the places in lists."""
        return f"{self.file}#{'.'.join(step for step in self.path.split('.') if not step.isdigit())}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def promised(distance_m: int, *, laid: bool = False) -> Callable[[City], Any]:
    """The days promised for a main so far away."""

    def ask(city: City) -> Any:
        promise = city.promises.by_distance(distance_m, ON, main_laid=laid)
        return None if promise is None else promise.days

    return ask


def ends(accepted: str, *pauses: tuple[str, str]) -> Callable[[City], str]:
    """When three working days from that moment are over."""

    def ask(city: City) -> str:
        stops = [Pause("permit", at(begin), at(end)) for begin, end in pauses]
        found = due(city.promises.counting[0], 3, at(accepted), stops, Calendar(city.schedules), at("2026-12-20T10:00"))
        return f"{found.due_at.astimezone(SHANGHAI):%m-%d %H:%M}"

    return ask


def turns_yellow(days: int) -> Callable[[City], str]:
    """When so many days promised on a Monday at ten call for attention."""

    def ask(city: City) -> str:
        counting, accepted = city.promises.counting[0], at("2026-11-23T10:00")
        found = due(counting, days, accepted, (), Calendar(city.schedules), accepted)
        return f"{yellow_at(city.promises.warning[0], counting, found, accepted).astimezone(SHANGHAI):%m-%d %H:%M}"

    return ask


def commits(days: int) -> Callable[[City], bool]:
    """Whether a company may commit itself to so many days beyond the last band."""
    return lambda city: not refused(lambda: Deadlines(city, Calendars(city.schedules)).committed(days, ON))


def told(city: City) -> str:
    """What the guide says to somebody who is far away."""
    (part,) = Guides(city).connection(Asked(("water",), 5000), ON)
    return part.terms[0].words


def bears(service: Service, kw: str | None = None) -> Callable[[City], str]:
    """Who bears the cost outside the red line."""
    return lambda city: city.fees.borne(service, Decimal(kw) if kw else None, ON).bearing.bearer


def asked(code: str, answers: dict[str, Any]) -> Callable[[City], bool]:
    """Whether these answers are asked for the paper."""
    return lambda city: code in [one.code for one in city.materials.required(answers, ON)]


def papers(city: City) -> list[str]:
    """The papers a household is asked for."""
    return [one.paper for one in city.materials.required(PERSON, ON)]


def may_promise(code: str, days: int) -> Callable[[City], bool]:
    """Whether the paper may be promised for the day so far ahead."""

    def ask(city: City) -> bool:
        day, rules = clock.today() + timedelta(days=days), city.materials.requirements
        return not refused(lambda: Tolerances(city, KEYS).statement(rules, [code], day))

    return ask


def signed(city: City) -> str:
    """The words signed for a paper promised."""
    return (
        Tolerances(city, KEYS).statement(city.materials.requirements, ["property"], clock.today() + timedelta(1)).text
    )


def guide_paper(code: str) -> Callable[[City], tuple[str, ...]]:
    """What stands for a paper, as everybody reads it before he logs in."""

    def ask(city: City) -> tuple[str, ...]:
        (part,) = Guides(city).connection(Asked(("water",), applicant="enterprise"), ON)
        return next(paper.waived_by for paper in part.papers if paper.code == code)

    return ask


def refuses(code: str) -> Callable[[City], list[str]]:
    """In which stages a company may refuse for this reason."""
    stages = ("acceptance", "survey")
    return lambda city: [stage for stage in stages if city.applications.refusal(code, stage)]


def code_of(reason: str) -> Callable[[City], int | None]:
    """The official code of an order refused for this reason."""
    return lambda city: official_of(city, ServiceOrder(status="refused", reason=reason))


def consented(city: City) -> bool:
    """Whether a consent given to today's words would be one to these: the hash of the very words."""
    return city.applications.notice(ON).sha256(CITY.company("water")) == AGREED


def may(kind: str, role: str) -> Callable[[City], bool]:
    """Whether the role may co-ordinate (close supervision orders) in the first unit of this kind."""

    def ask(city: City) -> bool:
        unit = next(one for one in city.staff.units if one.kind == kind)
        return any("supervisions.close" in held.permissions for held in city.staff.held(unit, [role]))

    return ask


def grants(granter: str, role: str) -> Callable[[City], bool]:
    """Whether who has the one role may give the other at the water company."""

    def ask(city: City) -> bool:
        unit = city.staff.unit("city" if granter.startswith("platform") else "water")
        water = city.staff.unit("water")
        assert unit is not None
        assert water is not None
        return city.staff.may_grant(unit, [granter], water, role)

    return ask


def sees(code: str) -> Callable[[City], Scope]:
    """Whose promises a unit sees: one company's, one district's, or all."""

    def ask(city: City) -> Scope:
        unit = city.staff.unit(code)
        assert unit is not None
        return Supervising(city, Watch(city, Calendars(city.schedules))).scope(unit)

    return ask


def problems(city: City) -> list[str]:
    """What is wrong with a household's application, in words."""
    return [problem.sentence for problem in city.form("application", ON).problems(PERSON)]


def refused(verb: Callable[[], object]) -> bool:
    try:
        verb()
    except LianbanError:
        return True
    return False


AGREED = CITY.applications.notice(ON).sha256(CITY.company("water"))
WAIVERS = next(rule.waived_by for rule in CITY.materials.requirements if rule.code == "licence")
SUPERVISOR = [role.code for role in CITY.staff.roles].index("supervisor")
P, F, M, A = "promises.toml", "fees.toml", "materials.toml", "applications.toml"
_FORM = "forms/application-1.json"
STATEMENT = ["您看过：{papers}，{due_on}，{consequence}"]
NINE_TO_FOUR = [["09:00", "12:00"], ["13:00", "16:00"]]
TWO_HOURS = ("2026-11-24T08:30", "2026-11-24T10:30")

CHANGES = (
    Change(P, "distance.0.bands.0.up_to_m", 400, promised(420), 3, 5),
    Change(P, "distance.0.bands.1.days", 4, promised(501), 5, 4),
    Change(P, "push.0.days", 1, promised(5000, laid=True), 0, 1),
    Change(P, "push.0.services", ["water"], lambda city: city.promises.is_same_day("gas", ON), True, False),
    Change(P, "commitment.0.within_days", 2, lambda city: told(city)[:9], "踏勘后1个工作日内", "踏勘后2个工作日内"),
    Change(P, "commitment.0.most_days", 20, commits(21), True, False),
    Change(P, "counting.0.hours", NINE_TO_FOUR, ends("2026-11-23T10:00"), "11-26 17:30", "11-26 16:00"),
    Change(P, "counting.0.off_day", "as_it_is", ends("2026-11-21T10:00"), "11-26 17:30", "11-25 17:30"),
    Change(P, "counting.0.paused_percent", 25, ends("2026-11-23T10:00", TWO_HOURS), "11-26 17:30", "11-27 17:30"),
    Change(P, "warning.0.share_percent", 50, turns_yellow(5), "11-27 14:00", "11-26 14:00"),
    Change(P, "warning.0.days", 3, turns_yellow(5), "11-27 14:00", "11-26 08:30"),
    Change(P, "warning.0.short_days", 2, turns_yellow(3), "11-26 11:30", "11-26 08:30"),
    Change(P, "warning.0.short_hours", 2, turns_yellow(3), "11-26 11:30", "11-26 15:30"),
    Change(P, "escalation.0.watch", "10m", lambda city: city.promises.watch(ON).seconds, 1800, 600),
    Change(F, "bearer.3.bands.0.up_to_kw", "200", bears("power", "180"), "government", "company"),
    Change(F, "bearer.3.bands.1.bearer", "company", bears("power", "180"), "government", "company"),
    Change(F, "bearer.3.otherwise.bearer", "government", bears("power", "221"), "by_rule", "government"),
    Change(F, "bearer.0.otherwise.bearer", "government", bears("water"), "company", "government"),
    Change(M, "requirements.0.paper", "property_proof", papers, ["id_card", "property_proof"], ["property_proof"] * 2),
    Change(M, "requirements.0.services", ["gas"], asked("applicant_id", PERSON), True, False),
    Change(M, "requirements.0.when", {"/applicant/kind": ["enterprise"]}, asked("applicant_id", PERSON), True, False),
    Change(M, "requirements.3.present", ["/project"], asked("agent_id", {**FACTORY, "agent": None}), False, True),
    Change(M, "requirements.5.deferrable", False, may_promise("property", 5), True, False),
    Change(M, "requirements.1.waived_by", ["sharing"], guide_paper("business_licence"), WAIVERS, ("sharing",)),
    Change(M, "tolerance.0.longest_days", 10, may_promise("property", 11), True, False),
    Change(M, "tolerance.0.consequence", "不再受理。", lambda city: "不再受理" in signed(city), False, True),
    Change(M, "papers.5.name", "房产证", lambda city: "房产证" in signed(city), False, True),
    Change(M, "tolerance.0.statement", STATEMENT, lambda city: "您看过" in signed(city), False, True),
    Change(A, "refusals.6.stages", ["acceptance"], refuses("cannot_supply"), ["survey"], ["acceptance"]),
    Change(A, "refusals.0.not_taken", False, code_of("outside_area"), 4, 5),
    Change(A, "refusals.2.untrue", False, lambda city: city.applications.untrue(), ["papers_not_true"], []),
    Change(A, "notices.0.version", "2026-01", lambda city: city.applications.notice(ON).version, "2023-03", "2026-01"),
    *(Change(A, f"notices.0.{words}", "另一句话", consented, True, False) for words in ("title", "paragraphs.0")),
    *(
        Change(A, f"notices.0.receivers.water.{words}", "另一句话", consented, True, False)
        for words in ("gets", "purpose", "way")
    ),
    Change(_FORM, "schema.properties.services.maxItems", 1, problems, [], ["要接哪几样最多 1 项"]),
    Change("staff.toml", f"roles.{SUPERVISOR}.permissions", ["orders.read"], may("bureau", "supervisor"), True, False),
    Change("staff.toml", f"roles.{SUPERVISOR}.units", ["city"], may("bureau", "supervisor"), True, False),
    Change("staff.toml", "roles.1.grants", ["reader"], grants("administrator", "handler"), True, False),
    Change("staff.toml", "roles.0.reach", "unit", grants("platform_administrator", "handler"), True, False),
    Change("staff.toml", "units.13.area", "420704", sees("optimization"), Scope(None, None), Scope(None, "420704")),
    Change(
        P,
        "escalation.0.city_unit",
        "approval_420704",
        sees("optimization"),
        Scope(None, None),
        Scope("optimization", None),
    ),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.rule)
def test_a_changed_rule_changes_what_comes_of_it(change: Change, tmp_path: Path) -> None:
    changed = load(packs.change(tmp_path, change.file, packs.put(change.path, change.value)))
    assert (change.ask(CITY), change.ask(changed)) == (change.before, change.after)
