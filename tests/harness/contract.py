"""The published contract as a judge: every answer of the real API is held against ``/openapi.json``.

:class:`Contract` is pure; :mod:`tests.api.conftest` hangs it into the client, so that no test has to ask for it.
"""

import json
import re
from typing import Any

import httpx
import jsonschema
from jsonschema import Draft202012Validator

SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
_UNROUTED = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 400: "request_malformed"}


class Contract:
    """What the document promises."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, int]] = set()
        """(operation id, status) of every answer judged so far."""
        self._paths = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in document["paths"]]
        self._validators: dict[tuple[str, int, str], Draft202012Validator] = {}

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation that answers `method` at `path`."""
        for pattern, template in self._paths:
            if pattern.fullmatch(path):
                return self.document["paths"][template].get(method.lower())
        return None

    def judge(self, response: httpx.Response) -> None:
        """Fail unless the answer is one the contract allows, with every header that belongs to it."""
        request = response.request
        where = f"{request.method} {request.url.raw_path.decode()} → {response.status_code} {response.text[:400]}"
        self._headers(response, where)
        path = request.url.raw_path.decode().partition("?")[0]
        operation = self.operation(request.method, path)
        if operation is None:
            assert response.json()["code"] == _UNROUTED.get(response.status_code), where
            return
        self.seen.add((operation["operationId"], response.status_code))
        promised = operation["responses"].get(str(response.status_code))
        assert promised is not None, f"undocumented: {where}"
        content = self._resolved(promised).get("content", {})
        if not content:
            assert response.content == b"", where
            return
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in content, where
        if media_type.endswith("json"):
            self._valid(operation, response.status_code, media_type, content[media_type]["schema"], response, where)

    def is_valid(self, schema: dict[str, Any], value: Any) -> list[str]:
        """What is wrong with `value` under a schema of the document."""
        validator = self._validator(schema)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def _valid(
        self, operation: dict[str, Any], status: int, media_type: str, schema: Any, response: httpx.Response, where: str
    ) -> None:
        key = (operation["operationId"], status, media_type)
        validator = self._validators.get(key) or self._validators.setdefault(key, self._validator(schema))
        errors = [
            f"{error.json_path}: {error.message}" for error in validator.iter_errors(json.loads(response.content))
        ]
        assert not errors, f"{where}: {errors}"

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        whole = {"allOf": [schema], "components": self.document["components"]}
        return Draft202012Validator(whole, format_checker=jsonschema.FormatChecker(["date", "uuid"]))

    def _headers(self, response: httpx.Response, where: str) -> None:
        headers = response.headers
        for name, value in SECURITY.items():
            assert headers.get_list(name) == [value], where
        assert "default-src 'none'" in headers["content-security-policy"], where
        assert "frame-ancestors 'none'" in headers["content-security-policy"], where
        assert headers["cache-control"] == "no-store" or headers["cache-control"].startswith("public"), where
        assert re.fullmatch(r"[0-9A-Za-z-]{8,40}", headers["x-request-id"]), where
        assert "alt-svc" not in headers, where
        assert "server" not in headers, where
        if response.status_code in (429, 503) and "problem" in headers["content-type"]:
            assert int(headers["retry-after"]) >= 1, where
        if response.status_code == 405:
            assert headers["allow"], where
        if "problem" in headers.get("content-type", ""):
            problem = response.json()
            assert problem["status"] == response.status_code, where
            assert problem["request_id"] == headers["x-request-id"], where
            assert problem["type"] == f"urn:lianban:problem:{problem['code']}", where

    def _resolved(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in answer:
            return self.document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        return answer
