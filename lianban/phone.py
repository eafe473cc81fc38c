"""A citizen's phone for demos: what the mini-program does over HTTP, and what the person does in WeChat (played by the sandbox)."""

from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx


class CallFailed(Exception):
    """An answer that the story did not expect; carries the problem's code and words."""

    def __init__(self, response: httpx.Response) -> None:
        body = response.json() if "json" in response.headers.get("content-type", "") else {}
        super().__init__(
            f"{response.request.method} {response.request.url.path} → {response.status_code} {body.get('code', '')} {body.get('title', '')}"
        )
        self.status = response.status_code
        self.problem = body


class Phone:
    """One person with a phone. `api` and `sandbox` are base addresses."""

    def __init__(self, api: str, sandbox: str, appid: str) -> None:
        self._appid = appid
        self._client_id = uuid4().hex
        self._api = httpx.AsyncClient(base_url=api, timeout=15, trust_env=False)
        self.sandbox = httpx.AsyncClient(base_url=sandbox, timeout=15, trust_env=False)
        self.person: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}
        self.organization_id: str | None = None
        """The organization that this person acts for on this device, if he does."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.aclose()
        await self.sandbox.aclose()

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """One call of our API as this person; the decoded answer.

        Raises:
            CallFailed: the answer is not 2xx.
        """
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.tokens else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        if self.organization_id is not None:
            headers["On-Behalf-Of"] = self.organization_id
        response = await self._api.request(method, path, json=body, headers=headers)
        if not response.is_success:
            raise CallFailed(response)
        return response.json() if response.content else None

    async def upload(self, paper: str, content: bytes) -> str:
        """Upload a paper of this kind; the material's id.

        Raises:
            CallFailed.
        """
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        if self.organization_id is not None:
            headers["On-Behalf-Of"] = self.organization_id
        response = await self._api.post(f"/v1/materials?paper={paper}", content=content, headers=headers)
        if not response.is_success:
            raise CallFailed(response)
        return response.json()["material_id"]

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """One control call of the sandbox."""
        response = await self.sandbox.request(method, f"/control{path}", json=body)
        if not response.is_success:
            raise CallFailed(response)
        return response.json() if response.content else None

    async def become(self, nickname: str, phone: str) -> dict[str, Any]:
        """Take the person of this nickname in the sandbox's WeChat, made if there is none."""
        known = (await self.control("GET", "/people"))["people"]
        self.person = next((person for person in known if person["nickname"] == nickname), None) or await self.control(
            "POST", "/people", {"nickname": nickname, "phone": phone}
        )
        return self.person

    async def log_in(self) -> dict[str, Any]:
        """wx.login and our login."""
        code = (await self.control("POST", f"/people/{self.person['person_id']}/login-code", {"appid": self._appid}))[
            "code"
        ]
        self.tokens = await self.call(
            "POST",
            "/v1/sessions/wechat-mini-program",
            {"code": code, "client_id": self._client_id, "client_label": "演示手机"},
        )
        return self.tokens

    async def log_in_at(self, source: str, person_id: str, page: str, credit_code: str | None = None) -> dict[str, Any]:
        """The trip to a door of the unified identity and back to `page`, with this phone's browser and its cookie.

        Raises:
            CallFailed: a step was refused; the last one too when the page came back with an error instead of a handover code.
        """
        acting_as = "organization" if credit_code else "person"
        begun = {"source": source, "return_url": page, "client_id": self._client_id, "acting_as": acting_as}
        started = await self.call("POST", "/v1/sessions/unified/start", begun)
        chosen = {"login_url": started["login_url"], **({"credit_code": credit_code} if credit_code else {})}
        address = (await self.control("POST", f"/unified/people/{person_id}/login", chosen))["location"]
        back = await self._api.get(address, follow_redirects=False)
        word, _, handover = back.headers.get("location", "").rpartition("#")[2].rpartition("?")[2].partition("=")
        if word != "handover":
            raise CallFailed(back)
        ended = {"handover": handover, "client_id": self._client_id, "client_label": "演示浏览器"}
        self.tokens = await self.call("POST", "/v1/sessions/unified/finish", ended)
        return self.tokens

    async def join_at(self, source: str, person_id: str, page: str) -> dict[str, Any]:
        """Prove a second identity at `source` in this session, and join it.

        Raises:
            CallFailed: as :meth:`log_in_at`.
        """
        begun = {"source": source, "return_url": page, "client_id": self._client_id}
        started = await self.call("POST", "/v1/identities/start", begun)
        gone = await self._api.get(started["login_url"], follow_redirects=False)
        if "location" not in gone.headers:
            raise CallFailed(gone)
        chosen = {"login_url": gone.headers["location"]}
        address = (await self.control("POST", f"/unified/people/{person_id}/login", chosen))["location"]
        back = await self._api.get(address, follow_redirects=False)
        word, _, handover = back.headers.get("location", "").rpartition("#")[2].rpartition("?")[2].partition("=")
        if word != "handover":
            raise CallFailed(back)
        ended = {"handover": handover, "client_id": self._client_id, "client_label": "演示手机"}
        self.tokens = await self.call("POST", "/v1/identities/join", ended)
        return self.tokens

    async def prove_phone(self) -> dict[str, Any]:
        """The phone number button and our level 2."""
        code = (await self.control("POST", f"/people/{self.person['person_id']}/phone-code", {"appid": self._appid}))[
            "code"
        ]
        raised = await self.call("POST", "/v1/me/phone", {"code": code})
        self.tokens["access_token"] = raised["access_token"]
        return raised

    async def allow_messages(self, template_ids: list[str]) -> Any:
        """The subscription pop-up, accepted."""
        return await self.control(
            "POST",
            f"/people/{self.person['person_id']}/subscribe",
            {"appid": self._appid, "template_ids": template_ids, "accept": True},
        )

    async def pay(self, params: dict[str, Any]) -> dict[str, Any]:
        """wx.requestPayment with the password typed."""
        return await self.control("POST", f"/people/{self.person['person_id']}/pay", params)

    async def messages(self) -> list[dict[str, Any]]:
        """Subscription messages that reached this phone."""
        return (await self.control("GET", f"/people/{self.person['person_id']}/messages"))["messages"]

    async def follow(self, appid: str) -> Any:
        """Follow this official account."""
        return await self.control("POST", f"/people/{self.person['person_id']}/follow", {"appid": appid})

    async def official_messages(self, appid: str) -> list[dict[str, Any]]:
        """Template messages of this official account that reached this phone."""
        return (await self.control("GET", f"/people/{self.person['person_id']}/official/{appid}"))["messages"]
