"""Request signatures TC3-HMAC-SHA256 of Tencent Cloud's API 3.0 (its document "签名方法 v3"). Pure."""

import hashlib
import hmac
from datetime import UTC, datetime

CONTENT_TYPE = "application/json; charset=utf-8"
_SIGNED = "content-type;host;x-tc-action"


def headers(
    secret_id: str,
    secret_key: str,
    *,
    host: str,
    service: str,
    action: str,
    version: str,
    region: str,
    content: bytes,
    now: datetime,
) -> dict[str, str]:
    """The headers of a POST to ``/`` with this body; the signature is good for five minutes around `now`."""
    timestamp, day = int(now.timestamp()), now.astimezone(UTC).date().isoformat()
    canonical = "\n".join(
        (
            "POST",
            "/",
            "",
            f"content-type:{CONTENT_TYPE}\nhost:{host}\nx-tc-action:{action.lower()}\n",
            _SIGNED,
            hashlib.sha256(content).hexdigest(),
        )
    )
    scope = f"{day}/{service}/tc3_request"
    to_sign = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(sign_key(secret_key, day, service), to_sign.encode(), hashlib.sha256).hex()
    return {
        "Content-Type": CONTENT_TYPE,
        "X-TC-Action": action,
        "X-TC-Version": version,
        "X-TC-Region": region,
        "X-TC-Timestamp": str(timestamp),
        "Authorization": f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders={_SIGNED}, Signature={signature}",
    }


def sign_key(secret_key: str, day: str, service: str) -> bytes:
    """The key of one day and one service."""
    key = f"TC3{secret_key}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key
