"""The construction-approval platform (工改平台), docs/platform-push.md: it pushes projects until we have them, is told statuses, lists its days.

It stands under ``/construction/v1`` of the base port, with keys of its own. What the housing bureau's clerk does at its screens are control
calls. A push that was answered by us is believed only with our signature on the receipt.
"""

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sanic import HTTPResponse, Sanic
from sanic import Request as HTTPRequest

from sandbox import http_signatures as signatures
from sandbox.clock import SHANGHAI
from sandbox.context import Context, ControlError
from sandbox.control import body_of
from sandbox.http_signatures import PrivateKey, Request, Response, SignatureError
from sandbox.outbox import Outbox
from sandbox.replies import Reply, encode, json_reply

COUNTERPART: Final = "construction"
PATH: Final = "/construction/v1"
WAITS_S: Final = (15.0, 60.0, 300.0, 1800.0, *(3600.0 for _ in range(24)))
RECEIPT_WITHIN_S: Final = 2.0
"""Later than that the platform has no receipt, and pushes again."""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS construction_push (
    push_id TEXT PRIMARY KEY, day TEXT NOT NULL, body TEXT NOT NULL, is_listed INTEGER NOT NULL, receipt TEXT
);
CREATE TABLE IF NOT EXISTS construction_report (
    report_id TEXT PRIMARY KEY, push_id TEXT NOT NULL, number INTEGER NOT NULL, content TEXT NOT NULL, came INTEGER NOT NULL
);
"""
_REPORT: Final = {"report_id": str, "push_id": str, "number": int, "code": int, "name": str, "node": str, "at": str}
_DAY: Final = re.compile(r"/pushes/([0-9]{4}-[0-9]{2}-[0-9]{2})")


class Refused(Exception):
    """What the platform answers with an error of its own: status and word."""

    def __init__(self, status: int, word: str) -> None:
        super().__init__(word)
        self.status = status
        self.word = word


def mount(app: Sanic, context: Context) -> None:
    """Open its port and its screens, when the configuration says where we are."""
    config = context.config.get("construction")
    if config is None:
        return
    context.state.define(SCHEMA)
    platform = Platform(context, config)
    _mount_calls(app, context, platform)
    _mount_control(app, platform)


def _mount_calls(app: Sanic, context: Context, platform: "Platform") -> None:
    @app.post(f"{PATH}/status-reports", name="construction_report")
    async def report(request: HTTPRequest) -> HTTPResponse:
        return await _serve(context, platform, request, "status_report", platform.taken)

    @app.get(f"{PATH}/pushes/<day:str>", name="construction_list")
    async def listed(request: HTTPRequest, day: str) -> HTTPResponse:
        return await _serve(context, platform, request, "pushed_list", lambda _: platform.listed(day))


async def _serve(context: Context, platform: "Platform", http: HTTPRequest, operation: str, work: Any) -> HTTPResponse:
    request = _as_signed(http)
    try:
        platform.prove(request)
    except SignatureError as error:
        context.faults.count(COUNTERPART, "refused", f"401 {error}")
        return json_reply({"code": "signature"}, 401)
    call_id = ""
    if http.body and isinstance(http.json, dict):
        call_id = str(http.json.get("report_id", ""))

    def answer(forge: bool) -> HTTPResponse:
        try:
            status, body = 200, work(http.body)
        except Refused as refused:
            status, body = refused.status, {"code": refused.word}
        return platform.signed(request, status, encode(body), forge)

    return await context.serve(http, COUNTERPART, operation, call_id, answer, lambda status: json_reply({}, status))


def _mount_control(app: Sanic, platform: "Platform") -> None:
    @app.get("/control/construction/pushes", name="control_construction_pushes")
    async def pushes(_: HTTPRequest) -> Reply:
        return json_reply({"pushes": platform.pushes()})

    @app.post("/control/construction/pushes", name="control_construction_push")
    async def push(request: HTTPRequest) -> Reply:
        return json_reply(platform.push(body_of(request)), 201)

    @app.post("/control/construction/pushes/<push_id:str>/again", name="control_construction_again")
    async def again(request: HTTPRequest, push_id: str) -> Reply:
        return json_reply(await platform.again(push_id, body_of(request)))

    @app.post("/control/construction/pushes/<push_id:str>/listed", name="control_construction_listed")
    async def listed(request: HTTPRequest, push_id: str) -> Reply:
        platform.choose_listed(push_id, bool(body_of(request).get("listed", True)))
        return json_reply({})

    @app.get("/control/construction/reports", name="control_construction_reports")
    async def reports(_: HTTPRequest) -> Reply:
        return json_reply({"reports": platform.reports()})


class Platform:
    """The platform's book, its keys, and what leaves it."""

    def __init__(self, context: Context, config: Mapping[str, Any]) -> None:
        self._context = context
        self._callback_url = config["callback_url"]
        self._keys = [PrivateKey.load(key["keyid"], key["key"]) for key in config["private_keys"]]
        self._ours: dict[str, Ed25519PublicKey] = {
            key["keyid"]: signatures.load_public_key(key["keyid"], key["key"]) for key in config["lianban_public_keys"]
        }
        self._outbox = Outbox(
            context, COUNTERPART, "push", WAITS_S, self._send, lambda answer: answer.status_code == 200
        )

    def prove(self, request: Request) -> None:
        """Raises SignatureError."""
        signatures.verify_request(request, self._ours, self._context.clock.timestamp())

    def signed(self, request: Request, status: int, body: bytes, forge: bool) -> HTTPResponse:
        """An answer bound to its request."""
        key = PrivateKey(self._keys[0].keyid, Ed25519PrivateKey.generate()) if forge else self._keys[0]
        response = Response(status, [("Content-Type", "application/json")], body)
        added = signatures.sign_response(response, request, key, int(self._context.clock.timestamp()))
        return Reply(body, status=status, headers=dict(added), content_type="application/json")

    def push(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A clerk files a project: `content` (the body but for what the platform adds), or `raw` text; `"deliver": false` loses it."""
        content = asked.get("content")
        if (content is None) == (asked.get("raw") is None):
            raise ControlError("content or raw")
        push_id = str(asked.get("push_id") or f"GG-{secrets.token_hex(8)}")
        if content is not None:
            body = encode(
                {"push_id": push_id, "schema": "1", "pushed_at": self._context.clock.iso()} | dict(content)
            ).decode()
        else:
            body = str(asked["raw"])
        day = self._context.clock.now().astimezone(SHANGHAI).date().isoformat()
        with self._context.state.transaction() as db:
            if self._context.state.one("SELECT 1 FROM construction_push WHERE push_id = ?", (push_id,)) is not None:
                raise ControlError("this id has been pushed", 409)
            db.execute("INSERT INTO construction_push VALUES (?, ?, ?, 1, NULL)", (push_id, day, body))
            if asked.get("deliver", True):
                self._outbox.add(push_id, {"push_id": push_id, "body": body})
        return {"push_id": push_id, "sha256": _hash(body)}

    async def again(self, push_id: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Send it once more at once, or (`content`) something else under its number; what we answered: ``{status, answer}``."""
        row = self._row(push_id)
        body = row["body"]
        if "content" in asked:
            body = encode(json.loads(body) | dict(asked["content"])).decode()
        answer = await self._send({"push_id": push_id, "body": body}, bool(asked.get("forge")))
        return {"status": answer.status_code, "answer": answer.json() if answer.content else None}

    def choose_listed(self, push_id: str, listed: bool) -> None:
        """Whether it stands in the list of its day."""
        self._row(push_id)
        self._context.state.run("UPDATE construction_push SET is_listed = ? WHERE push_id = ?", (int(listed), push_id))

    def pushes(self) -> list[dict[str, Any]]:
        """Everything that was pushed, with how the sending went and our receipt."""
        return [
            {
                "push_id": row["push_id"], "day": row["day"], "sha256": _hash(row["body"]), "content": _parsed(row["body"]),
                "listed": bool(row["is_listed"]), "receipt": _parsed(row["receipt"]) if row["receipt"] else None,
                "sendings": [
                    {name: sent[name] for name in ("status", "attempts", "last_answer")} for sent in self._outbox.about(row["push_id"])
                ],
            }
            for row in self._context.state.all("SELECT * FROM construction_push ORDER BY rowid")
        ]  # fmt: skip

    def reports(self) -> list[dict[str, Any]]:
        """What we have reported, in the order in which it came; `came` counts how often."""
        rows = self._context.state.all("SELECT * FROM construction_report ORDER BY rowid")
        return [json.loads(row["content"]) | {"came": row["came"]} for row in rows]

    def taken(self, body: bytes) -> dict[str, Any]:
        """A status: taken once under its id; of one push a later number never comes before an earlier one. Raises Refused."""
        report = json.loads(body)
        if not isinstance(report, dict) or any(
            not isinstance(report.get(name), kind) for name, kind in _REPORT.items()
        ):
            raise Refused(422, "fields")
        if not 1 <= report["code"] <= 15 or datetime.fromisoformat(report["at"]).tzinfo is None:
            raise Refused(422, "fields")
        if self._context.state.one("SELECT 1 FROM construction_push WHERE push_id = ?", (report["push_id"],)) is None:
            raise Refused(404, "no_such_push")
        text = json.dumps(report, ensure_ascii=False, sort_keys=True)
        with self._context.state.transaction() as db:
            known = self._context.state.one(
                "SELECT * FROM construction_report WHERE report_id = ?", (report["report_id"],)
            )
            if known is not None:
                if known["content"] != text:
                    raise Refused(409, "report_differs")
                db.execute("UPDATE construction_report SET came = came + 1 WHERE report_id = ?", (report["report_id"],))
            else:
                query = "SELECT max(number) AS last FROM construction_report WHERE push_id = ?"
                last = self._context.state.one(query, (report["push_id"],))
                if last is not None and report["number"] <= (last["last"] or 0):
                    raise Refused(409, "out_of_order")
                db.execute(
                    "INSERT INTO construction_report VALUES (?, ?, ?, ?, 1)",
                    (report["report_id"], report["push_id"], report["number"], text),
                )
        return {"report_id": report["report_id"], "status": "taken"}

    def listed(self, day: str) -> dict[str, Any]:
        """The list of a day."""
        if _DAY.fullmatch(f"/pushes/{day}") is None:
            raise Refused(404, "no_such_day")
        query = "SELECT * FROM construction_push WHERE day = ? AND is_listed ORDER BY rowid"
        rows = self._context.state.all(query, (day,))
        return {"day": day, "pushes": [{"push_id": row["push_id"], "sha256": _hash(row["body"])} for row in rows]}

    async def _send(self, message: dict[str, Any], forge: bool) -> httpx.Response:
        address, body = httpx.URL(self._callback_url), message["body"].encode()
        fields = [("Content-Type", "application/json")]
        request = Request(
            "POST", address.netloc.decode("ascii"), address.raw_path.decode("ascii"), fields, body, address.scheme
        )
        key = PrivateKey(self._keys[0].keyid, Ed25519PrivateKey.generate()) if forge else self._keys[0]
        added = signatures.sign_request(
            request, key, int(self._context.clock.timestamp()), signatures.new_nonce()
        )  # fmt: skip
        try:
            async with asyncio.timeout(RECEIPT_WITHIN_S):
                answer = await self._outbox.post(self._callback_url, body, dict([*fields, *added]))
        except TimeoutError as error:
            raise httpx.ReadTimeout("no receipt in time") from error
        if answer.status_code == 200:
            self._keep_receipt(
                message["push_id"], Request("POST", request.authority, request.target, [*fields, *added], body), answer
            )
        return answer

    def _keep_receipt(self, push_id: str, request: Request, answer: httpx.Response) -> None:
        """Raises httpx.HTTPError when nobody we know has signed it: then we have no receipt and push again."""
        signed = Response(answer.status_code, list(answer.headers.multi_items()), answer.content)
        try:
            signatures.verify_response(signed, request, self._ours, self._context.clock.timestamp())
        except SignatureError as error:
            raise httpx.RemoteProtocolError(f"the receipt is not signed: {error}") from error
        self._context.state.run(
            "UPDATE construction_push SET receipt = ? WHERE push_id = ?", (answer.content.decode(), push_id)
        )

    def _row(self, push_id: str) -> Any:
        row = self._context.state.one("SELECT * FROM construction_push WHERE push_id = ?", (push_id,))
        if row is None:
            raise ControlError("no such push", 404)
        return row


def _as_signed(request: HTTPRequest) -> Request:
    fields = [(name, value) for name, value in request.headers.items()]
    host = signatures.field(fields, "host") or ""
    return Request(request.method, host, request.raw_url.decode("latin-1"), fields, request.body, "http")


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
