"""A supplier of text messages in the manner of Tencent Cloud SMS: signed calls, reviewed templates, reports by number.

Served under ``/tencent-sms/`` of the base port; the signature is over ``/``, as at the real supplier.
"""

import hashlib
import hmac
import json
import re
import secrets
from datetime import UTC, datetime
from typing import Any, Final

from sanic import HTTPResponse, Request, Sanic

from sandbox.context import Context, ControlError
from sandbox.control import body_of
from sandbox.replies import Reply, empty_reply, encode, json_reply

COUNTERPART: Final = "sms"
PATH: Final = "/tencent-sms/"
_SKEW_S: Final = 300
_ALGORITHM: Final = "TC3-HMAC-SHA256"
_SIGNED: Final = "content-type;host;x-tc-action"
_OUTCOME: Final = "sms_outcome"
_VARIABLE: Final = re.compile(r"\{([0-9]+)\}")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sms (
    serial TEXT PRIMARY KEY, number TEXT NOT NULL, template_id TEXT NOT NULL, text TEXT NOT NULL, session TEXT NOT NULL, at REAL NOT NULL,
    outcome TEXT NOT NULL
);
"""


class SmsError(Exception):
    """A refusal of the whole call: answered with HTTP 200 and an Error inside."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def mount(app: Sanic, context: Context) -> None:
    """Open the supplier and its control endpoints, when the configuration has one."""
    config = context.config.get("sms")
    if config is None:
        return
    context.state.define(_SCHEMA)
    supplier = Supplier(context, config)

    @app.post(PATH, name="tencent_sms")
    async def call(request: Request) -> HTTPResponse:
        action = request.headers.get("x-tc-action", "")
        operation = {"SendSms": "send", "PullSmsSendStatusByPhoneNumber": "pull"}.get(action, "refused")

        def do(_: bool) -> Reply:
            try:
                supplier.check_signature(request)
                with context.state.transaction():
                    answer = supplier.work(action, request.body)
            except SmsError as error:
                answer = {"Error": {"Code": error.code, "Message": str(error)}}
            return Reply(encode({"Response": answer | {"RequestId": secrets.token_hex(16)}}), 200)

        def failed(status: int) -> Reply:
            return json_reply({"Response": {"Error": {"Code": "InternalError", "Message": "-"}}}, status)

        return await context.serve(request, COUNTERPART, operation, "", do, failed)

    @app.get("/control/sms", name="control_sms")
    async def received(request: Request) -> Reply:
        return json_reply({"messages": supplier.received(request.args.get("number"))})

    @app.post("/control/sms/outcome", name="control_sms_outcome")
    async def outcome(request: Request) -> Reply:
        supplier.choose(str(body_of(request).get("outcome")))
        return empty_reply()


class Supplier:
    """The supplier's books."""

    def __init__(self, context: Context, config: dict[str, Any]) -> None:
        self._context = context
        self._state = context.state
        self._config = config
        self._templates = {template["id"]: template["text"] for template in config["templates"]}

    def check_signature(self, request: Request) -> None:
        """Raises SmsError AuthFailure.*."""
        given = request.headers.get("authorization", "")
        stamp = request.headers.get("x-tc-timestamp", "")
        if not stamp.isascii() or not stamp.isdigit() or abs(self._context.clock.timestamp() - int(stamp)) > _SKEW_S:
            raise SmsError("AuthFailure.SignatureExpire", "signature expired")
        day = datetime.fromtimestamp(int(stamp), UTC).strftime("%Y-%m-%d")
        canonical = (
            f"POST\n/\n\ncontent-type:{request.headers.get('content-type', '')}\nhost:{request.headers.get('host', '')}\n"
            f"x-tc-action:{request.headers.get('x-tc-action', '').lower()}\n\n{_SIGNED}\n{hashlib.sha256(request.body).hexdigest()}"
        )
        text = f"{_ALGORITHM}\n{stamp}\n{day}/sms/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = ("TC3" + self._config["secret_key"]).encode()
        for part in (day, "sms", "tc3_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        credential = f"{self._config['secret_id']}/{day}/sms/tc3_request"
        expected = f"{_ALGORITHM} Credential={credential}, SignedHeaders={_SIGNED}, Signature={signature}"
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise SmsError("AuthFailure.SignatureFailure", "signature wrong")
        if request.headers.get("x-tc-version") != "2021-01-11" or not request.headers.get("x-tc-region"):
            raise SmsError("MissingParameter", "version or region")

    def work(self, action: str, raw: bytes) -> dict[str, Any]:
        """Do what was asked. Raises SmsError."""
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise SmsError("InvalidParameter", "not json") from error
        if body.get("SmsSdkAppId") != self._config["app_id"]:
            raise SmsError("UnauthorizedOperation.SmsSdkAppIdVerifyFail", "app")
        if action == "SendSms":
            return self._send(body)
        if action == "PullSmsSendStatusByPhoneNumber":
            return self._pull(body)
        raise SmsError("InvalidAction", "no such action")

    def received(self, number: str | None) -> list[dict[str, Any]]:
        """What arrived at phones, oldest first: ``{number, text, session, serial}``."""
        query = "SELECT * FROM sms WHERE outcome <> 'FAIL' AND (? IS NULL OR number = ?) ORDER BY rowid"
        return [dict(row) for row in self._state.all(query, (number, number))]

    def choose(self, outcome: str) -> None:
        """What becomes of new messages: SUCCESS, FAIL, none (no report), or a code the send is refused with."""
        if not re.fullmatch(r"[A-Za-z.]{4,80}", outcome):
            raise ControlError("an outcome is SUCCESS, FAIL, none or a code")
        self._state.choose(_OUTCOME, outcome)

    def _send(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("SignName") != self._config["sign_name"]:
            raise SmsError("FailedOperation.SignatureIncorrectOrUnapproved", "sign")
        statuses = [self._send_one(number, body) for number in body.get("PhoneNumberSet", [])]
        if not statuses:
            raise SmsError("MissingParameter", "PhoneNumberSet")
        return {"SendStatusSet": statuses}

    def _send_one(self, number: str, body: dict[str, Any]) -> dict[str, Any]:
        outcome = self._state.setting(_OUTCOME, "SUCCESS")
        code = self._fault(number, body) or (outcome if outcome not in ("SUCCESS", "FAIL", "none") else "Ok")
        status = {
            "PhoneNumber": number,
            "SessionContext": body.get("SessionContext", ""),
            "IsoCode": "CN",
            "Message": code,
        }
        if code != "Ok":
            return status | {"Code": code, "SerialNo": "", "Fee": 0}
        params = body.get("TemplateParamSet", [])
        text = _VARIABLE.sub(lambda found: params[int(found[1]) - 1], self._templates[body["TemplateId"]])
        text = f"【{self._config['sign_name']}】{text}"
        serial = f"2640:{secrets.randbelow(10**18)}"
        values = (
            serial,
            number,
            body["TemplateId"],
            text,
            status["SessionContext"],
            self._context.clock.timestamp(),
            outcome,
        )
        self._state.run("INSERT INTO sms VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        fee = 1 if len(text) <= 70 else -(-len(text) // 67)
        return status | {"Code": "Ok", "SerialNo": serial, "Fee": fee}

    def _fault(self, number: str, body: dict[str, Any]) -> str | None:
        if not re.fullmatch(r"\+86[0-9]{11}", number):
            return "InvalidParameterValue.IncorrectPhoneNumber"
        text = self._templates.get(str(body.get("TemplateId")))
        if text is None:
            return "FailedOperation.TemplateUnapprovedOrNotExist"
        params = body.get("TemplateParamSet", [])
        if len(params) != len(_VARIABLE.findall(text)):
            return "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"
        if any(not isinstance(value, str) or not 1 <= len(value) <= 35 for value in params):
            return "InvalidParameterValue.TemplateParameterLengthLimit"
        if any("://" in value for value in params):
            return "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter"
        return None

    def _pull(self, body: dict[str, Any]) -> dict[str, Any]:
        if (
            not isinstance(body.get("BeginTime"), int)
            or body.get("Offset") != 0
            or not 1 <= int(body.get("Limit", 0)) <= 100
        ):
            raise SmsError("InvalidParameter", "BeginTime, Offset, Limit")
        query = "SELECT * FROM sms WHERE number = ? AND at >= ? AND outcome <> 'none' ORDER BY rowid LIMIT ?"
        rows = self._state.all(query, (body.get("PhoneNumber"), body["BeginTime"], body["Limit"]))
        return {
            "PullSmsSendStatusSet": [
                {
                    "UserReceiveTime": int(row["at"]),
                    "CountryCode": "86",
                    "SubscriberNumber": row["number"][3:],
                    "PhoneNumber": row["number"],
                    "SerialNo": row["serial"],
                    "ReportStatus": row["outcome"],
                    "Description": "DELIVRD" if row["outcome"] == "SUCCESS" else "UNDELIV",
                    "SessionContext": row["session"],
                }
                for row in rows
            ]
        }
