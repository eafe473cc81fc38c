"""The virus scanner: it says clean or infected; whatever else it says, or does not say, is no verdict."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from core.outbound import MalformedAnswer, NotSent, OutboundError, OutcomeUnknown
from gateways.clamd import Clamd
from sandbox.clamd import EICAR, Scanner

MINUTE = timedelta(minutes=1)


def _client(address: str, timeout: timedelta = MINUTE, most_bytes: int = 5_000_000) -> Clamd:
    return Clamd(address, timeout, most_bytes)


async def test_what_is_clean_is_said_to_be_clean_and_a_virus_is_found_wherever_it_is() -> None:
    async with Scanner() as scanner:
        client = _client(scanner.address)
        contents = [b"paper", b"", b"x" * 300_000, b"x" * 70_000 + EICAR + b"y" * 70_000]
        said = await asyncio.gather(*(client.scan(content) for content in contents))
        assert said == ["clean", "clean", "clean", "infected"]
        assert sorted(scanner.scanned) == sorted(len(content) for content in contents)


async def test_a_unix_socket_serves_as_well(tmp_path: Path) -> None:
    async with Scanner(str(tmp_path / "s")) as scanner:
        assert await _client(scanner.address).scan(EICAR) == "infected"


@pytest.mark.parametrize(
    ("fault", "raised"), [("garbage", MalformedAnswer), ("drop", OutboundError), ("hang", OutcomeUnknown)]
)
async def test_no_verdict_is_not_clean(fault: str, raised: type[OutboundError]) -> None:
    async with Scanner(fault=fault) as scanner:
        with pytest.raises(raised):
            await _client(scanner.address, timedelta(seconds=0.2) if fault == "hang" else MINUTE).scan(b"paper")


async def test_more_than_the_scanner_takes_is_no_verdict_on_either_side() -> None:
    async with Scanner(most_bytes=1000) as scanner:
        with pytest.raises(OutcomeUnknown):
            await _client(scanner.address).scan(b"x" * 400_000)
        with pytest.raises(NotSent, match="too_large"):
            await _client(scanner.address, most_bytes=100).scan(b"x" * 101)
    with pytest.raises(NotSent):
        await _client(scanner.address).scan(b"paper")
