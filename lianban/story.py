"""What the stories of ``lianban demo`` share: telling step by step, waiting, and the world they are played in."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from core import clock
from core.settings import Settings
from lianban.phone import CallFailed, Phone

T = TypeVar("T")

_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.2
_SETTLED_S = 0.5


class StoryFailed(Exception):
    """The journey did not end as it should."""


class Teller:
    """Prints numbered steps."""

    def __init__(self) -> None:
        self._number = 0

    def step(self, who: str, what: str, *came_back: str) -> None:
        """Who did what, and what really came back, a line each."""
        self._number += 1
        print(f"{self._number:>3}. {who}：{what}", *(f"       ← {line}" for line in came_back), sep="\n", flush=True)


class World(Protocol):
    """Where a story is played: people's devices, and time, which a test passes by itself."""

    settings: Settings

    def device(self) -> Phone:
        """Somebody's phone or browser, with nobody logged in."""
        ...

    async def wait(self) -> None:
        """Let a moment pass before the next look."""
        ...

    async def travel_to(self, moment: datetime) -> None:
        """Let the time until `moment` pass at once, here and outside."""
        ...

    async def go_back_to(self, moment: datetime) -> None:
        """Play what follows in another time, also an earlier one, until :meth:`come_home`."""
        ...

    async def come_home(self) -> None:
        """Back to the time that the first :meth:`go_back_to` has left."""
        ...

    async def reconcile(self, day: date) -> list[str]:
        """Reconcile a day that is over; the lines that ``lianban reconcile`` prints."""
        ...


class Running:
    """The world of a running ``lianban dev`` with its settings file."""

    def __init__(self, settings: Settings, settings_path: Path, sandbox_url: str) -> None:
        self.settings = settings
        self._path = settings_path
        self._sandbox_url = sandbox_url
        self._home_s: float | None = None

    def device(self) -> Phone:
        """Somebody's phone or browser, with nobody logged in."""
        return Phone(self.settings.public_url, self._sandbox_url, self.settings.wechat.appid)

    async def wait(self) -> None:
        """Let a fifth of a second pass."""
        await asyncio.sleep(_LOOK_EVERY_S)

    async def travel_to(self, moment: datetime) -> None:
        """Move the clock that all of dev follows; only forward: what has happened stays in the past.

        Raises:
            StoryFailed: the running system follows no clock.
        """
        self._show(_offset_s() + max(0.0, (moment - clock.now()).total_seconds()))
        await self._settle()

    async def go_back_to(self, moment: datetime) -> None:
        """Move the clock to an earlier time. What other people have is of a later one meanwhile, which hurts nobody in dev.

        Raises:
            StoryFailed: the running system follows no clock.
        """
        if self._home_s is None:
            self._home_s = _offset_s()
        self._show(_offset_s() + (moment - clock.now()).total_seconds())
        await self._settle()

    async def come_home(self) -> None:
        """Take the offset again that was there before."""
        if self._home_s is not None:
            self._show(self._home_s)
            self._home_s = None
            await self._settle()

    async def _settle(self) -> None:
        """API, worker and sandbox look at the clock at each question; what hangs on a leap is begun within a second."""
        await asyncio.sleep(_SETTLED_S)

    def _show(self, offset_s: float) -> None:
        if self.settings.clock_file is None:
            raise StoryFailed("这个系统的时钟不能拨")
        path = Path(self.settings.clock_file)
        whole = path.with_name(f"{path.name}.new")
        whole.write_text(f"{offset_s:.3f}")
        os.replace(whole, path)

    async def reconcile(self, day: date) -> list[str]:
        """Run ``lianban reconcile`` as the operator does."""
        command = [sys.executable, "-m", "lianban", "reconcile", day.isoformat()]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "LIANBAN_SETTINGS": str(self._path.absolute())},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, complained = await process.communicate()
        lines = printed.decode().splitlines()
        if not lines:
            raise StoryFailed(f"对账没有结果：{complained.decode().strip()}")
        return lines


async def until(world: World, look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Look until there is something to see; what it is.

    Raises:
        StoryFailed: nothing within a minute; `what` says what has not happened.
    """
    end = clock.monotonic() + _PATIENCE_S
    while clock.monotonic() < end:
        seen = await look()
        if seen:
            return seen
        await world.wait()
    raise StoryFailed(what)


async def refused(device: Phone, method: str, path: str, body: Any = None, *, key: str | None = None) -> str:
    """A call that must be refused as designed: status, title and code.

    Raises:
        StoryFailed: it was not refused.
    """
    try:
        await device.call(method, path, body, key=key)
    except CallFailed as error:
        return f"{error.status} {error.problem.get('title', '')}（{error.problem.get('code', '')}）"
    raise StoryFailed(f"{path} 应当被拒绝")


def _offset_s() -> float:
    return clock.timestamp() - clock.to_real(clock.now()).timestamp()


def at(moment: str) -> str:
    """A time of the API as people in Ezhou read it."""
    return f"{datetime.fromisoformat(moment).astimezone(clock.SHANGHAI):%H:%M:%S}"


def yuan(fen: int | None) -> str:
    """An amount in yuan; what is unknown is said to be."""
    return "未知" if fen is None else f"{fen // 100}.{fen % 100:02}元"
