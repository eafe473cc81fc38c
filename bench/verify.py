"""After a run: were the answers right, and was everything written that was answered, and nothing else?"""

import base64
import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench.load import Requests
from bench.seed import HISTORY, MONTHS
from core.crypto import Vault
from core.settings import Settings

# Each payment pays two bills; what a run of W and N leaves behind, per answered request, beside the history.
_WRITTEN = {
    "W": {
        "payment": 1, "payment_part": 1, "payment_line": 2, "claim": 2, "idempotent_answer": 1, "journal": 1,
        "procrastinate_jobs where task_name = 'payments.watch'": 1,
    },
    "N": {"inbox": 1, "procrastinate_jobs where task_name = 'inbox.process'": 1},
}  # fmt: skip


_ENDS = """
(select id, key, content from inbox where processed_at is null order by id limit 3)
union all (select id, key, content from inbox where processed_at is null order by id desc limit 3)
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer that was kept: to which request of which workload, by which server."""

    server: str
    workload: str
    number: int
    body: str


async def verify(
    settings: Settings, ports: dict[str, int], good: dict[str, int], samples: Sequence[Sample], requests: Requests
) -> list[str]:
    """What is wrong, in words; nothing, when all is right."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        wrong = await _rows(connection, good)
        wrong += await _payments(connection, [sample for sample in samples if sample.workload == "W"])
        wrong += await _sealed(connection, settings)
    finally:
        await connection.close()
    wrong += _reads([sample for sample in samples if sample.workload == "R"], ports, requests)
    wrong += _repeated([sample for sample in samples if sample.workload == "W"], ports, requests)
    return wrong


async def _rows(connection: Any, good: dict[str, int]) -> list[str]:
    wrong = []
    for workload, tables in _WRITTEN.items():
        for table, each in tables.items():
            before = 0 if "jobs" in table else HISTORY * each
            found = await connection.fetchval(f"select count(*) from {table}") - before
            if found != good[workload] * each:
                wrong.append(f"{table}: {found} rows for {good[workload]} answers of {workload}")
    return wrong


async def _payments(connection: Any, samples: Sequence[Sample]) -> list[str]:
    """The answers tell what is written."""
    wrong = []
    for sample in samples:
        said = json.loads(sample.body)
        row = await connection.fetchrow(
            "select p.total_fen, (select sum(amount_fen) from payment_line l where l.payment_id = p.id) as lines,"
            " (select count(*) from claim c where c.payment_id = p.id and c.freed_at is null) as claims from payment p where p.id = $1::text::uuid",
            said["payment_id"],
        )
        told = (
            said["total_fen"],
            sum(bill["amount_fen"] for part in said["parts"] for bill in part["bills"]),
            len(said["parts"][0]["bills"]),
        )
        if row is None or tuple(row) != told:
            wrong.append(f"{sample.server}: payment {said['payment_id']} is {row and tuple(row)}, told {told}")
    return wrong


async def _sealed(connection: Any, settings: Settings) -> list[str]:
    """Our vault opens what both servers have sealed."""
    keys = [(key.keyid, key.raw()) for key in settings.field_keys]
    vault = Vault(keys, base64.b64decode(settings.blind_index_key))
    for row in await connection.fetch(_ENDS):
        if json.loads(vault.open_bytes(row["content"], "inbox.content", row["id"]))["id"] != row["key"]:
            return [f"inbox row {row['id']} does not hold its notice"]
    return []


def _reads(samples: Sequence[Sample], ports: dict[str, int], requests: Requests) -> list[str]:
    """Both servers answer the same read with the same bytes, twelve bills."""
    wrong = []
    for sample in samples:
        bodies = {name: _ask(port, requests.make("R", sample.number, 1)[0])[1] for name, port in ports.items()}
        if len({sample.body, *bodies.values()}) != 1 or len(json.loads(sample.body)["bills"]) != MONTHS:
            wrong.append(f"read {sample.number}: {sample.body[:200]} / {bodies}")
    return wrong[:3]


def _repeated(samples: Sequence[Sample], ports: dict[str, int], requests: Requests) -> list[str]:
    """The same key again, at either server, gets the same answer."""
    wrong = []
    for sample in samples:
        for name, port in ports.items():
            status, body = _ask(port, requests.make("W", sample.number, 1)[0])
            if (status, body) != (201, sample.body):
                wrong.append(f"{name}: payment request {sample.number} again: {status} {body[:200]}")
    return wrong[:3]


def _ask(port: int, request: bytes) -> tuple[int, str]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, dict(line.split(": ", 1) for line in lines))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
