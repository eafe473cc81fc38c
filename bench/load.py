"""The load generator, a process of its own: 32 kept connections over raw sockets, one request in flight on each.

Speaks JSON lines: ``prepare`` makes the requests of the next slice (signing notices takes longer than answering them), ``go``
sends them for so many seconds and says how it went. Every answer is read whole and its status checked.
"""

import asyncio
import base64
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.seed import ACCOUNT, ACTIVE, PAYMENT, QUOTE, QUOTES, row_id

CONNECTIONS = 32
EXPECTED = {"R": 200, "W": 201, "N": 204}
SAMPLES = 3


class Requests:
    """Makes the bytes of requests. `work`: what ``bench.__main__`` wrote for this run."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._tokens: list[str] = work["tokens"]
        self._pay: dict[str, str] = work["wechat_pay"]
        key = load_pem_private_key(self._pay["platform_private_key"].encode(), None)
        assert isinstance(key, RSAPrivateKey)
        self._key = key
        order = random.Random(1)
        self._accounts = order.sample(range(ACTIVE * 4), ACTIVE * 4)
        self._quotes = order.sample(range(QUOTES), QUOTES)

    def make(self, workload: str, first: int, count: int) -> list[bytes]:
        """`count` requests, beginning with number `first`; W and N repeat none."""
        one = {
            "R": self._read,
            "W": self._pay_bills,
            "N": self._notice,
            "payment": self._own_payment,
            "payments": self._own("/v1/payments?limit=10"),
            "messages": self._own("/v1/messages"),
            "companies": lambda _: _http("GET", "/v1/companies", {}),
        }[workload]
        return [one(number) for number in range(first, first + count)]

    def _read(self, number: int) -> bytes:
        account = self._accounts[number % len(self._accounts)]
        path = f"/v1/utility-accounts/{row_id(ACCOUNT, account)}/bills?limit=12"
        return _http("GET", path, {"Authorization": f"Bearer {self._tokens[account // 4]}"})

    def _own(self, path: str) -> Callable[[int], bytes]:
        """Something of one's own, each time of another person."""
        return lambda number: _http(
            "GET", path, {"Authorization": f"Bearer {self._tokens[number * 7919 % len(self._tokens)]}"}
        )

    def _own_payment(self, number: int) -> bytes:
        """Each of those who are there today has one payment of last month."""
        person = number * 7919 % len(self._tokens)
        path = f"/v1/payments/{row_id(PAYMENT, person)}"
        return _http("GET", path, {"Authorization": f"Bearer {self._tokens[person]}"})

    def _pay_bills(self, number: int) -> bytes:
        quote = self._quotes[number]
        headers = {
            "Authorization": f"Bearer {self._tokens[quote // (QUOTES // ACTIVE)]}",
            "Idempotency-Key": f"bench-{number}",
            "Content-Type": "application/json",
        }
        return _http("POST", "/v1/payments", headers, _json({"quote_ids": [str(row_id(QUOTE, quote))]}))

    def _notice(self, number: int) -> bytes:
        """As the platform sends them: the trade sealed with the APIv3 key, the whole signed with the platform's key."""
        pay = self._pay
        trade = {
            "sp_appid": pay["appid"], "sp_mchid": pay["mchid"], "sub_mchid": pay["sub_mchid"], "out_trade_no": uuid4().hex,
            "transaction_id": f"42000{number:023}", "trade_type": "JSAPI", "trade_state": "SUCCESS", "trade_state_desc": "支付成功",
            "bank_type": "OTHERS", "attach": "", "success_time": "2026-11-23T10:00:00+08:00", "payer": {"sp_openid": "o" + "x" * 27},
            "amount": {"total": 12345, "payer_total": 12345, "currency": "CNY", "payer_currency": "CNY"},
        }  # fmt: skip
        nonce = f"{number:012}"
        sealed = AESGCM(pay["api_v3_key"].encode()).encrypt(nonce.encode(), _json(trade), b"transaction")
        body = _json(
            {
                "id": str(uuid4()),
                "create_time": "2026-11-23T10:00:00+08:00",
                "resource_type": "encrypt-resource",
                "event_type": "TRANSACTION.SUCCESS",
                "summary": "支付成功",
                "resource": {
                    "original_type": "transaction",
                    "algorithm": "AEAD_AES_256_GCM",
                    "ciphertext": base64.b64encode(sealed).decode(),
                    "associated_data": "transaction",
                    "nonce": nonce,
                },
            }
        )
        timestamp, salt = str(int(time.time())), uuid4().hex
        signature = self._key.sign(f"{timestamp}\n{salt}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
        headers = {
            "Content-Type": "application/json",
            "Accept": "*/*",
            "User-Agent": "Mozilla/4.0",
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": salt,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Serial": pay["public_key_id"],
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }
        return _http("POST", "/callbacks/wechat-pay", headers, body)


class Slice:
    """One slice: what is sent, until when, and what came back."""

    def __init__(self, requests: Iterator[bytes], expected: int, seconds: float) -> None:
        self._requests = requests
        self._expected = expected
        self.seconds = seconds
        self.sent = 0
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.in_time = 0
        self.samples: list[tuple[int, str]] = []
        self.started = self.ended = 0.0

    def next(self) -> tuple[int, bytes] | None:
        """The next request with its number; None when time or requests are used up."""
        if time.monotonic() >= self.started + self.seconds:
            return None
        request = next(self._requests, None)
        if request is None:
            return None
        self.sent += 1
        return self.sent - 1, request

    def answered(self, number: int, status: int, body: bytes, sent_at: float) -> None:
        """Note an answer; those after the end count for the rows they wrote, not for the rate."""
        now = time.monotonic()
        self.statuses[status] += 1
        if now <= self.started + self.seconds:
            self.in_time += 1
            self.ended = now
            self.latencies.append(now - sent_at)
        if number < SAMPLES or (status != self._expected and len(self.samples) < 20):
            self.samples.append((number, body.decode(errors="replace")))

    def report(self) -> dict[str, Any]:
        """What ``go`` answers."""
        cuts = statistics.quantiles(self.latencies, n=100) if len(self.latencies) > 1 else [0.0] * 99
        good = self.statuses[self._expected]
        return {
            "sent": self.sent, "good": good, "errors": self.sent - good, "statuses": dict(self.statuses),
            "rate": self.in_time / (self.ended - self.started) if self.in_time else 0.0,
            "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000, "samples": self.samples,
        }  # fmt: skip


class Connection(asyncio.Protocol):
    """One kept connection: sends the next request as soon as the answer to the last one is whole."""

    def __init__(self, slice_: Slice) -> None:
        self._slice = slice_
        self._buffer = b""
        self._number = -1
        self._sent_at = 0.0
        self._transport: Any = None
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish()

    def send(self) -> None:
        """Send the next request, or end."""
        following = self._slice.next()
        if following is None:
            self._finish()
            return
        self._number, request = following
        self._sent_at = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        whole = end + 4 + content_length(self._buffer[:end])
        if len(self._buffer) < whole:
            return
        status, body, self._buffer = int(self._buffer[9:12]), self._buffer[end + 4 : whole], self._buffer[whole:]
        self._slice.answered(self._number, status, body, self._sent_at)
        self.send()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
            self._transport.close()


async def play(port: int, slice_: Slice) -> None:
    """Open the connections, then send on all of them until the slice is over and every answer is in."""
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(slice_), "127.0.0.1", port))[1] for _ in range(CONNECTIONS)
    ]
    slice_.started = time.monotonic()
    for connection in connections:
        connection.send()
    for connection in connections:
        await connection.done


def content_length(head: bytes) -> int:
    """What a head says of the length of its body."""
    start = head.lower().find(b"content-length:")
    return int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _http(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def main() -> None:
    """Read commands from standard input until it ends."""
    requests = Requests(json.loads(Path(sys.argv[1]).read_bytes()))
    made: list[bytes] = []
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {"pid": os.getpid()}
        if command["do"] == "prepare":
            made = requests.make(command["workload"], command["first"], command["count"])
        else:
            slice_ = Slice(iter(made), EXPECTED[command["workload"]], command["seconds"])
            uvloop.run(play(command["port"], slice_))
            answer |= slice_.report()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
