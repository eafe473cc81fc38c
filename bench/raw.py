"""The comparator: the same three duties on Sanic and asyncpg, written by hand for them alone, without a line of ours.

What a good engineer writes for three endpoints: the token checked and remembered, prepared statements (asyncpg keeps them per
connection) on a pool of ten, typed JSON, one plain statement per step and table inside one transaction. Checks, locks, encryption and rows are those
of the product, so that the bench may count and open them alike. R uses the product's single statement: there, only the house differs.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import jwt
import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from prometheus_client import Counter, Histogram
from sanic import HTTPResponse, Request, Sanic

SETTINGS = json.loads(Path(os.environ["LIANBAN_SETTINGS"]).read_bytes())
PAY = SETTINGS["wechat_pay"]
MERCHANT = SETTINGS["companies"]["water"]["sub_mchid"]
TOKEN_KEYS = {key["keyid"]: load_pem_private_key(key["key"].encode(), None) for key in SETTINGS["token_keys"]}
PUBLIC_KEYS = {kid: key.public_key() for kid, key in TOKEN_KEYS.items() if isinstance(key, Ed25519PrivateKey)}
PLATFORM_KEY = load_pem_public_key(PAY["public_key"].encode())
assert isinstance(PLATFORM_KEY, RSAPublicKey)
API_V3 = AESGCM(PAY["api_v3_key"].encode())
FIELD_KEYID = SETTINGS["field_keys"][0]["keyid"].encode()
FIELD = AESGCM(base64.b64decode(SETTINGS["field_keys"][0]["key"]))

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
REQUESTS = Counter("raw_requests_total", "Answered requests", ["operation", "status"])
SECONDS = Histogram("raw_request_seconds", "Time to answer", ["operation"])
REQUEST_ID = re.compile(r"[0-9A-Za-z-]{8,40}")
FRESH_FOR = timedelta(minutes=5)
KEPT = timedelta(hours=72)

app = Sanic("raw", configure_logging=False)
app.config.update(
    ACCESS_LOG=False, REQUEST_MAX_SIZE=65536, REQUEST_TIMEOUT=10, RESPONSE_TIMEOUT=20, KEEP_ALIVE_TIMEOUT=15
)


class Refused(Exception):
    """The answer is this problem."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Caller(msgspec.Struct, frozen=True):
    person_id: UUID
    user_id: UUID
    level: int
    expires_at: float


class PaymentRequest(msgspec.Struct, forbid_unknown_fields=True):
    quote_ids: list[UUID]


class Resource(msgspec.Struct):
    algorithm: str
    ciphertext: str
    nonce: str
    associated_data: str = ""


class Envelope(msgspec.Struct):
    id: str
    event_type: str
    create_time: datetime
    resource: Resource


class Amount(msgspec.Struct):
    total: int
    currency: str


class Trade(msgspec.Struct):
    sp_mchid: str
    sub_mchid: str
    out_trade_no: str
    trade_state: str
    transaction_id: str
    success_time: datetime
    amount: Amount


class Bill(msgspec.Struct):
    bill_id: UUID
    bill_no: str
    period: str
    status: str
    issued_on: date
    due_on: date | None
    principal_fen: int
    late_fee_fen: int
    payable_fen: int
    paid_fen: int
    left_fen: int
    usage: str | None
    unit: str | None
    paid_at: datetime | None


class BillList(msgspec.Struct):
    bills: list[Bill]
    checked_at: datetime | None
    is_fresh: bool
    next_before: UUID | None


Endpoint = Callable[..., Awaitable[HTTPResponse]]


def endpoint(operation: str) -> Callable[[Endpoint], Endpoint]:
    """Request id, metrics, security headers and problems around a handler."""
    seconds = SECONDS.labels(operation)

    def around(handler: Endpoint) -> Endpoint:
        @wraps(handler)
        async def run(request: Request, **path: str) -> HTTPResponse:
            given = request.headers.get("x-request-id", "")
            request_id = given if REQUEST_ID.fullmatch(given) else str(new_id())
            started = time.monotonic()
            try:
                response = await handler(request, **path)
            except Refused as refused:
                body = msgspec.json.encode({"code": refused.code, "status": refused.status, "request_id": request_id})
                response = HTTPResponse(body, refused.status, content_type="application/problem+json")
            response.headers.update(SECURITY_HEADERS)
            response.headers["X-Request-ID"] = request_id
            REQUESTS.labels(operation, str(response.status)).inc()
            seconds.observe(time.monotonic() - started)
            return response

        return run

    return around


@app.get("/v1/utility-accounts/<account_id:str>/bills")
@endpoint("list_bills")
async def list_bills(request: Request, account_id: str) -> HTTPResponse:
    caller = check_access(request, 2)
    try:
        limit = int(request.args.get("limit", "12"))
        rows = await app.ctx.pool.fetch(LAST_BILLS, UUID(account_id), caller.person_id, limit)
    except ValueError:
        raise Refused(400, "request_malformed") from None
    if not rows:
        raise Refused(404, "not_found")
    checked_at = rows[0]["bills_checked_at"]
    bills = [Bill(*list(row.values())[1:]) for row in rows if row["id"] is not None]
    fresh = checked_at is not None and datetime.now(UTC) - checked_at <= FRESH_FOR
    answer = BillList(bills, checked_at, fresh, bills[-1].bill_id if len(bills) == limit else None)
    return HTTPResponse(msgspec.json.encode(answer), content_type="application/json")


@app.post("/v1/payments")
@endpoint("create_payment")
async def create_payment(request: Request) -> HTTPResponse:
    caller = check_access(request, 1)
    key = request.headers.get("idempotency-key")
    if not key or len(key) > 255:
        raise Refused(400, "idempotency_key_missing")
    try:
        asked = msgspec.json.decode(request.body, type=PaymentRequest)
    except msgspec.ValidationError:
        raise Refused(400, "request_malformed") from None
    fingerprint = hashlib.sha256(b"POST /v1/payments\n" + request.body).digest()
    answer_id = hashlib.sha256(f"{caller.person_id}\0payments_create\0{key}".encode()).hexdigest()
    async with app.ctx.pool.acquire() as connection, connection.transaction():
        kept = await kept_answer(connection, answer_id, fingerprint)
        if kept is None:
            kept = await pay(connection, caller, asked.quote_ids[0])
            sealed = seal(kept, "idempotent_answer.body", answer_id)
            await connection.execute(KEEP, answer_id, fingerprint, 201, sealed, datetime.now(UTC))
    return HTTPResponse(kept, 201, content_type="application/json")


async def kept_answer(connection: Any, answer_id: str, fingerprint: bytes) -> bytes | None:
    """The answer kept under this key; takes the key."""
    lock = int.from_bytes(bytes.fromhex(answer_id[:16]), "big", signed=True)
    row = await connection.fetchrow(TAKE_KEY, lock, answer_id)
    if not row["locked"]:
        raise Refused(409, "idempotency_in_flight")
    if row["fingerprint"] is None or row["created_at"] < datetime.now(UTC) - KEPT:
        return None
    if row["fingerprint"] != fingerprint:
        raise Refused(422, "idempotency_key_reused")
    return unseal(row["body"], "idempotent_answer.body", answer_id)


async def pay(connection: Any, caller: Caller, quote_id: UUID) -> bytes:
    """Check and lock what the quote names, then write the payment."""
    quote = await connection.fetchrow(QUOTE, quote_id, caller.person_id)
    if quote is None:
        raise Refused(404, "not_found")
    now = datetime.now(UTC)
    expires_at = min(now + timedelta(minutes=10), quote["expires_at"] - timedelta(seconds=30))
    amounts = {UUID(bill): fen for bill, fen in sorted(msgspec.json.decode(quote["lines"]).items())}
    if expires_at - now < timedelta(minutes=1):
        raise Refused(409, "quote_stale")
    bill_ids, keys = list(amounts), [f"bill:{bill_id}" for bill_id in amounts]
    await connection.execute(LOCK_ACCOUNT, quote["account_id"])
    bills = await connection.fetch(LOCK_BILLS, quote["account_id"], bill_ids)
    if {row["id"]: row["payable_fen"] for row in bills if row["status"] == "open"} != amounts:
        raise Refused(409, "quote_stale")
    claims = await connection.fetchrow(CLAIMS, keys, caller.person_id, now - timedelta(minutes=10))
    if claims["held"]:
        raise Refused(409, "payment_in_progress")
    if claims["lately"] is not None and claims["lately"] >= 3:
        raise Refused(429, "too_many_payments")
    payment_id, part_id, total = new_id(), new_id(), sum(amounts.values())
    line_ids, fens = [new_id() for _ in amounts], list(amounts.values())
    await connection.execute(
        PAYMENT,
        payment_id,
        caller.person_id,
        caller.user_id,
        total,
        "水务集团-水费",
        now,
        expires_at,
    )
    await connection.execute(
        PART, part_id, payment_id, quote["company"], MERCHANT, part_id.hex, total, quote["basis"], quote_id
    )
    await connection.execute(LINES, line_ids, part_id, payment_id, keys, fens)
    await connection.execute(NEW_CLAIMS, line_ids, payment_id, keys)
    await connection.execute(JOURNAL, new_id(), payment_id, str(caller.person_id), now)
    watch = msgspec.json.encode({"payment_id": payment_id, "step": 0}).decode()
    await connection.execute(DEFER, "payments.watch", watch, now + timedelta(seconds=15))
    return msgspec.json.encode(
        {
            "payment_id": payment_id,
            "status": "created",
            "total_fen": total,
            "expires_at": expires_at,
            "parts": [
                {
                    "company": quote["company"],
                    "amount_fen": total,
                    "bills": [{"bill_id": bill_id, "amount_fen": fen} for bill_id, fen in amounts.items()],
                }
            ],
        }
    )


@app.post("/callbacks/wechat-pay")
@endpoint("wechat_pay_notice")
async def wechat_pay_notice(request: Request) -> HTTPResponse:
    headers, body = request.headers, request.body
    try:
        timestamp, nonce = headers["wechatpay-timestamp"], headers["wechatpay-nonce"]
        if headers["wechatpay-serial"] != PAY["public_key_id"] or abs(time.time() - int(timestamp)) > 300:
            raise Refused(401, "notice_refused")
        signature = base64.b64decode(headers["wechatpay-signature"], validate=True)
        assert isinstance(PLATFORM_KEY, RSAPublicKey)
        PLATFORM_KEY.verify(signature, f"{timestamp}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
        envelope = msgspec.json.decode(body, type=Envelope)
        sealed = envelope.resource
        plain = API_V3.decrypt(
            sealed.nonce.encode(), base64.b64decode(sealed.ciphertext), sealed.associated_data.encode()
        )
        msgspec.json.decode(plain, type=Trade)
    except (KeyError, ValueError, InvalidSignature, InvalidTag):
        raise Refused(401, "notice_refused") from None
    item_id = new_id()
    content = seal(body, "inbox.content", str(item_id))
    async with app.ctx.pool.acquire() as connection, connection.transaction():
        stored = await connection.fetchval(
            INBOX, item_id, "wechat_pay", envelope.id, envelope.event_type, content, datetime.now(UTC)
        )
        if stored:
            await connection.execute(DEFER, "inbox.process", json.dumps({"inbox_id": str(item_id)}), None)
    return HTTPResponse(status=204)


VERIFIED: dict[str, Caller] = {}


def check_access(request: Request, level: int) -> Caller:
    """The caller of a token whose signature has been checked once."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    caller = VERIFIED.get(token)
    if caller is None:
        caller = verify(token)
        if len(VERIFIED) >= 20_000:
            VERIFIED.pop(next(iter(VERIFIED)))
        VERIFIED[token] = caller
    if caller.expires_at <= time.time():
        raise Refused(401, "token_refused")
    if caller.level < level:
        raise Refused(403, "level_too_low")
    return caller


def verify(token: str) -> Caller:
    try:
        key = PUBLIC_KEYS[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, ["EdDSA"], audience="lianban:people", issuer=SETTINGS["public_url"])
        return Caller(UUID(claims["sub"]), UUID(claims["uid"]), claims["lvl"], float(claims["exp"]))
    except (jwt.PyJWTError, KeyError, ValueError):
        raise Refused(401, "token_refused") from None


def seal(data: bytes, column: str, row: str) -> bytes:
    nonce = os.urandom(12)
    return bytes((1, len(FIELD_KEYID))) + FIELD_KEYID + nonce + FIELD.encrypt(nonce, data, f"{column}.{row}".encode())


def unseal(cell: bytes, column: str, row: str) -> bytes:
    end = 2 + cell[1]
    return FIELD.decrypt(cell[end : end + 12], cell[end + 12 :], f"{column}.{row}".encode())


def new_id() -> UUID:
    """A version 7 UUID."""
    random = secrets.randbits(74)
    return UUID(int=int(time.time() * 1000) << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (1 << 62) - 1)


LAST_BILLS = """
select a.bills_checked_at, b.id, b.bill_no, b.period, b.status, b.issued_on, b.due_on, b.principal_fen, b.late_fee_fen,
       b.payable_fen, b.paid_fen, case b.status when 'open' then b.payable_fen else 0 end as left_fen, b.usage, b.unit, b.paid_at
from binding bi join utility_account a on a.id = bi.account_id
left join lateral (select * from bill where account_id = a.id order by period desc, id desc limit $3) b on true
where bi.account_id = $1 and bi.person_id = $2 and bi.revoked_at is null
"""
TAKE_KEY = """
select pg_try_advisory_xact_lock($1) as locked, a.fingerprint, a.body, a.created_at
from (select 1) one left join idempotent_answer a on a.id = $2
"""
KEEP = """
insert into idempotent_answer (id, fingerprint, status_code, body, created_at) values ($1, $2, $3, $4, $5)
on conflict (id) do update set fingerprint = excluded.fingerprint, status_code = excluded.status_code, body = excluded.body,
  created_at = excluded.created_at
"""
QUOTE = """
select q.account_id, q.basis, q.lines, q.expires_at, a.company from quote q join utility_account a on a.id = q.account_id
where q.id = $1 and q.person_id = $2
  and exists (select 1 from binding b where b.account_id = q.account_id and b.person_id = $2 and b.revoked_at is null)
"""
LOCK_ACCOUNT = "select id from utility_account where id = $1 for share"
LOCK_BILLS = (
    "select id, payable_fen, status from bill where account_id = $1 and id = any($2::uuid[]) order by id for update"
)
CLAIMS = """
select exists (select 1 from claim where claim_key = any($1::text[]) and freed_at is null) as held,
  (select max(times) from (
    select count(*) as times from payment_line l join payment p on p.id = l.payment_id
    where l.claim_key = any($1::text[]) and p.person_id = $2 and p.created_at > $3 group by l.claim_key) counted) as lately
"""
PAYMENT = """
insert into payment (id, status, person_id, actor_user_id, provider, method, total_fen, currency, description, created_at, expires_at)
values ($1, 'created', $2, $3, 'wechat_pay', 'jsapi', $4, 'CNY', $5, $6, $7)
"""
PART = """
insert into payment_part (id, payment_id, provider, payee, merchant, order_number, description, basis, quote_id, amount_fen)
values ($1, $2, 'wechat_pay', $3, $4, $5, '水务集团-水费', $7, $8, $6)
"""
LINES = """
insert into payment_line (id, part_id, payment_id, claim_key, amount_fen)
select id, $2, $3, claim_key, amount_fen from unnest($1::uuid[], $4::text[], $5::bigint[]) as line (id, claim_key, amount_fen)
"""
NEW_CLAIMS = """
insert into claim (id, payment_id, claim_key) select id, $2, claim_key from unnest($1::uuid[], $3::text[]) as line (id, claim_key)
"""
JOURNAL = """
insert into journal (id, subject, subject_id, to_state, event, actor_kind, actor_id, at)
values ($1, 'payment', $2, 'created', 'created', 'person', $3, $4)
"""
DEFER = """
select procrastinate_defer_jobs_v1(array[row('default', $1::text, 0, null, null, $2::text::jsonb, $3::timestamptz)::procrastinate_job_to_defer_v1])
"""
INBOX = """
insert into inbox (id, source, key, kind, content, received_at) values ($1, $2, $3, $4, $5, $6)
on conflict (source, key) do nothing returning id
"""


@app.before_server_start
async def open_pool(app: Sanic) -> None:
    parts = urlsplit(SETTINGS["database_url"])
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    app.ctx.pool = await asyncpg.create_pool(
        host=query.get("host") or parts.hostname,
        port=parts.port or 5432,
        user=parts.username or query.get("user"),
        password=parts.password,
        database=parts.path.lstrip("/"),
        min_size=2,
        max_size=SETTINGS["pool_size"],
        command_timeout=10,
        server_settings={"role": "lianban_app", "timezone": "UTC", "lock_timeout": "3s", "statement_timeout": "10s"},
    )


@app.after_server_stop
async def close_pool(app: Sanic) -> None:
    await app.ctx.pool.close()


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), single_process=True, access_log=False, motd=False)
