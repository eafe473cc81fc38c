"""The error codes of docs/company-gateway.md §2 as data; a test compares the two tables."""

from dataclasses import dataclass

from core.outbound import FailureKind


@dataclass(frozen=True, slots=True)
class CompanyCode:
    """What a code means to us. `statuses` are the HTTP statuses it may come with, `alarms` says that a person must look."""

    statuses: frozenset[int]
    kind: FailureKind
    alarms: bool = False


def _code(*statuses: int, kind: FailureKind, alarms: bool = False) -> CompanyCode:
    return CompanyCode(frozenset(statuses), kind, alarms)


_PERMANENT, _TEMPORARY, _TECHNICAL, _UNKNOWN = (
    FailureKind.PERMANENT,
    FailureKind.TEMPORARY,
    FailureKind.TECHNICAL,
    FailureKind.UNKNOWN,
)

NO_SUCH_POSTING = "ES0001"

COMPANY_CODES: dict[str, CompanyCode] = {
    "EQ0001": _code(400, 401, kind=_TECHNICAL, alarms=True),
    "EQ0002": _code(403, kind=_TECHNICAL, alarms=True),
    "EQ0004": _code(404, kind=_PERMANENT),
    "EQ0006": _code(404, kind=_PERMANENT),
    "EQ0007": _code(422, kind=_TEMPORARY),
    "EQ0008": _code(422, kind=_TEMPORARY),
    "EQ0009": _code(422, kind=_PERMANENT),
    "EQ0010": _code(504, kind=_UNKNOWN),
    "EQ0011": _code(500, kind=_UNKNOWN),
    "EQ0012": _code(422, kind=_PERMANENT),
    "EQ0013": _code(422, kind=_PERMANENT),
    "EQ0014": _code(429, kind=_TEMPORARY),
    "EQ0015": _code(422, kind=_PERMANENT),
    "EQ0016": _code(422, kind=_PERMANENT),
    "EB0001": _code(422, kind=_PERMANENT),
    "EP0001": _code(422, kind=_PERMANENT),
    "EP0002": _code(422, kind=_PERMANENT),
    "EP0003": _code(422, kind=_PERMANENT),
    "EP0004": _code(422, kind=_PERMANENT),
    "EP0005": _code(409, kind=_PERMANENT, alarms=True),
    "ES0001": _code(404, kind=_PERMANENT),
    "EF0001": _code(404, kind=_TEMPORARY),
    "EO0001": _code(404, kind=_PERMANENT),
    "EO0002": _code(409, kind=_PERMANENT, alarms=True),
    "EO0003": _code(422, kind=_PERMANENT),
    "EO0004": _code(422, kind=_PERMANENT, alarms=True),
}
