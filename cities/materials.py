"""The shape of ``materials.toml``: which paper for whom and what, what stands for it, what may come later and on which words."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from cities.forms import Answers, Pointer, at
from cities.shapes import Code, Duration, Rule, Service, Shape, Text, Title, in_force

Source = Literal["real_name", "organization_login", "mandate", "former_case", "sharing", "platform_push"]
"""What may stand for a paper: the real name a login proved, the organization's own login, the agent's mandate, the same paper of a case
filed before, a register that shares its data, or the construction platform, which has entered it with the project it pushed."""


class UploadRule(Rule, frozen=True, kw_only=True):
    """How large a material may be, how many a principal uploads in a day, and how long a link to one works."""

    most_bytes: Annotated[int, Meta(ge=100_000, le=20 * 1024 * 1024)]
    most_pixels: Annotated[int, Meta(ge=1_000_000, le=60_000_000)]
    most_pages: Annotated[int, Meta(ge=1, le=200)]
    most_per_day: Annotated[int, Meta(ge=10, le=1000)]
    link_life: Duration


class Paper(Shape, frozen=True, kw_only=True):
    """A kind of paper. `site_bound`: it speaks of one place, so a case before at another place says nothing."""

    code: Code
    name: Title
    hint: Text | None = None
    site_bound: bool = False


class Requirement(Rule, frozen=True, kw_only=True):
    """A paper that is asked for when one of `services` is applied for and every condition of `when` and `present` holds.

    `when`: pointer into the answers → the values that count (of a list: one of them). `present`: fields that are filled in.
    `deferrable`: it may be promised for later (容缺). `waived_by`: what stands for it (免交).
    """

    code: Code
    paper: Code
    services: Annotated[tuple[Service, ...], Meta(min_length=1)]
    when: dict[Pointer, Annotated[tuple[str | int | bool, ...], Meta(min_length=1)]] = msgspec.field(
        default_factory=dict
    )
    present: tuple[Pointer, ...] = ()
    deferrable: bool
    waived_by: tuple[Source, ...] = ()

    def applies(self, answers: Answers) -> bool:
        """True when these answers ask for the paper."""
        chosen = answers.get("services")
        if not isinstance(chosen, list) or not set(self.services) & {name for name in chosen if isinstance(name, str)}:
            return False
        return all(at(answers, pointer) is not None for pointer in self.present) and all(
            _is_among(at(answers, pointer), values) for pointer, values in self.when.items()
        )


class ToleranceRule(Rule, frozen=True, kw_only=True):
    """容缺: for how many days a paper may be promised, when the subject is reminded, and the exact words that are signed.

    `statement` holds, in paragraphs, ``{papers}``, ``{due_on}`` and ``{consequence}``, each once.
    """

    longest_days: Annotated[int, Meta(ge=1, le=90)]
    remind_days: Annotated[int, Meta(ge=1, le=30)]
    statement: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=20)]
    consequence: Text

    def words(self, papers: str, due_on: date) -> str:
        """The text to sign, exactly: what is hashed."""
        day = f"{due_on.year}年{due_on.month}月{due_on.day}日"
        return "\n".join(self.statement).format(papers=papers, due_on=day, consequence=self.consequence)


class CreditRule(Rule, frozen=True, kw_only=True):
    """How many working days a subject has to object before a record counts."""

    objection_days: Annotated[int, Meta(ge=1, le=60)]


class MaterialsFile(Shape, frozen=True, kw_only=True):
    """Everything about papers that is the city's to say. `requirements` may have several versions of one code."""

    upload: tuple[UploadRule, ...]
    tolerance: tuple[ToleranceRule, ...]
    credit: tuple[CreditRule, ...]
    papers: tuple[Paper, ...]
    requirements: tuple[Requirement, ...]

    def upload_rule(self, on: date) -> UploadRule:
        """The version of the day; raises :class:`NotInForce`, as the next ones do."""
        return in_force(self.upload, on, "upload")

    def tolerance_rule(self, on: date) -> ToleranceRule:
        """The version of the day."""
        return in_force(self.tolerance, on, "tolerance")

    def credit_rule(self, on: date) -> CreditRule:
        """The version of the day."""
        return in_force(self.credit, on, "credit")

    def paper(self, code: str) -> Paper | None:
        """A kind of paper by its code."""
        return next((paper for paper in self.papers if paper.code == code), None)

    def required(self, answers: Answers, on: date) -> list[Requirement]:
        """The papers these answers ask for on that day, in the order of the file."""
        return [rule for rule in self.requirements if rule.in_force(on) and rule.applies(answers)]


def paper_names(file: MaterialsFile) -> Mapping[str, str]:
    """What people call each kind of paper."""
    return {paper.code: paper.name for paper in file.papers}


def _is_among(value: Any, values: tuple[str | int | bool, ...]) -> bool:
    found = value if isinstance(value, list) else [value]
    return any(type(one) is type(wanted) and one == wanted for one in found for wanted in values)
