"""The door of WeChat Pay: who is calling, is it signed as required, and the signed answer."""

import re
from collections.abc import Callable
from typing import Any, Final

from sanic import HTTPResponse, Request

from sandbox import wechat_pay_crypto as crypto
from sandbox.context import Context
from sandbox.replies import Reply, encode
from sandbox.wechat_pay_crypto import Authorization, AuthorizationInvalid, Signer
from sandbox.wechat_pay_errors import WechatPayError
from sandbox.wechat_pay_parties import Merchant, Parties

COUNTERPART: Final = "wechat_pay"
MAX_SKEW_S: Final = 300
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_pay_nonce (mchid TEXT, nonce TEXT, seen_at REAL NOT NULL, PRIMARY KEY (mchid, nonce));
"""
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")

Work = Callable[[Merchant], Any]
"""Does the work for the caller and answers the JSON body, or None for 204. Raises WechatPayError."""


class Door:
    """Every call of WeChat Pay goes through :meth:`answer`."""

    def __init__(self, context: Context, parties: Parties) -> None:
        self._context = context
        self._parties = parties
        context.state.define(SCHEMA)

    async def answer(
        self, request: Request, operation: str, call_id: str, work: Work, by_certificate: bool = False
    ) -> HTTPResponse:
        """Verify, work in one transaction, sign. `by_certificate`: by certificate unless the caller names a key."""

        def do(forge: bool) -> Reply:
            try:
                merchant = self._authenticate(request)
            except WechatPayError as error:
                return _reply(error.status, encode(error.body()), {})
            try:
                signer = self._signer(request, by_certificate)
                _check_headers(request)
                with self._context.state.transaction():
                    result = work(merchant)
            except WechatPayError as error:
                return self._signed(self._parties.signer, error.status, encode(error.body()), forge)
            return self._signed(
                signer, 204 if result is None else 200, b"" if result is None else encode(result), forge
            )

        def failed(status: int) -> Reply:
            code = {429: "FREQUENCY_LIMITED"}.get(status, "SYSTEM_ERROR")
            return _reply(status, encode({"code": code, "message": "系统异常，请用相同参数重新调用"}), {})

        return await self._context.serve(request, COUNTERPART, operation, call_id, do, failed)

    async def download(
        self, request: Request, operation: str, call_id: str, work: Callable[[Merchant], bytes]
    ) -> HTTPResponse:
        """Verify and hand out a file. Nobody signs it, as in reality: its hash was told in a signed answer."""

        def do(forge: bool) -> Reply:
            try:
                content = work(self._authenticate(request))
            except WechatPayError as error:
                return _reply(error.status, encode(error.body()), {})
            # A forged file is one with another content.
            body = content[:-1] + bytes([content[-1] ^ 1]) if forge and content else content
            return Reply(body, headers={"Request-ID": f"08{crypto.token(30).upper()}-0"}, content_type="text/plain")

        def failed(status: int) -> Reply:
            return _reply(status, encode({"code": "SYSTEM_ERROR", "message": "系统异常"}), {})

        return await self._context.serve(request, COUNTERPART, operation, call_id, do, failed)

    def _authenticate(self, request: Request) -> Merchant:
        try:
            given = Authorization.read(request.headers.get("authorization") or "")
        except AuthorizationInvalid as error:
            raise WechatPayError("SIGN_ERROR", str(error)) from error
        merchant = self._parties.merchants.get(given.mchid)
        if merchant is None:
            raise WechatPayError("SIGN_ERROR", "商户号不存在")
        if given.serial_no != merchant.serial:
            raise WechatPayError("SIGN_ERROR", "商户证书序列号有误")
        if not _TIMESTAMP.fullmatch(given.timestamp):
            raise WechatPayError("SIGN_ERROR", "Http头Authorization中的timestamp有误")
        now = self._context.clock.timestamp()
        if abs(now - int(given.timestamp)) > MAX_SKEW_S:
            raise WechatPayError("SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
        if not 1 <= len(given.nonce_str) <= 64:
            raise WechatPayError("SIGN_ERROR", "Http头Authorization中的nonce_str有误")
        message = (
            f"{request.method}\n".encode()
            + request.raw_url
            + f"\n{given.timestamp}\n{given.nonce_str}\n".encode()
            + request.body
            + b"\n"
        )
        if not crypto.verify(merchant.key, message, given.signature):
            raise WechatPayError("SIGN_ERROR", "签名错误，验签失败")
        self._spend_nonce(given, now)
        return merchant

    def _spend_nonce(self, given: Authorization, now: float) -> None:
        with self._context.state.transaction() as db:
            db.execute("DELETE FROM wechat_pay_nonce WHERE abs(? - seen_at) > ?", (now, 2 * MAX_SKEW_S))
            fresh = db.execute(
                "INSERT OR IGNORE INTO wechat_pay_nonce VALUES (?, ?, ?)", (given.mchid, given.nonce_str, now)
            )
            if fresh.rowcount == 0:
                raise WechatPayError("SIGN_ERROR", "Http头Authorization中的nonce_str重复")

    def _signer(self, request: Request, by_certificate: bool) -> Signer:
        wanted = request.headers.get("wechatpay-serial")
        if by_certificate and not wanted:
            return self._parties.certificate_signer()
        return self._parties.signer_for(wanted)

    def _signed(self, signer: Signer, status: int, body: bytes, forge: bool) -> Reply:
        timestamp = int(self._context.clock.timestamp())
        return _reply(status, body, crypto.signed_headers(signer, timestamp, body, forge=forge))


def query_of(request: Request, *names: str) -> dict[str, str]:
    """The query parameters, each exactly once. Raises WechatPayError."""
    given = request.get_args(keep_blank_values=True)
    if given.keys() != set(names) or any(len(values) != 1 for values in given.values()):
        raise WechatPayError("PARAM_ERROR", "查询参数应为 " + "、".join(names))
    return {name: given[name][0] for name in names}


def _check_headers(request: Request) -> None:
    accept = request.headers.get("accept") or ""
    if "application/json" not in accept and "*/*" not in accept:
        raise WechatPayError("PARAM_ERROR", "Http头Accept须为application/json")
    if not request.headers.get("user-agent"):
        raise WechatPayError("PARAM_ERROR", "Http头缺少User-Agent")
    if request.method == "POST":
        media_type = (request.headers.get("content-type") or "").partition(";")[0].strip()
        if media_type != "application/json":
            raise WechatPayError("PARAM_ERROR", "Http头Content-Type须为application/json")


def _reply(status: int, body: bytes, headers: dict[str, str]) -> Reply:
    # The part after the last "-" is the internal number of the result; 0 here, since only its place is public.
    request_id = f"08{crypto.token(30).upper()}-0"
    content_type = "application/json; charset=utf-8" if body else None
    return Reply(body, status, {"Request-ID": request_id, **headers}, content_type=content_type)
