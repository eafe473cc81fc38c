"""Routes that need nobody: keys, contract, life."""

from api import docs, health, keys, web
from api.access import ANYBODY
from api.calls import Route
from core.errors import NotFound

ROUTES: tuple[Route, ...] = (
    Route("GET", "/", web.lead, ANYBODY, "到手机网页去", None, 302, media_type="text/html", raw=True, tag="运行", offline=True),
    # Who is sent back here by a login page or a cashier brings a query along; the page reads it, not we.
    Route("GET", "/h5/", web.show, ANYBODY, "手机网页", None, media_type="text/html", raw=True, tag="运行", offline=True),
    Route(
        "GET", "/h5/assets/{name}", web.asset, ANYBODY, "手机网页的脚本和样式", None, media_type="text/javascript", raw=True,
        errors=(NotFound,), tag="运行", offline=True,
    ),
    Route("GET", "/.well-known/jwks.json", keys.publish, ANYBODY, "登录凭据的公钥", keys.JwkSet, tag="运行", offline=True),
    Route("GET", "/openapi.json", docs.openapi, ANYBODY, "接口描述（OpenAPI 3.1）", dict, tag="运行", shed="report", offline=True),
    Route("GET", "/docs", docs.show, ANYBODY, "接口文档", None, media_type="text/html", tag="运行", shed="report", offline=True),
    Route("GET", "/livez", health.alive, ANYBODY, "进程活着", None, media_type="text/plain", tag="运行", offline=True),
)  # fmt: skip
