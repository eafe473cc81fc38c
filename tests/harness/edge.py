"""The real API with everything behind it, seen only over HTTP. Fixture of a whole module: ``edge``.

Jobs run when a test says so; the outside world stays silent but for what it answers. Every answer is held against the contract.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import httpx
import pytest
from sanic import Sanic

from api.openapi import document
from api.routes import ROUTES
from core import clock
from core.settings import Settings
from lianban.app import listen, running_api, services_for
from lianban.keys import Ports
from lianban.sandbox import SandboxProcess
from tests.harness.contract import Contract
from tests.harness.database import _Cleaner
from tests.harness.jobs import Jobs, Travel
from tests.harness.papers import photo
from tests.harness.senders import Senders
from tests.harness.spine import Citizen, Spine
from tests.harness.world import DevFiles


@dataclass
class Person:
    """Somebody logged in, with what his client keeps."""

    citizen: Citizen
    token: str
    bound: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """What his client sends with each call."""
        return {"Authorization": f"Bearer {self.token}"}


class Caller(Protocol):
    """Whoever is logged in."""

    @property
    def headers(self) -> dict[str, str]: ...


class Edge:
    """A client of the API, and the means to bring about what it asks for."""

    def __init__(self, http: httpx.AsyncClient, spine: Spine, app: Sanic, senders: Senders, contract: Contract) -> None:
        self.http = http
        self.spine = spine
        self.app = app
        self.senders = senders
        self.contract = contract
        self._uploads = 0

    async def call(
        self, method: str, path: str, body: Any = None, *, by: Caller | None = None, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """One call; `body` is encoded as JSON unless it is bytes."""
        headers = {**(by.headers if by else {}), **({"Idempotency-Key": key} if key else {}), **more.pop("headers", {})}
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            more["content"] = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.request(method, path, headers=headers, **more)

    async def told(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The content of a call that must succeed."""
        response = await self.call(method, path, body, **more)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def person(self, level: int = 2) -> Person:
        """Somebody new at this level: by WeChat, with his phone, or by the unified identity."""
        if level == 3:
            resident, _ = await self.spine.resident()
            return Person(resident, resident.opened.access_token)
        citizen = await self.spine.citizen()
        person = Person(citizen, citizen.opened.access_token)
        if level > 1:
            code = await self.spine.phone_code(citizen.phone_id)
            person.token = (await self.told("POST", "/v1/me/phone", {"code": code}, by=person))["access_token"]
        return person

    async def legal_person(self) -> Person:
        """Somebody new whom an organization's own login has just brought."""
        resident, _ = await self.spine.legal_person("王小明")
        return Person(resident, resident.opened.access_token)

    async def agent(self, person: Person) -> str:
        """An organization that `person` is the first agent of; its id."""
        organization_id = await self.spine.organization()
        await self.spine.services.first_agents.make(person.citizen.caller, organization_id, clock.now())
        return str(organization_id)

    async def bound(self, person: Person, *fens: int) -> dict[str, str]:
        """A new account with open bills, bound to `person` through the API: binding_id, account_id, bill_id, number."""
        number = await self.spine.account(*(fens or (4199,)))
        body = {"company": "water", "number": number, "proof": "123X"}
        binding = await self.told("POST", "/v1/bindings", body, by=person)
        await self.told("GET", f"/v1/utility-accounts/{binding['account_id']}/owed", by=person)
        bills = await self.told("GET", f"/v1/utility-accounts/{binding['account_id']}/bills", by=person)
        ids = {name: binding[name] for name in ("binding_id", "account_id")}
        person.bound = {**ids, "bill_id": bills["bills"][0]["bill_id"], "number": number}
        return person.bound

    async def payment(self, person: Person) -> str:
        """A new payment of a new account's bill; its id."""
        token = await self.spine.qr(await self.spine.account(4199))
        quote = await self.told("POST", "/v1/quotes", {"token": token}, by=person)
        created = await self.told(
            "POST", "/v1/payments", {"quote_ids": [quote["quote_id"]]}, by=person, key=uuid4().hex
        )
        return created["payment_id"]

    async def upload(
        self, by: Caller, content: bytes | None = None, paper: str = "id_card", **headers: str
    ) -> httpx.Response:
        """One upload of a paper, raw; without `content` a photo nobody has sent before."""
        self._uploads += 1
        sent = photo(16 + self._uploads) if content is None else content
        return await self.http.post(
            "/v1/materials", params={"paper": paper}, content=sent, headers={**by.headers, **headers}
        )

    async def material(self, person: Person) -> str:
        """A new material of `person`; its id."""
        response = await self.upload(person)
        assert response.status_code == 201, response.text
        return response.json()["material_id"]

    async def message(self, person: Person) -> str:
        """A new message for `person`: somebody else adds his account too; its id."""
        number = (await self.bound(person))["number"]
        other = await self.person()
        await self.told("POST", "/v1/bindings", {"company": "water", "number": number, "proof": "123X"}, by=other)
        await self.spine.jobs.run()
        return (await self.told("GET", "/v1/messages", by=person))["messages"][0]["message_id"]

    async def forget_limits(self) -> None:
        """Begin every rate limit anew."""
        await self.spine.services.redis.flushdb()


@pytest.fixture(scope="module")
async def edge(
    _cleaner: _Cleaner, settings: Settings, sandbox: SandboxProcess, ports: Ports, dev_files: DevFiles
) -> AsyncGenerator[Edge]:
    """Everything composed and running but the worker, for the tests of one module."""
    _cleaner.clean()
    assert settings.clock_file is not None
    travel = Travel(Path(settings.clock_file))
    travel.home()
    contract = Contract(json.loads(json.dumps(document(ROUTES))))

    async def judge(response: httpx.Response) -> None:
        await response.aread()
        contract.judge(response)

    async with AsyncExitStack() as stack:
        outside = await stack.enter_async_context(httpx.AsyncClient(base_url=sandbox.url, timeout=20, trust_env=False))
        services = await stack.enter_async_context(services_for(settings))
        app = await stack.enter_async_context(running_api(services, listen("127.0.0.1", ports.api)))
        stack.callback(Sanic._app_registry.pop, app.name, None)
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=settings.public_url, timeout=20, trust_env=False, event_hooks={"response": [judge]}
            )
        )
        spine = Spine(services, outside, Jobs(services, travel), travel)
        await spine.control("POST", "/reset")
        await spine.all_well()
        senders = Senders(dev_files.sandbox, settings.public_url.removeprefix("http://"))
        yield Edge(http, spine, app, senders, contract)
        assert spine.jobs.failures == []
