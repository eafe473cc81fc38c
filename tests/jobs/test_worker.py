"""The worker told to stop: at any moment it stops, and what it has begun is done."""

import asyncio

from core.database import fetch
from jobs import worker
from lianban.app import ended, running_worker
from tests.harness.spine import Spine


async def test_told_to_stop_at_any_moment_of_its_start_it_stops(spine: Spine) -> None:
    for turns in (0, 2, 5, 10, 20, 40, 80, 160):
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(spine.services, stop))
        for _ in range(turns):
            await asyncio.sleep(0)
        stop.set()
        async with asyncio.timeout(15):
            await working
        assert await fetch("select from procrastinate_workers") == [], turns


async def test_left_at_once_it_is_gone_from_the_list_of_workers(spine: Spine) -> None:
    async with asyncio.timeout(15), running_worker(spine.services):
        pass
    assert await fetch("select from procrastinate_workers") == []


async def test_a_task_that_loses_its_first_cancellation_is_cancelled_again() -> None:
    lost = asyncio.Event()

    async def forgets() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if lost.is_set():
                    raise
                lost.set()

    task = asyncio.create_task(forgets())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await ended(task)
    assert task.cancelled()
