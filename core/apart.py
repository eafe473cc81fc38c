"""Work on several things one after the other, where the failure of one keeps no other waiting."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.database import is_away
from core.log import get_logger

log = get_logger(__name__)


class Apart:
    """One round over several things. What fails unexpectedly is logged under `event` with its names, and the round goes on.

    A database that is away ends the round at once: nothing else could go better.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._first: Exception | None = None

    @contextmanager
    def one(self, **names: str) -> Iterator[None]:
        """The work on one of them, which `names` tell apart."""
        try:
            yield
        except Exception as error:
            if is_away(error):
                raise
            log.error(self._event, error_type=type(error).__name__, exc_info=error, **names)
            self._first = self._first or error

    def end(self) -> None:
        """After the last one: raises the first failure, so that the round counts as failed."""
        if self._first is not None:
            raise self._first
