"""The shapes of ``promises.toml``: how long a connection may take, how its days are counted, what stops the count, who is warned when.

鄂州工改办〔2023〕11号 says three sentences about time; everything it leaves open is said here, by the city, with a source of its own.
"""

from collections.abc import Iterator
from datetime import date, time, timedelta
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from cities.shapes import Code, Duration, Rule, Service, Shape, Text, TimeOfDay, Title, in_force

PauseReason = Literal["correction", "permit", "applicant", "force_majeure"]
PAUSE_REASONS: tuple[PauseReason, ...] = ("correction", "permit", "applicant", "force_majeure")
"""The closed list; a constraint of the database repeats it."""
Node = Literal["accept", "survey", "plan", "confirm", "build", "inspect", "connect"]
Days = Annotated[int, Meta(ge=0, le=365)]


class Span(NamedTuple):
    """Working hours of a day, from and to."""

    begin: time
    end: time


class CountingRule(Rule, frozen=True, kw_only=True):
    """How working days are counted.

    `hours` are the working hours of a day; when the last of them end, the day's business ends, and with the last counted day the
    promise (民法典 203). `first`: the day after acceptance is the first that counts (民法典 201). `off_day`: what is accepted on a day
    off counts as accepted on the next working day. A working day does not count when at least `paused_percent` of its hours lie
    within pauses.
    """

    hours: Annotated[tuple[tuple[TimeOfDay, TimeOfDay], ...], Meta(min_length=1, max_length=4)]
    first: Literal["next_workday"]
    off_day: Literal["next_workday", "as_it_is"]
    paused_percent: Annotated[int, Meta(ge=1, le=100)]


class Band(Shape, frozen=True, kw_only=True):
    """Up to and including `up_to_m` metres from the main: so many working days, `code` is its name."""

    code: Code
    up_to_m: Annotated[int, Meta(ge=1, le=100_000)]
    days: Days


class DistanceRule(Rule, frozen=True, kw_only=True):
    """Days by distance to the service's main, nearest first."""

    bands: Annotated[tuple[Band, ...], Meta(min_length=1, max_length=10)]


class CommitmentRule(Rule, frozen=True, kw_only=True):
    """Beyond the last band the company commits itself to days, at most `most_days`, within `within_days` working days of the survey,
    with a reason and the approval of a supervisor."""

    within_days: Annotated[int, Meta(ge=1, le=10)]
    most_days: Annotated[int, Meta(ge=1, le=365)]


class PushRule(Rule, frozen=True, kw_only=True):
    """A project pushed by the construction platform, its main laid beforehand: so many working days, 0 is the same day.

    `services`: for which the policy says so.
    """

    code: Code
    days: Days
    services: Annotated[tuple[Service, ...], Meta(min_length=1)]


class PauseRule(Rule, frozen=True, kw_only=True):
    """One reason for which a promise may stand still: for at most `cap` at once (None: no limit), and so often without a supervisor."""

    reason: PauseReason
    name: Title
    cap: Duration | None = None
    times: Annotated[int, Meta(ge=0, le=20)]
    """How often within one promise; more needs a supervisor. 0: always needs one."""


class ExtensionRule(Rule, frozen=True, kw_only=True):
    """How often a promise may be made longer, and by how many working days at most."""

    times: Annotated[int, Meta(ge=0, le=3)]
    most_days: Annotated[int, Meta(ge=1, le=90)]


class NodeRule(Rule, frozen=True, kw_only=True):
    """The limit of one step of the way. Steps that wait for the applicant have none."""

    node: Node
    name: Title
    days: Annotated[int, Meta(ge=0, le=60)]


class PermitRule(Rule, frozen=True, kw_only=True):
    """A permit that a bureau gives before a company may dig: whose it is, and within how many working days."""

    kind: Code
    name: Title
    unit: Code
    days: Annotated[int, Meta(ge=1, le=60)]


class WarningRule(Rule, frozen=True, kw_only=True):
    """When a promise turns yellow. Red is when it is over.

    Yellow: at most `share_percent` of the working time is left, or `days` working days; for promises of at most `short_days` days
    `short_hours` working hours instead.
    """

    share_percent: Annotated[int, Meta(ge=1, le=90)]
    days: Annotated[int, Meta(ge=0, le=10)]
    short_days: Annotated[int, Meta(ge=0, le=10)]
    short_hours: Annotated[int, Meta(ge=1, le=24)]


class EscalationRule(Rule, frozen=True, kw_only=True):
    """How silence climbs, in working hours and days.

    Yellow is told to who handles it; unanswered after `leader_hours` to his leader. Red is told to both and to the district's bureau,
    which has a supervision order (督办) in its name at once; the company replies within `reply_days` working days, else it climbs to
    `city_unit`, which also has those of no district. `watch` is how long the job that does this may be silent itself before that is an alarm.
    """

    leader_hours: Annotated[int, Meta(ge=1, le=40)]
    reply_days: Annotated[int, Meta(ge=1, le=10)]
    city_unit: Code
    watch: Duration

    @property
    def leader_after(self) -> timedelta:
        return timedelta(hours=self.leader_hours)


class PromiseWords(Shape, frozen=True, kw_only=True):
    """What people read about a promise and about each of its days. Placeholders: ``{days}``, ``{within}``, ``{most}``, ``{name}``."""

    promised: Text
    same_day: Text
    committed: Text
    workday: Text
    make_up: Text
    weekend: Text
    holiday: Text
    accepted: Text
    off_accepted: Text
    after_hours: Text
    paused: Text


class Promise(NamedTuple):
    """How many days are promised, the code of the rule that says so, and the clause it stands on."""

    days: int
    basis: str
    clause: str


class PromisesFile(Shape, frozen=True, kw_only=True):
    """All of it, each as versions, oldest first; pauses and nodes have versions by reason and by node."""

    words: PromiseWords
    counting: tuple[CountingRule, ...]
    distance: tuple[DistanceRule, ...]
    commitment: tuple[CommitmentRule, ...]
    push: tuple[PushRule, ...]
    pause: tuple[PauseRule, ...]
    extension: tuple[ExtensionRule, ...]
    node: tuple[NodeRule, ...] = ()
    permit: tuple[PermitRule, ...] = ()
    warning: tuple[WarningRule, ...]
    escalation: tuple[EscalationRule, ...]

    def by_distance(self, distance_m: int, on: date, *, main_laid: bool = False) -> Promise | None:
        """What is promised on that day for a main so far away; `main_laid`: pushed by the platform, the main laid beforehand.

        None: it is farther than the last band, and the company commits itself. Raises :class:`NotInForce` before the first rule.
        """
        if main_laid:
            pushed = in_force(self.push, on, "push")
            return Promise(pushed.days, pushed.code, pushed.source)
        distance = in_force(self.distance, on, "distance")
        for band in distance.bands:
            if distance_m <= band.up_to_m:
                return Promise(band.days, band.code, distance.source)
        return None

    def is_same_day(self, service: str, on: date) -> bool:
        """True when the rule for mains laid beforehand speaks of this service; raises :class:`NotInForce`."""
        return service in in_force(self.push, on, "push").services

    def bands(self, on: date) -> tuple[tuple[Band, ...], str]:
        """The bands of that day, nearest first, and the clause they stand on; raises :class:`NotInForce`."""
        rule = in_force(self.distance, on, "distance")
        return rule.bands, rule.source

    def commitment_on(self, on: date) -> CommitmentRule:
        """The rule for what lies beyond the last band; raises :class:`NotInForce`."""
        return in_force(self.commitment, on, "commitment")

    def watch(self, on: date) -> timedelta:
        """How long the job that warns may be silent; raises :class:`NotInForce`."""
        return in_force(self.escalation, on, "escalation").watch

    def city_unit(self, on: date) -> str:
        """The unit that co-ordinates; raises :class:`NotInForce`."""
        return in_force(self.escalation, on, "escalation").city_unit

    def timelines(self) -> Iterator[tuple[str, tuple[Rule, ...]]]:
        """Every rule with its versions, by the name it has in the file."""
        for name in ("counting", "distance", "commitment", "push", "extension", "warning", "escalation"):
            yield name, getattr(self, name)
        for reason in PAUSE_REASONS:
            yield f"pause ({reason})", tuple(rule for rule in self.pause if rule.reason == reason)
        for kind in dict.fromkeys(rule.kind for rule in self.permit):
            yield f"permit ({kind})", tuple(rule for rule in self.permit if rule.kind == kind)
        for node in dict.fromkeys(rule.node for rule in self.node):
            yield f"node ({node})", tuple(rule for rule in self.node if rule.node == node)
