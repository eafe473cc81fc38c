"""The shapes of ``applications.toml``: how long drafts and codes live, why a company may refuse, and the notices of privacy by version."""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from cities.checks import check_days, unique
from cities.companies import Company
from cities.errors import CityPackInvalid
from cities.shapes import Code, Duration, Rule, Shape, Text, Title, in_force

Stage = Literal["acceptance", "survey"]


class ApplicationRule(Rule, frozen=True, kw_only=True):
    """How long things of an application live.

    A draft is kept for `draft_life` after it was last saved. A correction is answered within `correction_days` days, else the order is
    withdrawn by itself. What is not a company's own is handed back within `return_days` working days. The progress code takes
    `progress_tries` within `progress_window` and dies `progress_life` after the end.
    """

    draft_life: Duration
    most_drafts: Annotated[int, Meta(ge=1, le=100)]
    correction_days: Annotated[int, Meta(ge=1, le=180)]
    return_days: Annotated[int, Meta(ge=1, le=10)]
    progress_tries: Annotated[int, Meta(ge=1, le=20)]
    progress_window: Duration
    progress_life: Duration


class PushRule(Rule, frozen=True, kw_only=True):
    """How the construction platform is dealt with.

    A status that it has not taken is returned again after `retry_after`, one wait after the other, the last for ever; `late_after` is
    an alarm. Each night its lists of the last `look_back` are compared with what has come.
    """

    retry_after: Annotated[tuple[Duration, ...], Meta(min_length=1, max_length=10)]
    late_after: Duration
    look_back: Duration


class RefusalReason(Shape, frozen=True, kw_only=True):
    """Why a company may refuse. `not_taken`: it is none of its business (不受理), else it may not (不予受理, 不通过).

    `untrue`: what was handed in is not true, which the office for credit may hold for deceit (弄虚作假).
    """

    code: Code
    name: Title
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)]
    not_taken: bool = False
    untrue: bool = False
    source: Text


class Receiver(Shape, frozen=True, kw_only=True):
    """What one company gets and what for (个人信息保护法 第二十三条): its name and contact stand in ``companies.toml``."""

    gets: Text
    purpose: Text
    way: Text


class Notice(Rule, frozen=True, kw_only=True):
    """A version of the notice of privacy (个人信息保护法 第十七条), by receiving company. A version that was shown is never changed."""

    version: Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}(-[0-9]{1,2})?\Z")]
    title: Title
    paragraphs: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=20)]
    receivers: dict[Code, Receiver]

    def sha256(self, company: Company) -> str:
        """Of the very words shown for this company."""
        receiver = self.receivers[company.code]
        words = (
            self.version, self.title, *self.paragraphs, company.name, company.hotline or "", receiver.gets, receiver.purpose, receiver.way,
        )  # fmt: skip
        return hashlib.sha256("\n".join(words).encode()).hexdigest()


class ApplicationsFile(Shape, frozen=True, kw_only=True):
    rules: Annotated[tuple[ApplicationRule, ...], Meta(min_length=1)]
    pushes: Annotated[tuple[PushRule, ...], Meta(min_length=1)]
    refusals: Annotated[tuple[RefusalReason, ...], Meta(min_length=1)]
    notices: Annotated[tuple[Notice, ...], Meta(min_length=1)]

    def rule(self, on: date) -> ApplicationRule:
        """Raises :class:`cities.errors.NotInForce` for a day before the first."""
        return in_force(self.rules, on, "application")

    def push_rule(self, on: date) -> PushRule:
        """How the construction platform is dealt with on that day; raises :class:`cities.errors.NotInForce`."""
        return in_force(self.pushes, on, "push")

    def notice(self, on: date) -> Notice:
        """The notice to show on that day."""
        return in_force(self.notices, on, "notice")

    def refusal(self, code: str, stage: Stage) -> RefusalReason | None:
        """The reason of that code, if it stands in the list for this stage."""
        return next((one for one in self.refusals if one.code == code and stage in one.stages), None)

    def untrue(self) -> list[str]:
        """The reasons that say that what was handed in is not true."""
        return [one.code for one in self.refusals if one.untrue]


def check_applications(file: str, found: ApplicationsFile, companies: Mapping[str, Company]) -> None:
    """One version a day; every joined company stands in every notice, none that does not exist."""
    check_days(file, "$.rules", found.rules)
    check_days(file, "$.pushes", found.pushes)
    check_days(file, "$.notices", found.notices)
    unique(file, "$.refusals[{}].code", [one.code for one in found.refusals])
    unique(file, "$.notices[{}].version", [one.version for one in found.notices])
    for index, notice in enumerate(found.notices):
        joined = {company.code for company in companies.values() if company.joined}
        if odd := joined ^ set(notice.receivers):
            raise CityPackInvalid(
                file, f"$.notices[{index}].receivers", f"{', '.join(sorted(odd))}: all joined companies and no others"
            )
