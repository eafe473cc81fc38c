"""The OpenAPI 3.1 description, made from the table of routes and the types of its requests and answers."""

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import msgspec
from msgspec import inspect

from api.calls import Access, Route
from api.errors import (
    RETRY_AFTER_S,
    STATUS,
    WORDS,
    AnswerLate,
    BodyTooLarge,
    IdempotencyKeyMissing,
    LevelTooLow,
    MediaTypeUnsupported,
    PermissionMissing,
    Problem,
    ProofTooOld,
    RequestMalformed,
    RequestTimedOut,
    SignatureWrong,
    Unexpected,
)
from api.fields import example, filled, placeholders, sample, sample_id, words
from api.shedding import Overloaded
from core.database import DatabaseAway
from core.errors import LianbanError, NotFound
from core.redis import LimiterAway, RateLimited
from domain.identity.mandates import ScopeMissing
from domain.identity.tokens import TokenRefused
from models.idempotency import KeyInFlight, KeyReused

VERSION = "1"
LEVELS = {1: "微信登录", 2: "已验证手机号", 3: "已实名"}
PROBLEM = "application/problem+json"

_SCHEMAS = "#/components/schemas/"
_PLATFORM_SCHEMES = {
    "api.callbacks.alipay": "alipay",
    "api.callbacks.wechat_pay": "wechatPay",
    "api.callbacks.wechat": "wechatPush",
    "api.callbacks.construction_platform": "constructionPlatform",
}
_SECURITY_SCHEMES = {
    "person": {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "登录得到的访问凭据（EdDSA，typ 为 at+jwt），十分钟有效；公钥在 /.well-known/jwks.json。",
    },
    "staff": {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "工作人员登录得到的凭据（受众 lianban:staff），市民的凭据不能用；十五分钟不操作就失效，用着时换新的。",
    },
    "company": {
        "type": "apiKey", "in": "header", "name": "Signature",
        "description": "收费单位的 HTTP 消息签名（RFC 9421，ed25519，标签 sig1），覆盖 @method、@authority、@path、content-type、"
        "content-digest，同时带 Signature-Input 和 Content-Digest；created 与现在相差不超过 300 秒。详见收费单位接口文档。",
    },
    "device": {
        "type": "apiKey", "in": "header", "name": "Signature",
        "description": "设备的 HTTP 消息签名，写法和收费单位的一样（RFC 9421，ed25519，标签 sig1）：keyid 是设备的编号，nonce 每次不同，"
        "created 与现在相差不超过 300 秒。详见设备接口文档。",
    },
    "wechatPay": {
        "type": "apiKey", "in": "header", "name": "Wechatpay-Signature",
        "description": "微信支付 API v3 的通知签名（WECHATPAY2-SHA256-RSA2048），同时带 Wechatpay-Timestamp、Wechatpay-Nonce、"
        "Wechatpay-Serial；时间与现在相差不超过 300 秒。",
    },
    "alipay": {
        "type": "http", "scheme": "RSA2",
        "description": "支付宝异步通知的签名（RSA2）：表单里除 sign、sign_type 以外的字段按名称排序后验签，sign 是表单的一项，不在请求头里。",
    },
    "constructionPlatform": {
        "type": "apiKey", "in": "header", "name": "Signature",
        "description": "工改平台的 HTTP 消息签名，写法和收费单位的一样（RFC 9421，ed25519，标签 sig1），用工改平台自己的密钥。详见工改推送接口文档。",
    },
    "wechatPush": {
        "type": "apiKey", "in": "query", "name": "msg_signature",
        "description": "微信消息推送的安全模式：msg_signature、timestamp、nonce、encrypt_type=aes；验证地址时是 signature、timestamp、"
        "nonce、echostr。",
    },
}  # fmt: skip
_HEADERS = {
    "RequestId": {
        "description": "这次请求的编号；客户端给的合适就用客户端的。找客服时报它。",
        "schema": {"type": "string", "pattern": "^[0-9A-Za-z-]{8,40}$"},
        "example": sample_id("request_id"),
    },
    "RetryAfter": {
        "description": "过几秒再试。", "schema": {"type": "integer", "minimum": 1}, "example": RETRY_AFTER_S,
    },
    "WwwAuthenticateBearer": {"schema": {"type": "string"}, "example": 'Bearer realm="lianban"'},
    "WwwAuthenticateSignature": {"schema": {"type": "string"}, "example": 'Signature realm="lianban"'},
}  # fmt: skip
_REQUEST_ID = {
    "name": "X-Request-ID", "in": "header", "required": False, "schema": {"type": "string"}, "example": sample_id("request_id"),
    "description": "客户端给这次请求的编号：8 到 40 个字母、数字、短横；不合适就由我们另给。",
}  # fmt: skip
_BINARY = {"schema": {"type": "string", "format": "binary"}, "example": "（文件的内容）"}
_REQUEST_ID_HEADER = {"$ref": "#/components/headers/RequestId"}
_ETAG = {
    "description": "内容的标记，内容变了它就变。",
    "schema": {"type": "string"},
    "example": '"5f0c1d7a9b3e4c2d8f6a7b1c0d9e8f7a"',
}
_IF_NONE_MATCH = {
    "name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}, "example": '"5f0c1d7a9b3e4c2d8f6a7b1c0d9e8f7a"',
    "description": "已有的内容的标记（上次回答里的 ETag）；没有变时答 304，不再传内容。",
}  # fmt: skip
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": sample_id("idempotency_key"),
    "description": "客户端给这次提交的编号。没收到回答或收到 503 时用同一编号、同一内容再提交，得到同一结果；保留 72 小时。",
}  # fmt: skip
_ON_BEHALF_OF = {
    "name": "On-Behalf-Of", "in": "header", "required": False, "schema": {"type": "string", "format": "uuid"}, "example": sample_id("organization_id"),
    "description": "替单位办的时候写单位的编号（见 GET /v1/organizations）；不写就是本人自己的事。不是它的经办人和没有这个单位，回答一样。",
}  # fmt: skip
_ABOUT = """水、电、气、网报装和缴费“一件事联办”的接口。

所有错误都是 problem details（RFC 9457）：程序按 `code` 判断，`title` 和 `detail` 给人看。没有列出的地址答 404 `not_found`，
地址对而方法不对答 405 `method_not_allowed` 并带 `Allow`。不是本人的和不存在的，回答一样。请求里多出来的字段、重复的字段都不接受；
正文最多 64 KiB。金额都是整数，单位为分；时间都带时区。任何操作收到 503，都表示结果还不确定；
只有 `overloaded` 表示人太多，这次还没有办。"""


AREAS: dict[str, str] = tomllib.loads((Path(__file__).parent / "areas.zh-CN.toml").read_text(encoding="utf-8"))
"""Which call follows which, by area."""


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The description of `routes`, always the same for the same table."""
    components = schemas(routes)
    paths: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    for route in routes:
        described = operation(route, components)
        described["responses"] = {
            status: _shared(status, answer, shared) for status, answer in described["responses"].items()
        }
        paths.setdefault(route.path, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "联办", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": tag, "description": AREAS[tag]} if tag in AREAS else {"name": tag}
            for tag in dict.fromkeys(route.tag for route in routes)
        ],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": dict(sorted(shared.items())),
            "headers": _HEADERS,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def problems(route: Route) -> dict[int, list[type[LianbanError]]]:
    """The designed errors of a route by status: those it names, and those that follow from its row."""
    found: set[type[LianbanError]] = {*route.errors, Unexpected, AnswerLate}
    if not route.offline:
        found.add(DatabaseAway)
    if route.shed is not None:
        found.add(Overloaded)
    if route.access.who == "person":
        found.add(TokenRefused)
        found |= {LevelTooLow} if route.access.level > 1 else set()
        found |= {ProofTooOld} if route.access.fresh else set()
        found |= {NotFound, ScopeMissing} if route.access.scope else set()
    if route.access.who == "staff":
        found.add(TokenRefused)
        found |= {PermissionMissing} if route.access.permission else set()
    if route.limit is not None:
        found |= {RateLimited, LimiterAway} if route.limit.closed else {RateLimited}
    if "{" in route.path:
        found.add(NotFound)
    if not route.raw:
        found |= {RequestMalformed, MediaTypeUnsupported} if route.body else {RequestMalformed}
    if route.upload:
        found |= {MediaTypeUnsupported, RequestMalformed, Overloaded}
    if route.method != "GET":
        found |= {BodyTooLarge, RequestTimedOut}
    if route.idempotent:
        found |= {IdempotencyKeyMissing, KeyInFlight, KeyReused}
    by_status: dict[int, list[type[LianbanError]]] = {}
    for error in sorted(found, key=lambda error: (STATUS[error], error.code)):
        by_status.setdefault(STATUS[error], []).append(error)
    return by_status


def access(route: Route) -> str:
    """Who may call, in Chinese."""
    row: Access = route.access
    match row.who:
        case "anybody":
            text = "谁都可以调用，不用登录。"
        case "person":
            text = f"本人登录后调用，身份等级至少 {row.level}（{LEVELS[row.level]}）。"
        case "staff":
            text = "工作人员登录后调用" + (f"，角色要有权限 {row.permission}。" if row.permission else "。")
        case "company":
            text = "收费单位用自己的密钥签名后调用。"
        case "device":
            text = "登记过的设备用自己的密钥签名后调用。"
        case "platform":
            text = "由平台签名后调用。"
    if row.scope is not None:
        text += f"也可以替单位办，授权里要有 {row.scope}。"
    if row.fresh:
        text += "要用五分钟内的身份验证。"
    if route.limit is not None:
        text += f"每分钟最多 {route.limit.count} 次。"
    if route.idempotent:
        text += "必须带 Idempotency-Key。"
    return text


def schemas(routes: Iterable[Route]) -> dict[str, Any]:
    """The schemas of all types of the table and of problem details, by name."""
    types: dict[Any, None] = {Problem: None}
    for route in routes:
        answers = (*_variants(route.answer), *dict(route.others).values())
        types |= dict.fromkeys(t for t in (route.body, route.query, *answers) if t)
    structs = [type_ for type_ in types if isinstance(type_, type) and issubclass(type_, msgspec.Struct)]
    _, components = msgspec.json.schema_components(structs, ref_template=_SCHEMAS + "{name}")
    moments = _moments(structs)
    for owner, schema in components.items():
        for name, member in schema.get("properties", {}).items():
            text = words(owner, name)
            if text and "description" not in member:
                member["description"] = text
            if (owner, name) in moments:
                _as_moment(member)
        _as_ecma(schema)
    return dict(sorted(components.items()))


def operation(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    """One operation."""
    described: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": access(route),
        "tags": [route.tag],
        "security": _security(route),
        "x-access": {
            "who": route.access.who,
            "level": route.access.level,
            "fresh": route.access.fresh,
            "scope": route.access.scope,
            "permission": route.access.permission,
        },
        "parameters": [*_path_parameters(route), *_query_parameters(route, components), _REQUEST_ID],
    }
    if route.access.scope is not None:
        described["parameters"].append(_ON_BEHALF_OF)
    if route.idempotent:
        described["parameters"].append(_IDEMPOTENCY_KEY)
    if body := request_body(route, components):
        described["requestBody"] = body
    answers = {route.status: _answer(route.answer, route.media_type, components)}
    answers |= {status: _answer(type_, "application/json", components) for status, type_ in route.others}
    if route.tagged:
        described["parameters"].append(_IF_NONE_MATCH)
        answers[route.status]["headers"] = answers[route.status]["headers"] | {"ETag": _ETAG}
        answers[304] = {"description": "没有变", "headers": {"X-Request-ID": _REQUEST_ID_HEADER, "ETag": _ETAG}}
    answers |= {
        status: _problem(status, errors, components, answers.get(status)) for status, errors in problems(route).items()
    }
    described["responses"] = {str(status): answers[status] for status in sorted(answers)}
    return described


def request_example(route: Route, components: dict[str, Any]) -> Any:
    """The example of the route's body with samples in place of its placeholders; None where it takes none."""
    if route.example is not None:
        owner = route.body.__name__ if route.body else ""
        values = {name: _filling(owner, name) for name in placeholders(route.example)}
        return filled(route.example, values)
    return example({"$ref": _SCHEMAS + route.body.__name__}, components) if route.body else None


def request_body(route: Route, components: dict[str, Any]) -> dict[str, Any] | None:
    """The body the route takes; what a platform sends is defined by the platform."""
    if route.upload:
        part = {"type": "object", "properties": {"file": _BINARY["schema"]}, "required": ["file"]}
        words_ = "文件本身，或者表单里唯一的一项 file。类型只看内容：JPG、PNG、PDF。"
        content = {
            "multipart/form-data": {"schema": part, "example": {"file": _BINARY["example"]}},
            "application/octet-stream": _BINARY,
        }
        return {"required": True, "description": words_, "content": content}
    if route.body is not None:
        content = {"schema": {"$ref": _SCHEMAS + route.body.__name__}, "example": request_example(route, components)}
        return {"required": True, "content": {"application/json": content}}
    if route.raw and route.method == "POST":
        return {"required": True, "description": "内容由平台规定。", "content": {"*/*": {"schema": {}}}}
    return None


def _filling(owner: str, name: str) -> Any:
    """A sample for the placeholder `name`: ids are made, codes and tokens stand in the catalogue under the member they fill."""
    if name.endswith("_id"):
        return sample_id(name)
    return sample(owner, name) or sample(owner, name.rpartition("_")[2])


def _security(route: Route) -> list[dict[str, list[str]]]:
    match route.access.who:
        case "anybody":
            return []
        case "platform":
            return [{_PLATFORM_SCHEMES[route.handler.__module__]: []}]
        case who:
            return [{who: []}]


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [
        {
            "name": name, "in": "path", "required": True, "description": words("", name) or name,
            "schema": {"type": "string", "format": "uuid"} if name.endswith("_id") else {"type": "string", "maxLength": 200},
            "example": sample_id(name) if name.endswith("_id") else sample("", name),
        }
        for name in names
    ]  # fmt: skip


def _query_parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    owner = route.query.__name__
    schema = components[owner]
    parameters = []
    for name, member in schema["properties"].items():
        shape = {key: value for key, value in member.items() if key not in ("anyOf", "description")}
        # In a query a member is left out, never null.
        variants = [inner for inner in member.get("anyOf", ()) if inner.get("type") != "null"]
        shape |= variants[0] if variants else {}
        if shape.get("default", ...) is None:
            del shape["default"]
        described = {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": shape}
        described["description"] = member.get("description", name)
        described["example"] = example(member, components, owner, name)
        parameters.append(described)
    return parameters


def _answer(type_: Any, media_type: str, components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": "成功",
        "headers": {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}},
    }
    if structs := [one for one in _variants(type_) if isinstance(one, type) and issubclass(one, msgspec.Struct)]:
        references = [{"$ref": _SCHEMAS + one.__name__} for one in structs]
        schema = references[0] if len(references) == 1 else {"anyOf": references}
        described["content"] = {media_type: {"schema": schema, "example": example(references[0], components)}}
    elif type_ is dict:
        described["content"] = {media_type: {"schema": {"type": "object"}, "example": {"openapi": "3.1.0"}}}
    elif media_type == "application/octet-stream":
        described["content"] = {media_type: _BINARY}
    elif media_type.startswith("text/"):
        text = "<!doctype html>" if media_type == "text/html" else "ok"
        described["content"] = {media_type: {"schema": {"type": "string"}, "example": text}}
    return described


def _variants(type_: Any) -> tuple[Any, ...]:
    """The types an answer may be of."""
    return get_args(type_) if isinstance(type_, UnionType) else (type_,)


def _problem(
    status: int, errors: list[type[LianbanError]], components: dict[str, Any], other: dict[str, Any] | None
) -> dict[str, Any]:
    codes = sorted({error.code for error in errors})
    headers = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == 401:
        scheme = "Signature" if SignatureWrong in errors else "Bearer"
        headers["WWW-Authenticate"] = {"$ref": f"#/components/headers/WwwAuthenticate{scheme}"}
    code = codes[0]
    shown = example({"$ref": _SCHEMAS + "Problem"}, components) | {
        "type": f"urn:lianban:problem:{code}", "title": WORDS[code].title, "status": status, "detail": WORDS[code].detail, "code": code,
    }  # fmt: skip
    narrowed = {"type": "object", "properties": {"code": {"enum": codes}, "status": {"const": status}}}
    schema = {"allOf": [{"$ref": _SCHEMAS + "Problem"}, narrowed]}
    description = "\n".join(f"- `{code}` {WORDS[code].title}" for code in codes)
    content = {**(other or {}).get("content", {}), PROBLEM: {"schema": schema, "example": shown}}
    return {"description": description, "headers": headers, "content": content}


def _shared(status: str, answer: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """A reference in place of an answer that is problem details only: many operations have the same."""
    if list(answer.get("content", ())) != [PROBLEM]:
        return answer
    codes = answer["content"][PROBLEM]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    name = ".".join((status, *codes))
    shared[name] = answer
    return {"$ref": f"#/components/responses/{name}"}


def _moments(structs: Sequence[type]) -> set[tuple[str, str]]:
    """(type, member) of every time: msgspec says nothing of their format."""
    found: set[tuple[str, str]] = set()
    waiting = list(inspect.multi_type_info(structs))
    seen: set[type] = set()
    while waiting:
        info = waiting.pop()
        match info:
            case inspect.StructType():
                if info.cls not in seen:
                    seen.add(info.cls)
                    for member in info.fields:
                        waiting.append(member.type)
                        if _is_moment(member.type):
                            found.add((info.cls.__name__, member.encode_name))
            case inspect.UnionType():
                waiting += info.types
            case inspect.ListType():
                waiting.append(info.item_type)
            case inspect.Metadata():
                waiting.append(info.type)
            case _:
                pass
    return found


def _is_moment(info: inspect.Type) -> bool:
    if isinstance(info, inspect.UnionType):
        return any(_is_moment(inner) for inner in info.types)
    return isinstance(info, inspect.DateTimeType)


def _as_moment(member: dict[str, Any]) -> None:
    for shape in member.get("anyOf", [member]):
        if shape.get("type") == "string":
            shape["format"] = "date-time"


def _as_ecma(schema: Any) -> None:
    r"""JSON Schema's patterns are ECMA-262: its ends are ``^`` and ``$``, not ``\A`` and ``\Z``."""
    if isinstance(schema, list):
        for inner in schema:
            _as_ecma(inner)
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            schema["pattern"] = schema["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
        for inner in schema.values():
            _as_ecma(inner)
