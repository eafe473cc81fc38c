"""Patterns for codes that others print: a small language in which no pattern can be slow, loose, or aimed at another host.

A pattern is ``^`` … ``$`` around characters, classes such as ``[0-9]`` or ``[.]``, each at most followed by ``{n}`` or ``{m,n}``, and
brackets with alternatives, which are never repeated. So nothing nests a repetition in a repetition; how many may vary is limited; and
what is left to doubt is measured on hostile texts when the pack is loaded.
"""

import re
import time
from collections.abc import Iterator

from cities.companies import CompaniesFile, Company, QrPattern
from cities.errors import CityPackInvalid

MAX_TEXT = 200
"""No longer text is looked at; the pages of a phone send no longer one."""
MAX_CPU_S = 0.1
"""For all hostile texts together; the allowed language needs a hundredth of it."""
_MAX_REPEAT = 64
_MAX_VARIABLE = 2
_MAX_ALTERNATIVES = 8

_TOKEN = re.compile(
    r"(?P<literal>[0-9A-Za-z:/_=&#%@~,;-])|(?P<set>\[[0-9A-Za-z_.?=&%-]+\])"
    r"|(?P<repeat>\{(?P<least>[0-9]{1,2})(?:,(?P<most>[0-9]{1,2}))?\})"
    r"|(?P<number>\(\?P<number>)|(?P<group>\(\?:)|(?P<close>\))|(?P<or>\|)",
    re.ASCII,
)
_HOST = re.compile(r"\^https?://(?:[a-z0-9-]+\[\.\])+[a-z]{2,}/", re.ASCII)


def check_qr(file: str, found: CompaniesFile) -> None:
    """Every pattern is of the small language, fits its example, and the example's number is one of the company's."""
    for index, company in enumerate(found.companies):
        for position, code in enumerate(company.qr):
            fault = qr_fault(code, company)
            if fault is not None:
                raise CityPackInvalid(file, f"$.companies[{index}].qr[{position}].pattern", fault)


def qr_fault(code: QrPattern, company: Company) -> str | None:
    """Why a pattern may not be used."""
    pattern = code.pattern
    if not (pattern.startswith("^") and pattern.endswith("$") and len(pattern) <= MAX_TEXT):
        return f"a pattern begins with ^, ends with $ and has at most {MAX_TEXT} characters"
    fault = _language_fault(pattern[1:-1])
    if fault is not None:
        return fault
    if "://" in pattern and _HOST.match(pattern) is None:
        return "an address is written out: ^https://host[.]example/…, in small letters"
    number = code.number(code.example)
    if number is None:
        return f"does not fit its own example {code.example!r}"
    if not company.account.fits(number):
        return f"{number} is no account number of {company.code}"
    if code.number(code.example + "\n") is not None:
        return "accepts a newline at its end"
    began = time.thread_time()
    for text in hostile(code.example):
        code.number(text)
    if time.thread_time() - began > MAX_CPU_S:
        return "is too slow"
    return None


def hostile(example: str) -> Iterator[str]:
    """Texts that make a careless pattern slow: the example with each of its characters repeated, and long runs of one character."""
    for index, character in enumerate(example):
        run = character * (MAX_TEXT - len(example))
        yield example[:index] + run + example[index:]
        yield (example[: index + 1] + run + "!")[:MAX_TEXT]
    for character in "0a_A/=&%.\n０é":
        yield character * MAX_TEXT


def _language_fault(inner: str) -> str | None:
    place, depth, numbers, variable, alternatives = 0, 0, 0, 0, 0
    repeatable = False
    while place < len(inner):
        found = _TOKEN.match(inner, place)
        if found is None:
            return f"{inner[place]!r} at {place + 2} is not allowed: say which characters and how many"
        place = found.end()
        kind = found.lastgroup if found.lastgroup not in ("least", "most") else "repeat"
        if kind == "repeat":
            least, most = int(found["least"]), int(found["most"] or found["least"])
            if not repeatable or not least <= most <= _MAX_REPEAT:
                return (
                    f"{found[0]} is not allowed: only a character or a class is repeated, at most {_MAX_REPEAT} times"
                )
            variable += least != most
        repeatable = kind in ("literal", "set")
        numbers += kind == "number"
        alternatives += kind == "or"
        depth += (kind in ("number", "group")) - (kind == "close")
        if depth < 0 or (kind == "or" and depth == 0):
            return "alternatives stand in brackets, and brackets come in pairs"
    if depth or numbers != 1:
        return "has one group (?P<number>…), and brackets come in pairs"
    if variable > _MAX_VARIABLE or alternatives > _MAX_ALTERNATIVES:
        return f"has more than {_MAX_VARIABLE} repetitions of no fixed number or {_MAX_ALTERNATIVES} alternatives"
    return None
