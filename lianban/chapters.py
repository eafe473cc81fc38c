"""What ``STORY=application`` plays, in turn: each part a story of its own, with its own people, in a file of its own."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from lianban.application import application
from lianban.pushed import pushed
from lianban.story import Teller, World


class Chapter(NamedTuple):
    """A part of a story that stands alone."""

    title: str
    play: Callable[[World, Teller], Awaitable[None]]


CONNECTED = Chapter("一家企业报四样，一张表，一次踏勘，按时接通", application)
PUSHED = Chapter("工改平台推送的项目，管线先到，样样是零", pushed)
APPLICATION: tuple[Chapter, ...] = (CONNECTED, PUSHED)


async def application_in_turn(world: World, tell: Teller) -> None:
    """Every part, the steps counted on from one to the next."""
    for chapter in APPLICATION:
        print(f"\n  · {chapter.title}", flush=True)
        try:
            await chapter.play(world, tell)
        finally:
            await world.come_home()
