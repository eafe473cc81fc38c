"""The people and companies of :mod:`bench.cases`: persons with their real names, what they answer, and companies that sign what they report."""

import asyncio
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
from PIL import Image

from core import clock, ids
from core.crypto import Vault
from core.settings import Settings
from domain.identity.tokens import TokenKeys
from lianban.compose import AUDIENCE
from sandbox import http_signatures as signatures

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_PERSONS = """
insert into person (id, level, phone, phone_index, phone_proved_at, name, id_number, id_number_index, real_name_source, created_at)
select id, 3, phone, phone_index, $8, name, number, number_index, 'unified_identity', $8
from unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[]) as p (id, phone, phone_index, name, number, number_index)
where $7
"""
_USERS = """
insert into login_user (id, person_id, source, realm, subject, subject_index, created_at)
select id, person, 'ehuiban', 'bench', subject, subject_index, $5
from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[]) as u (id, person, subject, subject_index)
"""

MIXES: Final = (
    (0.6, ("water", "network"), ("telecom_ct",)),
    (0.25, ("water", "power", "gas"), ()),
    (0.15, ("water", "power", "gas", "network"), ("telecom_ct", "telecom_cm")),
)
"""What people ask for: share, services, carriers. The company without an interface is worked at its desk and has no part in this."""

_BLOCKS: dict[str, dict[str, Any]] = {
    "water": {"use": "resident"},
    "power": {
        "business": "new", "use": "business", "voltage": "10kv", "applied_kw": 180, "applied_kva": 200, "supply": "single", "load_class": "third",
        "important": "none", "devices": [{"name": "机床", "quantity": 3, "kw": 30.5}], "distance_m": 420,
    },
    "gas": {"use": "industrial", "devices": [{"name": "锅炉", "quantity": 1}], "ventilated": True, "distance_m": 420},
    "network": {"product": "ftth", "bandwidth_mbps": 300},
}  # fmt: skip


_KEPT_S = 2.0
"""Shorter than the server keeps a connection that says nothing."""


class Person(NamedTuple):
    """Somebody who applies once."""

    id: UUID
    user_id: UUID
    id_number: str
    phone: str


def mix_of(number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Services and carriers of the case of this number: the shares, evenly spread."""
    at = (number * 37 % 100) / 100
    for share, services, carriers in MIXES:
        if at < share:
            return services, carriers
        at -= share
    return MIXES[0][1:]


def answers_of(person: Person, number: int) -> dict[str, Any]:
    """The whole form."""
    services, carriers = mix_of(number)
    blocks = {service: dict(_BLOCKS[service]) for service in services}
    if "network" in blocks:
        blocks["network"] |= {"companies": list(carriers), "primary": carriers[0]}
    return {
        "applicant": {"kind": "person", "name": "张三", "id_number": person.id_number},
        "contact": {"name": "张三", "mobile": person.phone},
        "services": list(services),
        "term": "permanent",
        "site": {"area": "420704001", "address": f"滨湖南路{number}号", "right": "owner"},
        **blocks,
    }


def deed(number: int) -> bytes:
    """The photograph of a paper, another one for each case."""
    made = io.BytesIO()
    Image.new("RGB", (1200, 900), (number % 256, number // 256 % 256, 200)).save(made, "JPEG")
    return made.getvalue()


def companies_of(number: int) -> list[str]:
    """The companies that get a part of this case."""
    services, carriers = mix_of(number)
    return [service for service in services if service != "network"] + list(carriers)


class People:
    """Makes persons and speaks for them: a token of the moment each time, so that whoever signs has just proved who he is."""

    def __init__(self, settings: Settings, vault: Vault) -> None:
        self._keys = TokenKeys([(key.keyid, key.key) for key in settings.token_keys])
        self._vault = vault
        self._issuer = settings.public_url

    async def settle(self, database_url: str, count: int) -> list[Person]:
        """So many new persons with their real names."""
        salt = int(clock.monotonic() * 1000) % 10**8
        people = [
            Person(ids.new_id(), ids.new_id(), _id_number(salt + n), f"139{(salt + n) % 10**8:08}")
            for n in range(count)
        ]
        seal, index = self._vault.seal, self._vault.index
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute(
                _PERSONS,
                [one.id for one in people],
                [seal(one.phone, "person.phone", one.id) for one in people],
                [index("person.phone", one.phone) for one in people],
                [seal("张三", "person.name", one.id) for one in people],
                [seal(one.id_number, "person.id_number", one.id) for one in people],
                [index("person.id_number", one.id_number) for one in people],
                True,
                clock.now(),
            )
            await connection.execute(
                _USERS,
                [one.user_id for one in people],
                [one.id for one in people],
                [seal(str(one.id), "login_user.subject", one.user_id) for one in people],
                [index("login_user.subject", str(one.id)) for one in people],
                clock.now(),
            )
        finally:
            await connection.close()
        return people

    def token(self, person: Person) -> str:
        """An access token of somebody who has just logged in."""
        now = int(clock.timestamp())
        return self._keys.sign(
            {
                "iss": self._issuer, "aud": AUDIENCE, "lvl": 3, "auth_time": now, "iat": now, "exp": now + 600, "sub": str(person.id),
                "uid": str(person.user_id), "sid": str(person.user_id), "jti": str(ids.new_id()),
            }
        )  # fmt: skip


class Companies:
    """The companies' own systems as far as they speak to us: each event signed by its company's key, reports numbered order by order."""

    def __init__(self, sandbox: Path, authority: str) -> None:
        theirs = json.loads(sandbox.read_bytes())["companies"]
        self._keys = {
            one["code"]: signatures.PrivateKey.load(one["private_keys"][0]["keyid"], one["private_keys"][0]["key"])
            for one in (theirs.values() if isinstance(theirs, dict) else theirs)
        }
        self._authority = authority
        self._sequence: Counter[str] = Counter()

    def report(self, company: str, order_id: str, kind: str, **members: Any) -> bytes:
        """The next report of an order, as it goes over the wire."""
        self._sequence[order_id] += 1
        sequence = self._sequence[order_id]
        data = {"order_id": order_id, "sequence": sequence, "at": moment(clock.now()), "report": kind, **members}
        return self.event(company, "order.report", data)

    def event(self, company: str, kind: str, data: Mapping[str, Any]) -> bytes:
        """An event of a company, signed."""
        said = {"event_id": ids.new_id().hex, "type": kind, "at": moment(clock.now()), "data": data}
        body = json.dumps(said, ensure_ascii=False).encode()
        path = f"/callbacks/companies/{company}"
        request = signatures.Request(
            "POST", self._authority, path, [("Content-Type", "application/json")], body, "http"
        )
        added = signatures.sign_request(request, self._keys[company], int(clock.timestamp()), signatures.new_nonce())
        lines = [f"POST {path} HTTP/1.1", f"Host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in (*request.fields, *added)]
        return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body


class Wires:
    """Kept connections to one port, taken from a pool; notes how long each answer took, by its kind."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.latencies: dict[str, list[float]] = defaultdict(list)
        self.authority = f"127.0.0.1:{port}"

    async def call(
        self,
        kind: str,
        method: str,
        path: str,
        token: str,
        body: Any = None,
        *,
        key: str = "",
        due: float | None = None,
    ) -> Any:
        """One call of our API; the decoded answer. `body`: bytes go as they are. `due`: when it should have left (monotonic), None: now.

        Raises:
            Unexpected: the answer is not 2xx.
        """
        is_raw = isinstance(body, bytes)
        content = body if is_raw else b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.authority}", f"Authorization: Bearer {token}"]
        lines += ["Content-Type: application/json"] if content and not is_raw else []
        lines += [f"Idempotency-Key: {key}"] if key else []
        head = "\r\n".join((*lines, f"Content-Length: {len(content)}", "", "")).encode()
        answer = await self.send(kind, head + content, due)
        return json.loads(answer) if answer else None

    async def send(self, kind: str, request: bytes, due: float | None = None) -> bytes:
        """The body of the answer to these bytes; raises :class:`Unexpected`."""
        due = clock.monotonic() if due is None else due
        reader, writer = await self._wire()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = (line.lower() for line in head.split(b"\r\n"))
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        body = await reader.readexactly(length) if length else b""
        self.latencies[kind].append(clock.monotonic() - due)
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self._free.append((clock.monotonic(), reader, writer))
        if not head.startswith((b"HTTP/1.1 20",)):
            status = head.partition(b"\r\n")[0].decode()
            raise Unexpected(f"{kind}: {status} {body.decode(errors='replace')[:300]}")
        return body

    def close(self) -> None:
        """Hang up."""
        for _, _, writer in self._free:
            writer.close()

    async def _wire(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that the server has not hung up meanwhile."""
        while self._free:
            used_at, reader, writer = self._free.pop()
            if clock.monotonic() - used_at < _KEPT_S and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)


class Unexpected(Exception):
    """An answer that the flow does not know."""


def moment(at: datetime) -> str:
    """As the companies' protocol writes a time."""
    return at.astimezone(clock.SHANGHAI).isoformat(timespec="seconds")


def _id_number(number: int) -> str:
    day = f"{1950 + number // 1000 % 50:04}{1 + number // 50000 % 12:02}{1 + number // 600000 % 28:02}"
    digits = f"420704{day}{number % 1000:03}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return digits + "10X98765432"[total % 11]
