"""A bucket by S3's REST interface: signed as its document says, judged by a stand-in that knows the document and not our code."""

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from xml.sax.saxutils import escape

import httpx
import pytest

from core import clock
from core.outbound import Counterpart
from domain.materials.store import BucketStore, NotKept, StoreAway
from gateways.object_storage import Bucket, sign

_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
_HEADER = re.compile(r"AWS4-HMAC-SHA256 Credential=(\S+),SignedHeaders=(\S+),Signature=([0-9a-f]{64})")


def test_the_signature_is_that_of_the_document_s_example() -> None:
    headers = {
        "Host": "examplebucket.s3.amazonaws.com", "Range": "bytes=0-9", "X-Amz-Date": "20130524T000000Z",
        "X-Amz-Content-Sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }  # fmt: skip
    made = sign("AKIAIOSFODNN7EXAMPLE", _SECRET, "us-east-1", "GET", "/test.txt", {}, headers)
    assert made.endswith("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    assert "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date," in made


class StandIn:
    """A bucket called ``papers`` that keeps what is signed rightly, and refuses everything else."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, datetime]] = {}
        self.broken = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.broken:
            return httpx.Response(503)
        if not self._is_signed(request):
            return httpx.Response(403)
        key = request.url.path.removeprefix("/papers").removeprefix("/")
        match request.method:
            case "PUT":
                self.kept[key] = (request.content, datetime.now(UTC))
                return httpx.Response(200)
            case "DELETE":
                self.kept.pop(key, None)
                return httpx.Response(204)
        if key:
            return httpx.Response(200, content=self.kept[key][0]) if key in self.kept else httpx.Response(404)
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>{at.isoformat().replace('+00:00', 'Z')}</LastModified></Contents>"
            for name, (_, at) in self.kept.items()
            if name.startswith(request.url.params["prefix"])
        )
        return httpx.Response(
            200, text=f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{entries}</ListBucketResult>'
        )

    def _is_signed(self, request: httpx.Request) -> bool:
        found = _HEADER.fullmatch(request.headers.get("authorization", ""))
        digest = hashlib.sha256(request.content).hexdigest()
        if found is None or request.headers["x-amz-content-sha256"] != digest:
            return False
        credential, names, signature = found.groups()
        access_key, day, region, service, end = credential.split("/")
        at = request.headers["x-amz-date"]
        if (access_key, region, service, end) != ("papers-key", "cn-hubei", "s3", "aws4_request") or not at.startswith(
            day
        ):
            return False
        target, _, query = request.url.raw_path.decode().partition("?")
        lines = [request.method, target, "&".join(sorted(query.split("&"))) if query else ""]
        lines += [f"{name}:{request.headers[name]}" for name in names.split(";")] + ["", names, digest]
        text = (
            f"AWS4-HMAC-SHA256\n{at}\n{day}/{region}/s3/aws4_request\n"
            + hashlib.sha256("\n".join(lines).encode()).hexdigest()
        )
        key = b"AWS4" + _SECRET.encode()
        for part in (day, region, "s3", "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.compare_digest(key.hex(), signature)


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


def _store(stand_in: StandIn, secret: str = _SECRET) -> BucketStore:
    endpoint = "https://store.example"
    side = Counterpart("material_store", endpoint, client=httpx.AsyncClient(transport=httpx.MockTransport(stand_in)))
    return BucketStore(Bucket(side, endpoint, "cn-hubei", "papers", "papers-key", secret))


async def test_what_is_put_is_got_listed_and_forgotten(stand_in: StandIn) -> None:
    store, key = _store(stand_in), uuid4()
    await store.put(key, b"sealed")
    assert list(stand_in.kept) == [f"materials/{key.hex}"]
    assert await store.get(key) == b"sealed"
    now = clock.to_real(clock.now())
    assert await store.older_than(now + timedelta(hours=1)) == [key]
    assert await store.older_than(now - timedelta(hours=1)) == []
    for _ in range(2):
        await store.delete(key)
    with pytest.raises(NotKept):
        await store.get(key)


async def test_a_wrong_secret_or_a_store_that_is_down_keeps_nothing_and_says_so(stand_in: StandIn) -> None:
    for wrong in (True, False):
        store = _store(stand_in, "not-the-secret") if wrong else _store(stand_in)
        stand_in.broken = not wrong
        for refused in (
            store.put(uuid4(), b"x"),
            store.get(uuid4()),
            store.delete(uuid4()),
            store.older_than(clock.now()),
        ):
            with pytest.raises(StoreAway):
                await refused
    assert stand_in.kept == {}
