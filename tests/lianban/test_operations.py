"""What operators are told is what stands in the database, and sums over processes lose nobody's share."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from core import clock
from core.crypto import Vault
from core.database import fetch, transaction
from core.queue import enqueue
from jobs.backlog import backlog
from lianban import counters
from lianban.operations import LAG_S, SUSPENSE_EVERY_S, Children, Operations
from models import inbox
from payments import ledger

ROOT = Path(__file__).parents[2]
_PROCESS = """
import sys
from prometheus_client import Gauge
from api.metrics import observe
for _ in range(int(sys.argv[1])):
    observe("payments_show", 200, 0.02)
Gauge("level", "x", multiprocess_mode="livesum").set(1)
import os
print(os.getpid())
"""


class Working:
    """A Redis that answers."""

    async def ping(self) -> bool:
        return True


def operations(**how: Any) -> Operations:
    redis: Any = Working()
    return Operations(redis, render=lambda: b"", **how)


async def value(seen: Operations, name: str) -> float:
    """The value of one sample."""
    lines = (await seen.metrics()).decode().splitlines()
    (found,) = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")]
    return float(found)


async def test_the_oldest_due_job_counts_however_it_became_due(database: None) -> None:
    assert await backlog() == (0, 0, 0, 0, 0.0)
    await enqueue("x", at=clock.now() + timedelta(hours=1))
    assert (await backlog())[:4] == (0, 1, 0, 0)
    await enqueue("x")
    await fetch("update procrastinate_events set at = at - interval '30 seconds'")
    assert 30 <= (await backlog()).oldest_due_s < 40
    await enqueue("x", at=clock.now() - timedelta(seconds=50))
    queue = await backlog()
    assert (queue.due, queue.later) == (2, 1)
    assert 50 <= queue.oldest_due_s < 60


async def test_a_queue_that_lags_is_said_but_serving_goes_on(database: None) -> None:
    await enqueue("x", at=clock.now() - timedelta(seconds=LAG_S + 1))
    said = await operations().readiness()
    assert (said.status, said.parts["queue"].ok, said.parts["queue"].due) == ("degraded", False, 1)


@pytest.mark.parametrize(("serving", "status"), [(2, "ok"), (1, "degraded"), (0, "down")])
async def test_without_any_child_it_is_down_and_with_too_few_degraded(
    database: None, serving: int, status: str
) -> None:
    assert (await operations(children=lambda: Children(serving, 2, 0)).readiness()).status == status


async def test_redis_away_is_named_and_no_more(database: None) -> None:
    away = Operations(Redis.from_url("unix:///nowhere/at/all"), render=lambda: b"")
    said = await away.readiness()
    assert said.status == "degraded"
    assert [name for name, part in said.parts.items() if not part.ok] == ["redis"]


async def test_the_inbox_is_as_old_as_its_oldest_unprocessed_item_also_at_the_next_look(database: None) -> None:
    vault = Vault([("k1", bytes(range(32)))], bytes(range(32, 64)))
    seen = operations()
    assert await value(seen, "lianban_inbox_oldest_unprocessed_seconds") == 0
    for number in range(3):
        await inbox.store(vault, "wechat_pay", str(number), "x", b"{}")
    await fetch("update inbox set received_at = received_at - interval '9 minutes' where key = '0'")
    for _ in range(2):
        assert 540 <= await value(seen, "lianban_inbox_oldest_unprocessed_seconds") < 560
        assert await value(seen, "lianban_inbox_unprocessed") == 3
    await fetch("update inbox set processed_at = received_at where key = '0'")
    assert await value(seen, "lianban_inbox_oldest_unprocessed_seconds") < 20


async def test_suspense_is_what_the_ledger_says_and_is_read_once_a_minute(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.open_accounts("wechat_pay", ["m1", "m2"])
    payment, other = uuid4(), uuid4()
    async with transaction():
        await ledger.book("received", "part", payment, provider="wechat_pay", merchant="m1", amount_fen=4199)
        await ledger.book("received", "part", other, provider="wechat_pay", merchant="m2", amount_fen=1)
    async with transaction():
        await ledger.book("posted", "part", payment, provider="wechat_pay", merchant="m1", amount_fen=4000)
    seen = operations()
    name = 'lianban_suspense_fen{provider="wechat_pay"}'
    assert await value(seen, name) == 200
    async with transaction():
        await ledger.book("refunded", "part", other, provider="wechat_pay", merchant="m2", amount_fen=1)
    assert await value(seen, name) == 200
    later = clock.monotonic() + SUSPENSE_EVERY_S + 1
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    assert await value(seen, name) == 199


async def test_what_cannot_be_read_is_left_out_and_named(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> dict[str, int]:
        raise OSError

    monkeypatch.setattr(ledger, "suspense", broken)
    seen = operations()
    for _ in range(2):
        assert b"lianban_suspense_fen" not in await seen.metrics()
        assert await value(seen, 'lianban_up{part="ledger"}') == 0
        assert await value(seen, 'lianban_up{part="queue"}') == 1


def test_the_counters_of_the_dead_are_kept_in_one_file_and_their_gauges_end(tmp_path: Path) -> None:
    living, *dead = [_counted(tmp_path, times) for times in (1, 2, 4)]
    assert _sample(tmp_path, "level") == 3
    for process in dead:
        counters.adopt(tmp_path, process)
        counters.adopt(tmp_path, process)
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith("counter")} == {
        f"counter_{living}.db", "counter_0.db",
    }  # fmt: skip
    assert _sample(tmp_path, 'lianban_requests_total{operation="payments_show",status="200"}') == 7
    assert _sample(tmp_path, 'lianban_request_seconds_bucket{le="0.025",operation="payments_show"}') == 7
    assert _sample(tmp_path, "level") == 1


def test_a_file_cut_off_in_the_middle_costs_its_own_share_only(tmp_path: Path) -> None:
    whole, cut = _counted(tmp_path, 1), _counted(tmp_path, 2)
    (tmp_path / f"counter_{cut}.db").write_bytes(b"\xff\xff\x00\x00" + b"\xff" * 60)
    counters.adopt(tmp_path, cut)
    counters.adopt(tmp_path, whole)
    assert _sample(tmp_path, 'lianban_requests_total{operation="payments_show",status="200"}') == 1


def _counted(folder: Path, times: int) -> int:
    """A process that counts so many requests and ends; its number."""
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(folder), "PATH": ""}
    command = [sys.executable, "-c", _PROCESS, str(times)]
    return int(subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environ).stdout)


def _sample(folder: Path, name: str) -> float:
    lines = counters.render(folder).decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))
