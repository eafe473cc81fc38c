"""The shape of ``staff.toml``: the units staff belong to, the roles in them, and how long their logins last.

A role is nothing but its permissions; a permission is a word that rows of the table of routes ask for. What no role here gives, nobody has.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta

from cities.shapes import Code, Duration, Shape, Text, Title

UnitKind = Literal["city", "company", "hall", "bureau"]
Duty = Literal["manage", "work", "audit"]
"""Three duties that one login never joins: making logins, working with them, looking at what was done."""
Permission = Literal[
    "staff.manage",
    "accounts.read",
    "payments.read",
    "unresolved.read",
    "differences.read",
    "differences.resolve",
    "personal.reveal",
    "citizen.act",
    "devices.manage",
    "disclosures.read",
    "orders.read",
    "orders.work",
    "orders.reveal",
    "orders.approve",
    "deadlines.read",
    "warnings.answer",
    "supervisions.reply",
    "supervisions.close",
    "fees.report",
    "credit.decide",
    "permits.ask",
    "permits.read",
    "permits.answer",
    "pushes.work",
    "demand.read",
]


class StaffLimits(Shape, frozen=True, kw_only=True):
    """How logins of staff end, and how many wrong tries lock one for how long."""

    idle: Duration
    life: Duration
    setup: Duration
    """How long a one-time setup code may be used."""
    tries: Annotated[int, Meta(ge=3, le=10)]
    locked_for: Duration
    source: Text


class ActingRule(Shape, frozen=True, kw_only=True):
    """How long a citizen's code may be used at a counter, or his card once it is read, and how long a clerk then acts for him."""

    code_life: Duration
    card_life: Duration
    life: Duration
    source: Text


class StaffUnit(Shape, frozen=True, kw_only=True):
    """Where staff work. `company` of a company's unit; `area` of a hall's or bureau's: the district it serves, or the city for a bureau of its own."""

    code: Code
    kind: UnitKind
    name: Title
    company: Code | None = None
    area: str | None = None


class StaffRole(Shape, frozen=True, kw_only=True):
    """What somebody with this role may do, in which kinds of units, and which roles he gives to others: in his unit, or in `all`."""

    code: Code
    name: Title
    duty: Duty
    units: Annotated[tuple[UnitKind, ...], Meta(min_length=1)]
    permissions: Annotated[tuple[Permission, ...], Meta(min_length=1)]
    grants: tuple[Code, ...] = ()
    reach: Literal["unit", "all"] = "unit"


class StaffFile(Shape, frozen=True, kw_only=True):
    """Everything about staff that is the city's to say."""

    limits: StaffLimits
    acting: ActingRule
    units: tuple[StaffUnit, ...]
    roles: tuple[StaffRole, ...]

    def unit(self, code: str) -> StaffUnit | None:
        """The unit of this code, if there is one."""
        return next((unit for unit in self.units if unit.code == code), None)

    def held(self, unit: StaffUnit, roles: Iterable[str]) -> list[StaffRole]:
        """The roles of these codes that exist in this kind of unit; any other gives nothing."""
        wanted = set(roles)
        return [role for role in self.roles if role.code in wanted and unit.kind in role.units]

    def may_grant(self, granter: StaffUnit, roles: Iterable[str], unit: StaffUnit, role: str) -> bool:
        """True when somebody with `roles` in `granter` may give `role` in `unit`."""
        return bool(self.held(unit, (role,))) and any(
            role in own.grants and (own.reach == "all" or unit.code == granter.code)
            for own in self.held(granter, roles)
        )
