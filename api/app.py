"""The Sanic application: one adapter around every route of the table.

The adapter gives each request an id, checks access, limits, size, form and idempotency key before the handler runs, and turns
every error into problem details.
"""

import asyncio
import hashlib
import re
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import SanicException

from api import limits
from api.calls import Answer, Call, Route
from api.company.signed import answer_signature
from api.door import Doorkeeper
from api.errors import (
    BodyTooLarge,
    IdempotencyKeyMissing,
    LevelTooLow,
    MediaTypeUnsupported,
    PermissionMissing,
    ProofTooOld,
    RequestMalformed,
    Unexpected,
    known,
    problem,
)
from api.metrics import observe
from api.routes import ROUTES
from api.shedding import Shedder
from api.uploads import Uploads
from core import clock, ids
from core.errors import NotFound
from core.log import bound, get_logger
from core.strict_json import JsonRefused, decode
from domain.identity.staff_sessions import StaffCaller
from domain.identity.tokens import Caller, TokenRefused
from domain.services import Services
from models.access import Principal
from models.idempotency import Once

log = get_logger(__name__)

BODY_BYTES = 64 * 1024
FRESH_S = 300
_REQUEST_ID = re.compile(r"[0-9A-Za-z-]{8,40}")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def create_app(services: Services, name: str = "lianban", shedder: Shedder | None = None) -> Sanic:
    """The application for these services. Every route comes from the table; nothing else is served."""
    shedder = shedder or Shedder()
    uploads = Uploads(lambda: services.materials.rule().most_bytes)
    app = Sanic(name, configure_logging=False, strict_slashes=True)
    app.config.update(
        REQUEST_MAX_SIZE=BODY_BYTES,
        REQUEST_TIMEOUT=10,
        RESPONSE_TIMEOUT=20,
        KEEP_ALIVE_TIMEOUT=15,
        REQUEST_MAX_HEADER_SIZE=8192,
        ACCESS_LOG=False,
        FALLBACK_ERROR_FORMAT="json",
        REAL_IP_HEADER="",
        PROXIES_COUNT=0,
        FORWARDED_SECRET=services.settings.forwarded_secret or "",
    )
    for route in ROUTES:
        endpoint, path = _endpoint(services, route, shedder, uploads), _sanic_path(route)
        app.add_route(endpoint, path, methods=[route.method], name=route.name, stream=route.upload)
    app.exception(Exception)(_outside_routes)
    app.ctx.shedder = shedder
    app.ctx.doorkeeper = Doorkeeper(shedder, ROUTES, _SECURITY_HEADERS)
    return app


def _sanic_path(route: Route) -> str:
    """Path parameters are taken as text: what is not an id is not found, rather than not routed."""
    return route.path.replace("{", "<").replace("}", ":str>")


def _endpoint(services: Services, route: Route, shedder: Shedder, uploads: Uploads) -> Any:
    async def endpoint(request: Request, **path: str) -> HTTPResponse:
        request_id = _request_id(request)
        started = clock.monotonic()
        with bound(request_id=request_id, operation=route.name):
            try:
                with shedder.admitted(route.shed):
                    call = await _prepare(services, route, request, request_id, path)
                    if route.upload:
                        call.raw = await uploads.receive(request)
                    answer = await route.handler(call)
                    response = _render(route, answer)
            except asyncio.CancelledError:
                log.info("request.abandoned")
                raise
            except Exception as error:
                response = _failure(error, request_id)
        if route.access.who == "company" or route.signed_answer:
            pairs = list(request.headers.items())
            response.headers.update(
                answer_signature(services, pairs, response.status, response.content_type or "", response.body or b"")
            )
        response.headers["X-Request-ID"] = request_id
        observe(route.name, response.status, clock.monotonic() - started)
        return response

    return endpoint


async def _prepare(services: Services, route: Route, request: Request, request_id: str, path: dict[str, str]) -> Call:
    """Check everything that does not need the handler, cheapest first."""
    call = Call(
        services,
        request_id,
        request.method,
        request.path,
        request.headers,
        list(request.headers.items()),
        request.body or b"",
    )
    call.query_text = request.query_string
    call.client_ip = _address(request)
    if len(call.raw) > BODY_BYTES:
        raise BodyTooLarge
    if route.access.who == "person":
        call._caller = await _principal(services, route, request, _check_access(services, route, request))
    elif route.access.who == "staff":
        call._staff = await _check_staff(services, route, request)
    if route.limit is not None:
        factor = services.settings.address_limit_factor
        counted = limits.by_caller(route, route.limit, call, services.vault, factor)
        await services.limiter.take(*counted, closed=route.limit.closed)
    call.path = {name: _path_value(name, value) for name, value in path.items()}
    if route.raw:
        return call
    call.query = _query(route, request)
    call.body = _body(route, request, call.raw)
    if route.limit is not None and (counted := limits.by_device(route, route.limit, call, services.vault)):
        await services.limiter.take(*counted, closed=route.limit.closed)
    if route.idempotent:
        call.once = _once(services, route, request, call)
    return call


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenRefused("missing")
    return token.strip()


async def _check_staff(services: Services, route: Route, request: Request) -> StaffCaller:
    """The tokens of people and of staff have different audiences: neither opens the other's doors."""
    caller = await services.staff_sessions.check(_bearer(request))
    if route.access.permission is not None and route.access.permission not in caller.permissions:
        raise PermissionMissing(permission=route.access.permission)
    return caller


def _check_access(services: Services, route: Route, request: Request) -> Caller:
    caller = services.access_tokens.check(_bearer(request))
    if caller.level < route.access.level:
        raise LevelTooLow(level=caller.level, needed=route.access.level)
    if route.access.fresh and clock.timestamp() - caller.proved_at > FRESH_S:
        raise ProofTooOld
    return caller


async def _principal(services: Services, route: Route, request: Request, caller: Caller) -> Caller:
    """The caller, acting for the organization he names; that he may is asked now, and again by the query that uses it."""
    named = request.headers.getall("on-behalf-of", [])
    if not named:
        return caller
    if route.access.scope is None or len(named) != 1:
        raise RequestMalformed(where="header.On-Behalf-Of", reason="not for an organization")
    principal = Principal(caller.person_id, _path_value("organization_id", named[0]))
    await services.mandates.require(principal, route.access.scope)
    return replace(caller, organization_id=principal.organization_id)


def _path_value(name: str, value: str) -> Any:
    """Ids are UUIDs; codes and tokens stay text. What has not its form cannot be found."""
    if name.endswith("_id"):
        try:
            parsed = UUID(value)
        except ValueError:
            raise NotFound(name) from None
        if str(parsed) != value:
            raise NotFound(name)
        return parsed
    if not value.isascii() or not value.isprintable() or len(value) > 200:
        raise NotFound(name)
    return value


def _query(route: Route, request: Request) -> Any:
    try:
        pairs = request.get_query_args(keep_blank_values=True, errors="strict") if request.query_string else []
    except UnicodeDecodeError:
        raise RequestMalformed(where="query", reason="bad_text") from None
    if route.query is None:
        if pairs:
            raise RequestMalformed(where=f"query.{pairs[0][0][:40]}", reason="unknown_field")
        return None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise RequestMalformed(where="query", reason="duplicate_key")
    if any("\0" in value for value in values.values()):
        raise RequestMalformed(where="query", reason="bad_text")
    try:
        return msgspec.convert(values, route.query, strict=False)
    except msgspec.ValidationError as error:
        raise RequestMalformed(where="query", reason=str(error)) from None


def _body(route: Route, request: Request, raw: bytes) -> Any:
    if route.upload:
        return None
    if route.body is None:
        if raw.strip() not in (b"", b"{}"):
            raise RequestMalformed(where="body", reason="no_body_expected")
        return None
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise MediaTypeUnsupported
    try:
        return decode(raw, route.body)
    except JsonRefused as error:
        raise RequestMalformed(where="body", reason=error.where or error.reason) from None


def _once(services: Services, route: Route, request: Request, call: Call) -> Once:
    key = request.headers.getall("idempotency-key", [])
    if len(key) != 1 or not _IDEMPOTENCY_KEY.fullmatch(key[0]):
        raise IdempotencyKeyMissing
    fingerprint = hashlib.sha256(f"{call.method} {call.path_text}\n".encode() + call.raw).digest()
    return Once(services.vault, _subject(call), route.name, key[0], fingerprint)


def _subject(call: Call) -> str:
    """Whose key it is: what somebody does for an organization is not what he does for himself."""
    assert call.caller_id is not None, "only who is logged in has keys"
    organization_id = call.caller.organization_id if call._caller is not None else None
    return call.caller_id if organization_id is None else f"{call.caller_id} for {organization_id}"


def _render(route: Route, answer: Answer) -> HTTPResponse:
    content = (
        answer.content
        if isinstance(answer.content, bytes)
        else msgspec.json.encode(answer.content)
        if answer.content is not None
        else b""
    )
    headers = {**_SECURITY_HEADERS, **answer.headers}
    return HTTPResponse(
        content or None, status=answer.status, headers=headers, content_type=answer.media_type if content else None
    )


def _failure(error: Exception, request_id: str) -> HTTPResponse:
    designed = known(error)
    if isinstance(designed, Unexpected):
        log.error("request.failed", error_type=type(error).__name__, exc_info=error)
    content, headers = problem(designed, request_id)
    if isinstance(error, SanicException):
        headers |= {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return HTTPResponse(
        msgspec.json.encode(content),
        status=content.status,
        headers={**_SECURITY_HEADERS, **headers},
        content_type="application/problem+json",
    )


async def _outside_routes(request: Request, error: Exception) -> HTTPResponse:
    """Errors before a route is found: wrong addresses, methods, sizes, broken requests."""
    request_id = _request_id(request)
    with bound(request_id=request_id, operation="none"):
        response = _failure(error, request_id)
    response.headers["X-Request-ID"] = request_id
    observe("none", response.status, 0.0)
    return response


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "") if request.headers else ""
    return given if _REQUEST_ID.fullmatch(given) else str(ids.new_id())


def _address(request: Request) -> str:
    """The client's address; what a proxy says counts only with the shared secret."""
    return (request.remote_addr if request.app.config.FORWARDED_SECRET else "") or request.ip
