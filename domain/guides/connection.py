"""How many days a connection takes, what it costs and which clause says so, before anybody logs in.

Nothing here has rules of its own: it reads those that open the promise of a case and that say who bears its cost.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

from cities.fees import Borne, PublishedCharge
from cities.schema import City, Company, Service

_KIND = "/applicant/kind"
SERVICES: tuple[Service, ...] = ("water", "power", "gas", "network")


class Asked(NamedTuple):
    """What the reader has told about his case; None: not told, so every class is shown."""

    services: Sequence[Service] = SERVICES
    distance_m: int | None = None
    kw: Decimal | None = None
    pushed: bool = False
    applicant: Literal["person", "enterprise"] | None = None


class Term(NamedTuple):
    """How long it takes for mains up to `up_to_m` metres away (None: farther than any band, or whatever the distance).

    `days` None: the company commits itself after the survey.
    """

    code: str
    up_to_m: int | None
    days: int | None
    words: str
    clause: str


class Cost(NamedTuple):
    """What it costs outside the red line, up to `up_to_kw` (None: whatever the power, or more than any band).

    `applicant_fen` None: the plan does not say. `doubt`: how else the clause may be read.
    """

    code: str
    up_to_kw: str | None
    bearer: str
    applicant_fen: int | None
    words: str
    note: str | None
    doubt: str | None
    clause: str


class PaperNeeded(NamedTuple):
    """A paper that is asked for: always, or (`conditional`) only in some cases, which the application form finds out.

    `deferrable`: it may be promised for later (容缺). `waived_by`: what stands for it (免交).
    """

    code: str
    name: str
    hint: str | None
    conditional: bool
    deferrable: bool
    waived_by: tuple[str, ...]
    clause: str


class ServiceGuide(NamedTuple):
    """One service's part. `charges`: what its companies may charge inside the red line, which is nothing when it is empty.

    `papers`: none for a pushed project (0 份，平台录入推送).
    """

    service: Service
    companies: tuple[Company, ...]
    terms: tuple[Term, ...]
    costs: tuple[Cost, ...]
    charges: tuple[PublishedCharge, ...]
    papers: tuple[PaperNeeded, ...]


class Guides:
    """Makes the guide from the rules of one city."""

    def __init__(self, city: City) -> None:
        self._city = city

    def connection(self, asked: Asked, on: date) -> list[ServiceGuide]:
        """The guide of that day for what was asked; raises :class:`NotInForce` for a day before the first rules."""
        return [self._service(service, asked, on) for service in asked.services]

    def _service(self, service: Service, asked: Asked, on: date) -> ServiceGuide:
        companies = tuple(company for company in self._city.companies.values() if company.service == service)
        fees, codes = self._city.fees, {company.code for company in companies}
        shown = fees.bands(service, on)
        if asked.kw is not None and fees.by_kw(service, on):
            shown = [fees.borne(service, asked.kw, on)]
        return ServiceGuide(
            service,
            companies,
            tuple(self._terms(service, asked, on)),
            tuple(self._cost(borne, companies) for borne in shown),
            tuple(charge for charge in fees.published(on) if charge.company in codes),
            () if asked.pushed else tuple(self._papers(service, asked.applicant, on)),
        )

    def _papers(self, service: Service, applicant: str | None, on: date) -> Iterator[PaperNeeded]:
        answers = {"services": [service], **({"applicant": {"kind": applicant}} if applicant else {})}
        for rule in self._city.materials.requirements:
            kinds = rule.when.get(_KIND)
            is_other = kinds is not None and applicant is not None and applicant not in kinds
            if service not in rule.services or not rule.in_force(on) or is_other:
                continue
            paper = self._city.materials.paper(rule.paper)
            assert paper is not None, "the pack was checked"
            is_sure = rule.applies(answers)
            yield PaperNeeded(
                paper.code, paper.name, paper.hint, not is_sure, rule.deferrable, tuple(rule.waived_by), rule.source
            )

    def _terms(self, service: Service, asked: Asked, on: date) -> list[Term]:
        rules = self._city.promises
        if asked.pushed and rules.is_same_day(service, on):
            promise = rules.by_distance(0, on, main_laid=True)
            assert promise is not None
            return [Term(promise.basis, None, promise.days, self._days(promise.days), promise.clause)]
        bands, clause = rules.bands(on)
        commitment = rules.commitment_on(on)
        words = rules.words.committed.format(within=commitment.within_days, most=commitment.most_days)
        every = [
            *(Term(band.code, band.up_to_m, band.days, self._days(band.days), clause) for band in bands),
            Term("committed", None, None, words, commitment.source),
        ]
        if asked.distance_m is None:
            return every
        promise = rules.by_distance(asked.distance_m, on)
        wanted = promise.basis if promise else "committed"
        return [term for term in every if term.code == wanted]

    def _days(self, days: int) -> str:
        words = self._city.promises.words
        return words.promised.format(days=days) if days else words.same_day

    def _cost(self, borne: Borne, companies: Sequence[Company]) -> Cost:
        bearing, words = borne.bearing, self._city.fees.words
        name = companies[0].short_name if len(companies) == 1 else "您选择的运营商"
        text = getattr(words, bearing.bearer).format(company=name)
        up_to_kw = getattr(bearing, "up_to_kw", None)
        return Cost(
            bearing.code, up_to_kw, bearing.bearer, borne.applicant_fen, text, bearing.note, bearing.doubt, borne.clause
        )
