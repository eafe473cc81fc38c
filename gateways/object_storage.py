"""A bucket of anything that speaks S3, by its REST interface: objects by key, path-style addresses, requests signed with SigV4.

The document: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)". Bodies are signed too.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from core import clock
from core.outbound import Answer, Counterpart, MalformedAnswer

OBJECT_BYTES = 32 * 1024 * 1024
TIMEOUT = timedelta(seconds=30)
_LIST_BYTES = 2 * 1024 * 1024
_ALGORITHM = "AWS4-HMAC-SHA256"


class Bucket:
    """One private bucket. Every call may be repeated; failures are those of :mod:`core.outbound`."""

    def __init__(
        self, side: Counterpart, endpoint: str, region: str, bucket: str, access_key: str, secret_key: str
    ) -> None:
        self._side = side
        self._host = urlsplit(endpoint).netloc
        self._base = urlsplit(endpoint).path.rstrip("/")
        self._region = region
        self._bucket = bucket
        self._access_key = access_key
        self._secret_key = secret_key

    async def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`. Raises :class:`OutboundError`."""
        answer = await self._ask("PUT", f"/{self._bucket}/{key}", {}, content)
        if answer.status != 200:
            raise MalformedAnswer(self._side.name, "put", f"status_{answer.status}")

    async def get(self, key: str) -> bytes | None:
        """What is kept under `key`; None when nothing is. Raises :class:`OutboundError`."""
        answer = await self._ask("GET", f"/{self._bucket}/{key}", {})
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise MalformedAnswer(self._side.name, "get", f"status_{answer.status}")
        return answer.content

    async def delete(self, key: str) -> None:
        """Forget `key`, if it is there. Raises :class:`OutboundError`."""
        answer = await self._ask("DELETE", f"/{self._bucket}/{key}", {})
        if answer.status not in (200, 204, 404):
            raise MalformedAnswer(self._side.name, "delete", f"status_{answer.status}")

    async def written_before(self, prefix: str, moment: datetime) -> list[str]:
        """The keys under `prefix` that were written before `moment`, of the first thousand. Raises :class:`OutboundError`."""
        answer = await self._ask("GET", f"/{self._bucket}", {"list-type": "2", "max-keys": "1000", "prefix": prefix})
        if answer.status != 200:
            raise MalformedAnswer(self._side.name, "list", f"status_{answer.status}")
        try:
            root: Element = fromstring(answer.content.decode(), forbid_dtd=True)
            found = [entry for entry in root if _name(entry) == "Contents"]
            return [
                _text(entry, "Key") for entry in found if datetime.fromisoformat(_text(entry, "LastModified")) < moment
            ]
        except (ParseError, DefusedXmlException, ValueError, KeyError):
            raise MalformedAnswer(self._side.name, "list", "not_a_list") from None

    async def _ask(self, method: str, path: str, query: Mapping[str, str], content: bytes = b"") -> Answer:
        path = self._base + path
        headers = {
            "Host": self._host,
            "X-Amz-Content-Sha256": hashlib.sha256(content).hexdigest(),
            "X-Amz-Date": clock.to_real(clock.now()).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
        }
        authorization = sign(self._access_key, self._secret_key, self._region, method, path, query, headers)
        operation = {"PUT": "put", "GET": "list" if query else "get", "DELETE": "delete"}[method]
        asked = canonical_query(query)
        return await self._side.request(
            method,
            path.removeprefix(self._side.base_path) + (f"?{asked}" if asked else ""),
            operation=operation,
            headers={**headers, "Authorization": authorization},
            content=content,
            idempotent=True,
            timeout=TIMEOUT,
            max_answer_bytes=_LIST_BYTES if query else OBJECT_BYTES,
        )


def sign(
    access_key: str,
    secret_key: str,
    region: str,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> str:
    """The Authorization header over all of `headers`, which hold Host, X-Amz-Date and X-Amz-Content-Sha256."""
    plain = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(plain))
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),
            canonical_query(query),
            "".join(f"{name}:{plain[name]}\n" for name in sorted(plain)),
            names,
            plain["x-amz-content-sha256"],
        )
    )
    scope = f"{plain['x-amz-date'][:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    text = f"{_ALGORITHM}\n{plain['x-amz-date']}\n{scope}\n{digest}"
    signature = hmac.digest(key, text.encode(), hashlib.sha256).hex()
    return f"{_ALGORITHM} Credential={access_key}/{scope},SignedHeaders={names},Signature={signature}"


def canonical_query(query: Mapping[str, str]) -> str:
    """The query as it is sent and signed."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))


def _name(entry: Element) -> str:
    return entry.tag.rpartition("}")[2]


def _text(entry: Element, name: str) -> str:
    for inner in entry:
        if _name(inner) == name and inner.text:
            return inner.text
    raise KeyError(name)
