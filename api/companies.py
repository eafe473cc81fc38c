"""The companies of the city: what their account numbers and proofs look like. Public, generated from the city pack."""

import random
from collections.abc import Iterable

from api.calls import Answer, Call
from api.texts import Output
from cities.schema import Company

_CHANCE = random.SystemRandom()


class CompanyView(Output, frozen=True):
    """One company. `number_pattern` and `proof_pattern` are anchored regular expressions."""

    code: str
    service: str
    name: str
    short_name: str
    bill_name: str
    hotline: str | None
    joined: bool
    number_label: str
    number_pattern: str
    number_explanation: str
    number_example: str
    number_where: str
    proof_label: str
    proof_pattern: str
    proof_hint: str


class CompanyList(Output, frozen=True):
    """All companies of the city by service; those of one service, which compete, in an order that changes by chance."""

    city: str
    companies: list[CompanyView]


async def list_companies(call: Call) -> Answer:
    city = call.services.city
    return Answer(
        CompanyList(
            city.name,
            [
                CompanyView(
                    company.code,
                    company.service,
                    company.name,
                    company.short_name,
                    company.bill_name,
                    company.hotline,
                    company.joined,
                    company.account.label,
                    company.account.pattern,
                    company.account.explanation,
                    company.account.example,
                    company.account.where,
                    company.proof.label,
                    company.proof.pattern,
                    company.proof.hint,
                )
                for company in neutral_order(city.companies.values())
            ],
        )
    )


def neutral_order(companies: Iterable[Company], chance: random.Random = _CHANCE) -> list[Company]:
    """The services in the order of the pack; within a service by chance, so that no carrier stands first for everybody."""
    by_service: dict[str, list[Company]] = {}
    for company in companies:
        by_service.setdefault(company.service, []).append(company)
    return [company for group in by_service.values() for company in chance.sample(group, len(group))]
