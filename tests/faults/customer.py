"""A person with a phone whose calls get through: what is cut off or refused for now is sent again, under the same key."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx

from lianban.phone import CallFailed, Phone
from tests.faults.world import World

COMPANY = "water"
PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.15
_AGAIN = ("idempotency_in_flight", "payment_closing", "stale_state", "request_timed_out")
PROOF = "0041"
ELSEWHERE = {"gas": "Q2{:08}", "power": "42900{:08}"}
"""Companies that a combined payment pays as well, and how they number their accounts."""
_BILL_FEN = 4199
_IN_A_POPUP = 5
"""Templates that WeChat asks about at once, at most."""
_CREDITS = "select count(*) from subscription_credit c join session s on s.user_id = c.user_id where s.id = %s"


class Customer(Phone):
    """One person, one account at one company, one bill, all new; on some journeys one more at each of two other companies."""

    def __init__(self, world: World, arm_at: str | None = None, point: str | None = None) -> None:
        super().__init__(world.settings.public_url, world.sandbox.url, world.settings.wechat.appid)
        self.world = world
        self._arm_at, self._point = arm_at, point
        self.number = f"03{random.randrange(10**8):08}"
        self.bill_no = f"W-{self.number}"
        self.qr_token = ""
        self.elsewhere: dict[str, tuple[str, str]] = {}
        """Company → (account number, the code it has printed)."""
        self.account_id = ""
        self.payments: list[str] = []
        self._allowed = 0

    def stage(self, name: str) -> None:
        """A part of the journey begins; here is where some points are armed."""
        if self._point is not None and name == self._arm_at:
            self.world.arm(self._point)

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """As the phone's, sent again until an answer comes."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await super().call(method, path, body, key=key)
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
            except CallFailed as failed:
                wait = failed.status >= 502 or failed.problem.get("code") in _AGAIN
                if not wait or time.monotonic() > end:
                    raise
            await asyncio.sleep(_LOOK_EVERY_S)

    async def refused(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> str:
        """The code with which a call is refused for good."""
        try:
            await self.call(method, path, body, key=key)
        except CallFailed as failed:
            return failed.problem.get("code", "")
        raise AssertionError(f"{method} {path} should be refused")

    async def try_once(self, method: str, path: str) -> None:
        """A call that gets no useful answer, and is not sent again."""
        with suppress(httpx.TransportError, CallFailed):
            await super().call(method, path)

    async def until(self, look: Callable[[], Any], what: str) -> Any:
        """Look again and again until `look` (sync or async) sees something."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            seen = look()
            if asyncio.iscoroutine(seen):
                seen = await seen
            if seen:
                return seen
            await asyncio.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"never seen: {what}")

    # What the company does

    async def company_prints_bill(self) -> None:
        """The company opens the account, gets our QR code, issues the bill and tells us."""
        await self.company_opens_account()
        await self.company_gets_qr_code()
        await self.company_issues_bill(event=True)

    async def company_opens_account(self) -> None:
        """A new account at the company; we know nothing of it."""
        account = {
            "number": self.number,
            "holder_name": "陈小红",
            "holder_id_last4": PROOF,
            "holder_mobile": "13800000002",
        }
        await self.control("POST", f"/companies/{COMPANY}/accounts", account)

    async def company_gets_qr_code(self) -> None:
        """The company asks for a code until it gets one."""
        self.qr_token = await self._qr_code(COMPANY, self.number)

    async def _qr_code(self, company: str, number: str) -> str:
        async def ask() -> str | None:
            asked = {"account_number": number, "label": "账单"}
            issued = await self.control("POST", f"/companies/{company}/qr-codes", asked)
            return issued["answer"]["token"] if issued["status"] == 200 else None

        return await self.until(ask, "a QR code")

    async def company_opens_prepaid_account(self, company: str = "power") -> None:
        """An account elsewhere that is paid in advance, and the person's binding to it."""
        number = ELSEWHERE[company].format(random.randrange(10**8))
        account = {
            "number": number, "holder_name": "陈小红", "holder_id_last4": PROOF, "holder_mobile": "13800000002", "prepaid": True,
            "balance_fen": 1500,
        }  # fmt: skip
        await self.control("POST", f"/companies/{company}/accounts", account)
        self.elsewhere[company] = (number, "")
        bound = {"company": company, "number": number, "proof": PROOF, "label": "预存"}
        self.account_id = (await self.call("POST", "/v1/bindings", bound))["account_id"]

    async def tops_up(self, fen: int) -> str:
        """Press the button for so much in advance; every try carries the same key."""
        self.stage("topping up")
        path = f"/v1/utility-accounts/{self.account_id}/top-ups"
        payment = await self.call("POST", path, {"amount_fen": fen}, key=str(uuid4()))
        self.payments.append(payment["payment_id"])
        return payment["payment_id"]

    async def others_print_bills(self) -> None:
        """Two other companies each open an account, print its code and issue a bill of another amount."""
        for place, (company, form) in enumerate(ELSEWHERE.items(), 1):
            number = form.format(random.randrange(10**8))
            account = {
                "number": number, "holder_name": "陈小红", "holder_id_last4": PROOF, "holder_mobile": "13800000002",
            }  # fmt: skip
            await self.control("POST", f"/companies/{company}/accounts", account)
            bill = {
                "account_number": number, "bill_no": f"{company}-{number}", "period": "2026-10", "principal_fen": _BILL_FEN + place,
                "event": False,
            }  # fmt: skip
            await self.control("POST", f"/companies/{company}/bills", bill)
            self.elsewhere[company] = (number, await self._qr_code(company, number))

    async def company_issues_bill(self, *, event: bool, **more: str) -> None:
        """One bill of 41.99 yuan."""
        bill = {
            "account_number": self.number,
            "bill_no": self.bill_no,
            "period": "2026-10",
            "principal_fen": _BILL_FEN,
            "event": event,
        }
        await self.control("POST", f"/companies/{COMPANY}/bills", bill | more)

    async def company_ledger(self, company: str = COMPANY) -> dict[str, Any]:
        """A company's own record."""
        return await self.control("GET", f"/companies/{company}/ledger")

    async def fault(self, counterpart: str, operation: str, fault: str, **more: Any) -> None:
        """Let something go wrong outside."""
        await self.control(
            "POST", "/faults", {"counterpart": counterpart, "operation": operation, "fault": fault, **more}
        )

    # What the person does

    async def enter(self) -> None:
        """Log in, prove the phone, allow messages."""
        await self.control("POST", "/people", {"nickname": self.number, "phone": f"139{self.number[2:]}"})
        await self.become(self.number, "")
        await self._with_fresh_code(self.log_in, "login_code_refused")
        await self._with_fresh_code(self.prove_phone, "phone_code_refused")
        await self.allow_all_messages()

    async def allow_all_messages(self) -> None:
        """The pop-up, accepted: one message of each template, once we have heard of it. Two within a second would count as one."""
        templates = list(self.world.settings.wechat.templates.values())
        for first in range(0, len(templates), _IN_A_POPUP):
            await self.allow_messages(templates[first : first + _IN_A_POPUP])
        self._allowed += len(templates)

        session_id = self.tokens["session_id"]
        await self.until(lambda: self.world.scalar(_CREDITS, session_id) == self._allowed, "what was allowed")

    async def log_in_anew(self) -> None:
        """Log in, with a fresh code while the answer is lost."""
        await self._with_fresh_code(self.log_in, "login_code_refused")

    async def proves_by_text_message(self) -> bool:
        """Ask for a code to a number, read it, type it; another number when none arrives."""
        number = f"137{random.randrange(10**8):08}"
        try:
            asked = await self.call("POST", "/v1/me/phone-codes", {"phone": number})
        except CallFailed as failed:
            if failed.problem.get("code") != "rate_limited":
                raise
            return False
        for _ in range(30):
            texts = (await self.control("GET", f"/sms?number=%2B86{number}"))["messages"]
            if texts:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        else:
            return False
        assert len(texts) == 1, "a code leaves once"
        code = texts[0]["text"].partition("验证码 ")[2][:6]
        try:
            await self.call("POST", f"/v1/me/phone-codes/{asked['code_id']}/proof", {"sms_code": code})
        except CallFailed as failed:
            # The answer was lost and the code is used: then the number is proved.
            if failed.problem.get("code") != "sms_code_refused":
                raise
        return (await self.call("GET", "/v1/me"))["level"] == 2

    async def company_gets_mini_program_code(self) -> bool:
        """The company asks for its code as WeChat draws it."""
        asked = {"token": self.qr_token, "kind": "mini_program"}
        answered = await self.control("POST", f"/companies/{COMPANY}/qr-codes/wechat", asked)
        return answered["status"] == 200 and len(answered["answer"]["picture"]) > 100

    async def switches_messages_off(self) -> None:
        """In WeChat's settings, and we do not hear of it."""
        wechat = self.world.settings.wechat
        await self.fault("wechat", "message_push", "silence", times=1)
        off = {
            "appid": wechat.appid,
            "template_ids": list(wechat.templates.values()),
            "accept": False,
            "via": "settings",
        }
        await self.control("POST", f"/people/{self.person['person_id']}/subscribe", off)

    async def follows(self) -> None:
        """Follow the official account, and wait until we know by which unionid."""
        await self.control("POST", f"/people/{self.person['person_id']}/follow", {"appid": self._account})
        known = (
            "select count(*) from follower f join login_user u on u.union_subject_index = f.union_subject_index"
            " join session s on s.user_id = u.id where f.subscribed and s.id = %s"
        )
        await self.until(lambda: self.world.scalar(known, self.tokens["session_id"]) == 1, "a follower")

    async def template_messages(self) -> list[dict[str, Any]]:
        """What the official account has sent to the person."""
        found = await self.control("GET", f"/people/{self.person['person_id']}/official/{self._account}")
        return found["messages"]

    @property
    def _account(self) -> str:
        account = self.world.settings.official_account
        assert account is not None
        return account.appid

    async def bind(self) -> dict[str, Any]:
        """Add the account with its proof."""
        bound = await self.call(
            "POST", "/v1/bindings", {"company": COMPANY, "number": self.number, "proof": PROOF, "label": "家里"}
        )
        (account,) = (await self.call("GET", "/v1/utility-accounts"))["accounts"]
        self.account_id = account["account_id"]
        return bound

    async def scan(self) -> None:
        """Look at the printed code until the bill is there."""

        async def look() -> int:
            return (await self.call("POST", "/v1/scans", {"token": self.qr_token}))["total_fen"]

        await self.until(look, "the bill behind the code")

    async def quote(self, token: str) -> str:
        """Ask what is to be paid of the account behind a code."""
        return (await self.call("POST", "/v1/quotes", {"token": token}))["quote_id"]

    async def create_payment(self, **way: str) -> str:
        """Press the button; every try carries the same key. `way`: method and provider, when not in the mini-program."""
        self.stage("quoting")
        quotes = [
            await self.quote(token) for token in (self.qr_token, *(token for _, token in self.elsewhere.values()))
        ]
        quote = {"quote_ids": quotes, **way}
        self.stage("creating")
        payment = await self.call("POST", "/v1/payments", quote, key=str(uuid4()))
        self.payments.append(payment["payment_id"])
        return payment["payment_id"]

    async def params(self, payment_id: str) -> dict[str, Any]:
        """What the cashier needs."""
        return await self.call("POST", f"/v1/payments/{payment_id}/pay-params")

    async def pay_in_wechat(self, params: dict[str, Any]) -> None:
        """Type the password."""
        self.stage("paying")
        assert await self.pay(params) == {"result": "ok"}

    async def until_progress(self, payment_id: str, *wanted: str) -> dict[str, Any]:
        """Look at the payment's page until it says one of `wanted`."""

        async def look() -> dict[str, Any] | None:
            view = await self.call("GET", f"/v1/payments/{payment_id}")
            return view if view["progress"] in wanted else None

        return await self.until(look, f"{payment_id} {wanted}")

    async def _with_fresh_code(self, act: Callable[[], Any], refusal: str) -> None:
        """A code is good once: when its answer was lost, the app asks WeChat for another."""
        for _ in range(5):
            try:
                await act()
            except CallFailed as failed:
                if failed.problem.get("code") != refusal:
                    raise
            else:
                return
        raise AssertionError(refusal)
