"""The public-service companies (公共服务企业) that have joined: their rules, their gateway, their merchant number."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cities.schema import Company
from core.errors import LianbanError
from domain.companies.filed import FiledCompany
from gateways.companies import CompanyGateway


class CompanyNotJoined(LianbanError):
    """No such company, or not connected today. data: ``company``."""

    code = "company_not_joined"


@dataclass(frozen=True, slots=True)
class JoinedCompany:
    """A company that can be asked, or whose files answer for it. `merchants` are its own numbers by payment provider: the platform holds no money."""

    rules: Company
    gateway: CompanyGateway | FiledCompany
    merchants: Mapping[str, str]

    @property
    def code(self) -> str:
        """The company's code in the city pack."""
        return self.rules.code


class Companies:
    """The joined companies by code."""

    def __init__(self, joined: Mapping[str, JoinedCompany]) -> None:
        self._joined = dict(joined)

    def __iter__(self) -> Iterator[JoinedCompany]:
        return iter(self._joined.values())

    def get(self, code: str) -> JoinedCompany:
        """The company.

        Raises:
            CompanyNotJoined: unknown or not connected.
        """
        found = self._joined.get(code)
        if found is None:
            raise CompanyNotJoined(company=code)
        return found
