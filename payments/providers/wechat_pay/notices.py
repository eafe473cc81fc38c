"""Notices of WeChat Pay: verified before a word of them is read, and never a reason to call anybody."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from core.log import get_logger
from core.outbound import Headers
from core.strict_json import JsonRefused, decode
from payments.providers.port import Notice, NoticeRefused, OrderTrades, RefundAnswer
from payments.providers.wechat_pay.answers import CombinedBody, RefundBody, StateUnknown, TradeBody
from payments.providers.wechat_pay.config import WeChatPayConfig
from payments.providers.wechat_pay.signing import SignatureWrong, decrypt, verify

log = get_logger(__name__)

MAX_BYTES = 64 * 1024


class _Resource(msgspec.Struct, frozen=True):
    algorithm: Literal["AEAD_AES_256_GCM"]
    ciphertext: str
    nonce: str
    associated_data: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    id: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,36}\Z")]
    create_time: Annotated[datetime, Meta(tz=True)]
    event_type: Annotated[str, Meta(pattern=r"\A[A-Z_.]{1,64}\Z")]
    resource: _Resource


class WeChatPayNotices:
    """Reads the notices of one service-provider number."""

    def __init__(self, config: WeChatPayConfig) -> None:
        self._config = config

    def verify_notice(self, headers: Headers, body: bytes, now: datetime) -> Notice:
        """Verify the signature over the raw body, then open and read the notice.

        Raises:
            NoticeRefused: too large, headers missing or repeated, stale, unknown serial, signature test, bad signature, wrong
                algorithm, malformed, or sealed with another key.
        """
        if len(body) > MAX_BYTES:
            raise NoticeRefused("too_large")
        try:
            verify(headers, body, self._config.platform, now)
        except SignatureWrong as wrong:
            raise NoticeRefused(wrong.reason) from None
        return self.open_notice(body)

    def open_notice(self, body: bytes) -> Notice:
        """Open a notice verified earlier, from the inbox: its signature would be stale by now.

        Raises:
            NoticeRefused: malformed, wrong algorithm, or sealed with another key.
        """
        try:
            envelope = decode(body, _Envelope)
            sealed = envelope.resource
            plaintext = decrypt(self._config.api_v3_key, sealed.nonce, sealed.associated_data, sealed.ciphertext)
            resource = _read(envelope.event_type, plaintext)
        except JsonRefused as error:
            raise NoticeRefused("algorithm" if "algorithm" in error.where else error.reason) from None
        except StateUnknown as error:
            log.error("wechat_pay.state_unknown", state=str(error))
            raise NoticeRefused("state_unknown") from None
        except ValueError:
            raise NoticeRefused("ciphertext") from None
        return Notice(envelope.id, envelope.event_type, envelope.create_time, resource)


def _read(event_type: str, plaintext: bytes) -> OrderTrades | RefundAnswer | None:
    if event_type.startswith("TRANSACTION."):
        shape = CombinedBody if _is_combined(plaintext) else TradeBody
        return decode(plaintext, shape).trades()
    if event_type.startswith("REFUND."):
        return decode(plaintext, RefundBody).refund()
    log.error("wechat_pay.event_unknown", event_name=event_type)
    return None


class _Number(msgspec.Struct, frozen=True):
    combine_out_trade_no: str | None = None


def _is_combined(plaintext: bytes) -> bool:
    """Both kinds come as the same event; only a combined order has a number of that name."""
    return decode(plaintext, _Number).combine_out_trade_no is not None
