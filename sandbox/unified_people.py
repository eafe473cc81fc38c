"""Who the unified identity knows, the doors at which they log in, and the codes, tickets and tokens it has given out."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox.context import Context, ControlError

COUNTERPART: Final = "unified_identity"
CODE_LIFE_S: Final = 120.0
TOKEN_LIFE_S: Final = 600.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS unified_person (person_id TEXT PRIMARY KEY, facts TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS unified_code (
    code TEXT PRIMARY KEY, source TEXT NOT NULL, person_id TEXT NOT NULL, credit_code TEXT, asked TEXT NOT NULL,
    issued_at REAL NOT NULL, used INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS unified_token (
    token TEXT PRIMARY KEY, source TEXT NOT NULL, person_id TEXT NOT NULL, credit_code TEXT, issued_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS unified_nonce (source TEXT NOT NULL, nonce TEXT NOT NULL, PRIMARY KEY (source, nonce));
"""
_MEMBERS: Final = {"name", "id_number", "phone", "is_real_name", "organizations"}


@dataclass(frozen=True, slots=True)
class Door:
    """One door: its protocol, the relying party's number and secret, and where it may send browsers back to."""

    code: str
    name: str
    protocol: str
    issuer: str
    client_id: str
    secret: str
    callback_url: str
    private_key: str

    def key(self) -> Ed25519PrivateKey:
        """What its identity tokens are signed with."""
        key = load_pem_private_key(self.private_key.encode(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"door {self.code}: not an Ed25519 key")
        return key


class Doors:
    """The doors by code, and the people who come to them."""

    def __init__(self, context: Context) -> None:
        config = context.config[COUNTERPART]
        self.doors = {item["code"]: Door(**item) for item in config["sources"]}
        self._state = context.state
        self._clock = context.clock
        self._demo: list[dict[str, Any]] = config["people"]
        self._state.define(_SCHEMA)
        context.on_reset(self._load)
        if self._state.one("SELECT 1 FROM unified_person LIMIT 1") is None:
            self._load()

    def door(self, code: str) -> Door:
        """The door of this code. Raises ControlError."""
        if code not in self.doors:
            raise ControlError("no such source", 404)
        return self.doors[code]

    def people(self) -> list[dict[str, Any]]:
        """Everybody, the oldest entry first: ``{person_id, name, id_number, phone, is_real_name, organizations}``."""
        rows = self._state.all("SELECT person_id FROM unified_person ORDER BY at, person_id")
        return [self.person(row["person_id"]) for row in rows]

    def person(self, person_id: str) -> dict[str, Any]:
        """One of them. Raises ControlError."""
        row = self._state.one("SELECT facts FROM unified_person WHERE person_id = ?", (person_id,))
        if row is None:
            raise ControlError("no such person", 404)
        return {"person_id": person_id, **json.loads(row["facts"])}

    def put(self, person_id: str | None, facts: dict[str, Any]) -> dict[str, Any]:
        """Somebody new, or changed members of somebody known. Raises ControlError."""
        if unknown := facts.keys() - _MEMBERS:
            raise ControlError(f"unknown {sorted(unknown)}")
        before = self.person(person_id) if person_id else {"is_real_name": True, "organizations": []}
        before.pop("person_id", None)
        person_id = person_id or secrets.token_hex(8)
        text = json.dumps(before | facts, ensure_ascii=False)
        self._state.run(
            "INSERT INTO unified_person VALUES (?, ?, (SELECT count(*) FROM unified_person))"
            " ON CONFLICT (person_id) DO UPDATE SET facts = excluded.facts",
            (person_id, text),
        )
        return self.person(person_id)

    def subject(self, door: Door, person_id: str) -> str:
        """His number at this door: another at each issuer."""
        return hashlib.sha256(f"{door.issuer}|{person_id}".encode()).hexdigest()[:32]

    def organization(self, person_id: str, credit_code: str | None) -> dict[str, Any] | None:
        """The organization he comes for; None when he comes for himself. Raises ControlError when it is not one of his."""
        if credit_code is None:
            return None
        found = [item for item in self.person(person_id)["organizations"] if item["credit_code"] == credit_code]
        if not found:
            raise ControlError("not an organization of this person", 404)
        return found[0]

    def issue(self, door: Door, person_id: str, credit_code: str | None, asked: dict[str, str]) -> str:
        """A code or ticket for one who has just logged in."""
        self.organization(person_id, credit_code)
        code = ("ST-" if door.protocol == "ticket" else "") + secrets.token_urlsafe(24)
        self._state.run(
            "INSERT INTO unified_code (code, source, person_id, credit_code, asked, issued_at) VALUES (?, ?, ?, ?, ?, ?)",
            (code, door.code, person_id, credit_code, json.dumps(asked), self._clock.timestamp()),
        )
        return code

    def spend(self, door: Door, code: str) -> tuple[str, str | None, dict[str, str]] | str:
        """Who is behind a code, for which organization, and what was asked; or why not: ``INVALID``, ``USED``, ``EXPIRED``."""
        row = self._state.one("SELECT * FROM unified_code WHERE code = ? AND source = ?", (code, door.code))
        if row is None:
            return "INVALID"
        if row["used"]:
            return "USED"
        self._state.run("UPDATE unified_code SET used = 1 WHERE code = ?", (code,))
        if abs(self._clock.timestamp() - row["issued_at"]) > CODE_LIFE_S:
            return "EXPIRED"
        return row["person_id"], row["credit_code"], json.loads(row["asked"])

    def give_token(self, door: Door, person_id: str, credit_code: str | None) -> str:
        """An access token for the user info call."""
        token = secrets.token_urlsafe(32)
        values = (token, door.code, person_id, credit_code, self._clock.timestamp())
        self._state.run("INSERT INTO unified_token VALUES (?, ?, ?, ?, ?)", values)
        return token

    def owner_of(self, door: Door, token: str) -> tuple[str, str | None] | None:
        """Whose access token it is, and for which organization; None when it is nobody's, or too old."""
        row = self._state.one("SELECT * FROM unified_token WHERE token = ? AND source = ?", (token, door.code))
        if row is None or abs(self._clock.timestamp() - row["issued_at"]) > TOKEN_LIFE_S:
            return None
        return row["person_id"], row["credit_code"]

    def is_new(self, door: Door, nonce: str) -> bool:
        """True the first time a signed call carries this nonce."""
        return self._state.run("INSERT OR IGNORE INTO unified_nonce VALUES (?, ?)", (door.code, nonce)) == 1

    def _load(self) -> None:
        for facts in self._demo:
            given = {name: value for name, value in facts.items() if name != "person_id"}
            self._state.run(
                "INSERT OR IGNORE INTO unified_person VALUES (?, ?, (SELECT count(*) FROM unified_person))",
                (
                    facts["person_id"],
                    json.dumps({"is_real_name": True, "organizations": [], **given}, ensure_ascii=False),
                ),
            )
