"""Routes that need nobody: keys, contract, life."""

from api import docs, health, keys
from api.access import ANYBODY
from api.calls import Route

ROUTES: tuple[Route, ...] = (
    Route("GET", "/.well-known/jwks.json", keys.publish, ANYBODY, "登录凭据的公钥", keys.JwkSet, tag="运行", offline=True),
    Route("GET", "/openapi.json", docs.openapi, ANYBODY, "接口描述（OpenAPI 3.1）", dict, tag="运行", shed="report", offline=True),
    Route("GET", "/docs", docs.show, ANYBODY, "接口文档", None, media_type="text/html", tag="运行", shed="report", offline=True),
    Route("GET", "/livez", health.alive, ANYBODY, "进程活着", None, media_type="text/plain", tag="运行", offline=True),
)  # fmt: skip
