"""The public guide to connections: days, costs and clauses, made from the rules that run the cases. Open to anybody."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output
from core import clock
from domain.guides.connection import SERVICES, Asked, Cost, ServiceGuide, Term

_CACHED = {"Cache-Control": "public, max-age=300"}


class GuideQuery(Input, frozen=True):
    """What is known of the case; what is left out shows every class of it."""

    service: Literal["water", "power", "gas", "network"] | None = None
    distance_m: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    kw: Annotated[str, Meta(pattern=r"\A(?:0|[1-9][0-9]{0,5})(?:\.[0-9]{1,3})?\Z")] | None = None
    applicant: Literal["person", "enterprise"] | None = None
    pushed: bool = False


class TermView(Output, frozen=True):
    """How long a connection takes. `days` null: the company commits itself after the survey."""

    code: str
    up_to_m: int | None
    days: int | None
    words: str
    clause: str


class CostView(Output, frozen=True):
    """Who bears the cost outside the red line. `applicant_fen` null: the plan does not say."""

    code: str
    up_to_kw: str | None
    bearer: str
    applicant_fen: int | None
    words: str
    note: str | None
    doubt: str | None
    clause: str


class ChargeView(Output, frozen=True):
    """One charge of the published list, inside the red line."""

    code: str
    company: str
    name: str
    unit: str
    price_fen: int
    clause: str


class PaperView(Output, frozen=True):
    """A paper that is asked for; `conditional`: only in some cases, which the application form finds out."""

    code: str
    name: str
    hint: str | None
    conditional: bool
    deferrable: bool
    waived_by: list[str]
    clause: str


class ServiceGuideView(Output, frozen=True):
    """One service's part of the guide."""

    service: str
    companies: list[str]
    terms: list[TermView]
    costs: list[CostView]
    charges: list[ChargeView]
    papers: list[PaperView]


class ConnectionGuide(Output, frozen=True):
    """The guide of a city, service by service."""

    city: str
    services: list[ServiceGuideView]


async def show_connection(call: Call) -> Answer:
    query: GuideQuery = call.query
    asked = Asked(
        (query.service,) if query.service else SERVICES,
        query.distance_m,
        Decimal(query.kw) if query.kw else None,
        query.pushed,
        query.applicant,
    )
    found = call.services.guides.connection(asked, clock.today())
    return Answer(ConnectionGuide(call.services.city.name, [_view(part) for part in found]), headers=_CACHED)


def _view(part: ServiceGuide) -> ServiceGuideView:
    return ServiceGuideView(
        part.service,
        [company.name for company in part.companies],
        [_term(term) for term in part.terms],
        [_cost(cost) for cost in part.costs],
        [
            ChargeView(each.code, each.company, each.name, each.unit, each.price_fen, each.clause)
            for each in part.charges
        ],
        [
            PaperView(
                each.code, each.name, each.hint, each.conditional, each.deferrable, list(each.waived_by), each.clause
            )
            for each in part.papers
        ],
    )


def _term(term: Term) -> TermView:
    return TermView(*term)


def _cost(cost: Cost) -> CostView:
    return CostView(*cost)
