"""Codes that others printed: a plain account number, a company's own address. Recognised by the city pack, never fetched, never believed.

Such a text only says which number somebody may want to add. It proves nothing, so it shows nothing: no amount, no holder, not even
whether the account exists.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cities.qr_checks import MAX_TEXT
from cities.schema import Company


@dataclass(frozen=True, slots=True)
class Candidate:
    """A company whose pattern fits, and the number in the text."""

    company: str
    number: str

    @property
    def number_masked(self) -> str:
        """Its last four characters."""
        return "*" * max(0, len(self.number) - 4) + self.number[-4:]


def number_in(company: Company, text: str) -> str | None:
    """The account number of `company` in a scanned text; None when the text is none of its codes."""
    if len(text) > MAX_TEXT:
        return None
    found = (code.number(text) for code in company.qr)
    return next((number for number in found if number is not None and company.account.fits(number)), None)


def recognised(companies: Iterable[Company], text: str) -> tuple[Candidate, ...]:
    """Every company one of whose patterns fits, each once.

    In an order that favours nobody: it depends on the number alone, so that the same code shows the same list again.
    """
    found = [Candidate(company.code, number) for company in companies if (number := number_in(company, text))]
    return tuple(sorted(found, key=lambda one: hashlib.sha256(f"{one.number} {one.company}".encode()).digest()))
