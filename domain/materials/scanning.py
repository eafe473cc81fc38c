"""The port of a virus scanner. Where none is connected, materials are held as unscanned: nobody calls them clean."""

from typing import Literal, Protocol

Verdict = Literal["clean", "infected"]


class Scanner(Protocol):
    """Looks at the bytes of a material."""

    async def scan(self, content: bytes) -> Verdict:
        """Raises :class:`core.outbound.OutboundError` when the scanner does not answer; the job asks again."""
        ...
