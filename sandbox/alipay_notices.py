"""The notices of Alipay: a signed form, sent again until the answer is the one word ``success``."""

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from sandbox import alipay_crypto as crypto
from sandbox.alipay_fields import yuan
from sandbox.alipay_parties import Parties
from sandbox.context import Context, ControlError
from sandbox.outbox import Outbox

COUNTERPART: Final = "alipay"
MINUTE: Final = 60.0
HOUR: Final = 3600.0
WAITS_S: Final = (4 * MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 15 * HOUR)
"""The waits before the 7 repetitions: 8 notices in about 25 hours."""


@dataclass(frozen=True, slots=True)
class Spoiling:
    """How a notice sent by hand differs from a right one: fields replaced, signer, age in seconds."""

    mutate: Mapping[str, str | None]
    sign_with: str
    late_s: float
    url: str | None = None
    """Where it goes instead of the trade's own address."""


class Notices:
    """Writes notices into the outbox and sends them, signed at the moment they leave."""

    def __init__(self, context: Context, parties: Parties) -> None:
        self._context = context
        self._parties = parties
        self._outbox = Outbox(context, COUNTERPART, "notice", WAITS_S, self._send, _is_taken)

    def add(self, trade: sqlite3.Row, status: str, refund: sqlite3.Row | None = None, refunded_fen: int = 0) -> None:
        """A notice about a trade; call it in the transaction that makes it true."""
        if trade["notify_url"]:
            fields = self.fields(trade, status, refund, refunded_fen)
            self._outbox.add(trade["trade_no"], {"url": trade["notify_url"], "fields": fields})

    def about(self, trade: sqlite3.Row) -> list[dict[str, Any]]:
        """How the notices of a trade fared: ``[{id, trade_status, status, attempts, last_answer}]``."""
        return [
            {"id": row["message"]["fields"]["notify_id"], "trade_status": row["message"]["fields"]["trade_status"]}
            | {name: row[name] for name in ("status", "attempts", "last_answer")}
            for row in self._outbox.about(trade["trade_no"])
        ]

    async def send_by_hand(self, trade: sqlite3.Row, status: str, spoiling: Spoiling) -> dict[str, Any]:
        """Send the last notice of a trade once more, as it was or spoiled: ``{status, answer}``.

        One with replaced fields carries an id of its own unless that is replaced too; null removes a field.
        """
        sent = self._outbox.about(trade["trade_no"])
        fields = dict(sent[-1]["message"]["fields"]) if sent else self.fields(trade, status)
        if spoiling.mutate:
            fields["notify_id"] = _notify_id()
        if spoiling.sign_with not in ("platform", "stranger", "unsigned"):
            raise ControlError("sign_with is platform, stranger or unsigned")
        body = self._signed(fields, spoiling.late_s, spoiling.mutate, spoiling.sign_with)
        try:
            response = await self._post(spoiling.url or trade["notify_url"], body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return {"status": 0, "answer": type(error).__name__}
        return {"status": response.status_code, "answer": response.text[:100]}

    def fields(
        self, trade: sqlite3.Row, status: str, refund: sqlite3.Row | None = None, refunded_fen: int = 0
    ) -> dict[str, str]:
        """What a notice says, but for its time and signature."""
        total = yuan(trade["total"])
        fields = {
            "notify_type": "trade_status_sync",
            "notify_id": _notify_id(),
            "charset": "utf-8",
            "version": "1.0",
            "app_id": trade["app_id"],
            "auth_app_id": trade["auth_app_id"],
            "trade_no": trade["trade_no"],
            "out_trade_no": trade["out_trade_no"],
            "buyer_id": trade["buyer_id"],
            "buyer_logon_id": "159****5620",
            "seller_id": trade["seller_id"],
            "seller_email": "sell***@alipay.com",
            "trade_status": status,
            "subject": trade["subject"],
            "total_amount": total,
            "gmt_create": self._time(trade["created_at"]),
        }
        if trade["passback"]:
            fields["passback_params"] = trade["passback"]
        if trade["paid_at"] is not None:
            bill = json.dumps([{"amount": total, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":"))
            fields |= dict.fromkeys(("receipt_amount", "invoice_amount", "buyer_pay_amount"), total)
            fields |= {"point_amount": "0.00", "fund_bill_list": bill, "gmt_payment": self._time(trade["paid_at"])}
        if refund is not None:
            fields |= {"refund_fee": yuan(refunded_fen), "out_biz_no": refund["out_request_no"]}
            fields["gmt_refund"] = self._time(refund["moved_at"]) + ".123"
        if trade["closed_at"] is not None:
            fields["gmt_close"] = self._time(trade["closed_at"])
        return fields

    def _signed(
        self, fields: Mapping[str, str], late_s: float, mutate: Mapping[str, str | None], sign_with: str
    ) -> bytes:
        timed = {**fields, "notify_time": self._time(self._context.clock.timestamp() - late_s), **mutate}
        said = {name: value for name, value in timed.items() if value is not None and name not in ("sign", "sign_type")}
        key = crypto.stranger() if sign_with == "stranger" else self._parties.key
        by = {"sign_type": mutate.get("sign_type") or "RSA2"}
        app = self._parties.apps.get(fields["app_id"])
        if app is not None and app.certificate_number is not None:
            by["alipay_cert_sn"] = self._parties.certificate_number
        if sign_with != "unsigned":
            by["sign"] = mutate.get("sign") or crypto.sign(key, crypto.joined(said))
        return urlencode({**said, **by}).encode()

    async def _send(self, message: dict[str, Any], forge: bool) -> httpx.Response:
        return await self._post(
            message["url"], self._signed(message["fields"], 0, {}, "stranger" if forge else "platform")
        )

    async def _post(self, url: str, body: bytes) -> httpx.Response:
        media_type = "application/x-www-form-urlencoded; text/html; charset=utf-8"
        return await self._outbox.post(url, body, {"Content-Type": media_type, "User-Agent": "Mozilla/4.0"})

    def _time(self, timestamp: float) -> str:
        return self._context.clock.iso(timestamp)[:19].replace("T", " ")


def _notify_id() -> str:
    return secrets.token_hex(17)


def _is_taken(response: httpx.Response) -> bool:
    return response.status_code == 200 and response.content == b"success"
