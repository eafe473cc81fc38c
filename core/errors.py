"""The root of all errors we design.

A subclass is named by the fact it states and stands beside the code that raises it::

    LianbanError
    ├── core       SettingsInvalid, DatabaseAway, RateLimited …
    ├── models     IllegalMove, StaleState …
    ├── domain     BillQuoteStale, UtilityAccountNotFound …
    └── payments   ClaimTaken, PaymentNotPayable …

Each has a stable `code`; the Chinese sentence with the next step lives in the catalogue ``api/problems.zh-CN.toml`` under that
code, the HTTP status in ``api/errors.py``. `data` is what the client may be told and needs for its next step; never a name, a
number of a document or an address.
"""

from typing import Any, ClassVar


class LianbanError(Exception):
    """An error with a stable code and facts for the client."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str = "", **data: Any) -> None:
        super().__init__(message or self.code)
        self.data: dict[str, Any] = data


class NotFound(LianbanError):
    """No such object, or not this caller's: the two are never told apart."""

    code = "not_found"
