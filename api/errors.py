"""HTTP statuses of all errors, and problem details (RFC 9457): the only place that knows both.

The words are in ``problems.zh-CN.toml`` under the error's code: a title, and one sentence with the next step.
"""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
from sanic.exceptions import SanicException

from api.shedding import Overloaded
from core.database import DatabaseAway, is_away, is_unstorable
from core.errors import LianbanError, NotFound
from core.redis import LimiterAway, RateLimited
from domain.applications.cases import ProgressRefused
from domain.applications.company_work import DistanceMissing, NotYourOwnRequest
from domain.applications.correcting import CorrectionOutside
from domain.applications.demand import PeriodTooLong
from domain.applications.drafts import AnswersUnreadable, DraftChanged, NoDraft, TooManyDrafts
from domain.applications.filing import AnswersIncomplete, ConsentMissing, FormOutdated, NoticeChanged, SubjectNotYours
from domain.applications.pushes import PushDiffers
from domain.billing.accounts import AccountNumberMalformed, AccountOrProofWrong, CompanyAway, ProofMalformed
from domain.billing.paying import (
    ActingEndsSoon,
    AlreadyPaid,
    OlderBillOpen,
    PaymentClosing,
    PaymentInProgress,
    QuoteStale,
    TooManyPayments,
)
from domain.billing.qr import QrCodeRefused
from domain.billing.quoted import BillNotInQuote, QuoteTwice
from domain.billing.quotes import AccountNotPayable, AmountTooLarge, MayOnlyRead, NothingOwed, PartialNotAllowed
from domain.billing.scene_codes import WeChatCodesAway
from domain.billing.sharing import AlreadyMember, InvitationRefused, TooManyMembers
from domain.billing.topping_up import TopUpAmountRefused, TopUpNotOffered
from domain.companies import CompanyNotJoined
from domain.deadlines.clocks import (
    ApproverNeeded,
    CommitmentNeeded,
    DeadlineNotPaused,
    DeadlineNotRunning,
    DeadlinePaused,
    ExtensionRefused,
)
from domain.fees.bearing import ChargeNotPublished, PowerNotStated
from domain.identity.acting import CounterCodeRefused, PurposeExceeded, RealNameElsewhere
from domain.identity.cards import CardCodeRefused, CardNotTaken, CardRefused
from domain.identity.devices import DeviceRefused
from domain.identity.first_agents import OrganizationNotProved
from domain.identity.joining import (
    IdentitiesDiffer,
    IdentityAlreadyYours,
    IdentityOfThisKindTaken,
    UndoTooLate,
)
from domain.identity.login import IdentityProofRefused, IdentitySourceAway, LoginCodeRefused, PhoneCodeRefused
from domain.identity.mandates import MandateExceeds, MandateRefused, ScopeMissing, TooManyAgents
from domain.identity.official_account import SnapshotUserRefused
from domain.identity.passwords import PasswordWeak
from domain.identity.people import RealNameContradicts
from domain.identity.phone_codes import PhoneMalformed, SmsAway, SmsCodeRefused
from domain.identity.sessions import RefreshRefused
from domain.identity.sso import HandoverRefused, LoginCodeReplayed, LoginStateRefused, ReturnUrlNotAllowed
from domain.identity.staff import GrantRefused, LoginTaken
from domain.identity.staff_login import SetupRefused, StaffLoginRefused
from domain.identity.tokens import TokenRefused
from domain.materials.inspecting import MaterialRefused
from domain.materials.materials import LinkRefused, MaterialInUse, MaterialWithheld, PaperUnknown
from domain.materials.needs import NotADraft, PapersNeeded, RequirementUnknown
from domain.materials.store import StoreAway
from domain.materials.tolerances import (
    AlreadyPromised,
    NotDeferrable,
    PromiseBarred,
    PromiseDayRefused,
    StatementChanged,
)
from domain.orders.answering import PlanDiffers
from domain.orders.clock import PauseNotListed
from domain.orders.moving import OncePerOrder, PapersMissing, ReasonNotListed, SupervisorNeeded, TooLate
from domain.orders.permits import PermitKindUnknown, PermitOpen
from domain.surveys.appointments import OtherRound, WindowsUnsuitable
from domain.surveys.slots import SlotUnsuitable
from gateways.unified_identity import ReturnRefused
from models.idempotency import KeyInFlight, KeyReused
from models.lifecycle import IllegalMove, StaleState
from payments.following import PaymentUnclear
from payments.opening import OrderRefused, PaymentNotPayable, ProviderBusy
from payments.providers.registry import MethodNotOffered
from payments.reconciliation.items import AnotherMustAgree

RETRY_AFTER_S = 2


class RequestMalformed(LianbanError):
    """The body, the query or a header is not what the operation takes. data: ``where``, ``reason``."""

    code = "request_malformed"


class BodyTooLarge(LianbanError):
    """The body is larger than the operation takes."""

    code = "body_too_large"


class MediaTypeUnsupported(LianbanError):
    """The body is not ``application/json``."""

    code = "media_type_unsupported"


class IdempotencyKeyMissing(LianbanError):
    """This operation needs an Idempotency-Key of 1 to 255 visible ASCII characters."""

    code = "idempotency_key_missing"


class OrganizationNotNamed(LianbanError):
    """This is only done for an organization, and no header On-Behalf-Of says for which."""

    code = "organization_not_named"


class LevelTooLow(LianbanError):
    """The caller must prove more about himself. data: ``level`` he has, ``needed``."""

    code = "level_too_low"


class PermissionMissing(LianbanError):
    """None of the roles of this member of staff allows it. data: ``permission``."""

    code = "permission_missing"


class ProofTooOld(LianbanError):
    """The caller must prove again who he is; the last proof is older than five minutes."""

    code = "proof_too_old"


class MethodNotAllowed(LianbanError):
    """The address has no such method."""

    code = "method_not_allowed"


class RequestTimedOut(LianbanError):
    """The request did not arrive whole in time."""

    code = "request_timed_out"


class AnswerLate(LianbanError):
    """The answer was not ready in time; whether a write was done is unknown to the client."""

    code = "answer_late"


class SignatureWrong(LianbanError):
    """A company's or platform's request is not signed as it must be."""

    code = "signature_wrong"


class Unexpected(LianbanError):
    """A fault of ours."""

    code = "internal"


STATUS: dict[type[LianbanError], int] = {
    RequestMalformed: 400,
    IdempotencyKeyMissing: 400,
    OrganizationNotNamed: 400,
    TokenRefused: 401,
    RefreshRefused: 401,
    SignatureWrong: 401,
    LoginCodeRefused: 401,
    StaffLoginRefused: 401,
    SetupRefused: 401,
    HandoverRefused: 401,
    LoginStateRefused: 401,
    LoginCodeReplayed: 401,
    ReturnRefused: 401,
    SnapshotUserRefused: 403,
    SubjectNotYours: 403,
    LevelTooLow: 403,
    OrganizationNotProved: 403,
    ScopeMissing: 403,
    PermissionMissing: 403,
    PurposeExceeded: 403,
    GrantRefused: 403,
    MayOnlyRead: 403,
    LinkRefused: 403,
    ProofTooOld: 403,
    NotFound: 404,
    QrCodeRefused: 404,
    CompanyNotJoined: 404,
    MethodNotAllowed: 405,
    RequestTimedOut: 408,
    AccountNotPayable: 409,
    DraftChanged: 409,
    PushDiffers: 409,
    FormOutdated: 409,
    NoDraft: 409,
    NoticeChanged: 409,
    OncePerOrder: 409,
    PlanDiffers: 409,
    TooManyDrafts: 409,
    ActingEndsSoon: 409,
    AlreadyMember: 409,
    AlreadyPaid: 409,
    LoginTaken: 409,
    AmountTooLarge: 409,
    ApproverNeeded: 409,
    CommitmentNeeded: 409,
    DeadlineNotPaused: 409,
    DeadlineNotRunning: 409,
    DeadlinePaused: 409,
    ExtensionRefused: 409,
    IdentitiesDiffer: 409,
    IdentityAlreadyYours: 409,
    IdentityOfThisKindTaken: 409,
    UndoTooLate: 409,
    KeyInFlight: 409,
    AlreadyPromised: 409,
    PromiseBarred: 409,
    StatementChanged: 409,
    MaterialInUse: 409,
    NotADraft: 409,
    PapersMissing: 409,
    MaterialWithheld: 409,
    NothingOwed: 409,
    OrderRefused: 409,
    PaymentClosing: 409,
    PaymentInProgress: 409,
    PaymentNotPayable: 409,
    MethodNotOffered: 422,
    QuoteStale: 409,
    CardNotTaken: 409,
    RealNameContradicts: 409,
    RealNameElsewhere: 409,
    StaleState: 409,
    TooManyAgents: 409,
    TooManyMembers: 409,
    IllegalMove: 409,
    NotYourOwnRequest: 409,
    OtherRound: 409,
    TooLate: 409,
    SupervisorNeeded: 409,
    AnotherMustAgree: 409,
    BodyTooLarge: 413,
    MediaTypeUnsupported: 415,
    AccountNumberMalformed: 422,
    DistanceMissing: 422,
    PeriodTooLong: 422,
    PauseNotListed: 422,
    ReasonNotListed: 422,
    SlotUnsuitable: 422,
    WindowsUnsuitable: 422,
    AccountOrProofWrong: 422,
    AnswersIncomplete: 422,
    PapersNeeded: 422,
    AnswersUnreadable: 422,
    ConsentMissing: 422,
    CorrectionOutside: 422,
    ProgressRefused: 422,
    BillNotInQuote: 422,
    ChargeNotPublished: 422,
    PermitKindUnknown: 422,
    PermitOpen: 409,
    PowerNotStated: 422,
    QuoteTwice: 422,
    PartialNotAllowed: 422,
    TopUpNotOffered: 422,
    TopUpAmountRefused: 422,
    OlderBillOpen: 409,
    IdentityProofRefused: 422,
    InvitationRefused: 422,
    MandateExceeds: 422,
    MandateRefused: 422,
    MaterialRefused: 422,
    PaperUnknown: 422,
    RequirementUnknown: 422,
    NotDeferrable: 422,
    PromiseDayRefused: 422,
    KeyReused: 422,
    CardCodeRefused: 422,
    CardRefused: 422,
    CounterCodeRefused: 422,
    DeviceRefused: 422,
    PasswordWeak: 422,
    PhoneCodeRefused: 422,
    PhoneMalformed: 422,
    ProofMalformed: 422,
    SmsCodeRefused: 422,
    ReturnUrlNotAllowed: 422,
    RateLimited: 429,
    TooManyPayments: 429,
    Unexpected: 500,
    AnswerLate: 503,
    CompanyAway: 503,
    DatabaseAway: 503,
    IdentitySourceAway: 503,
    LimiterAway: 503,
    Overloaded: 503,
    PaymentUnclear: 503,
    ProviderBusy: 503,
    SmsAway: 503,
    StoreAway: 503,
    WeChatCodesAway: 503,
}
"""Error → status. An error that is not here is a fault of ours: 500."""

_SANIC: dict[int, type[LianbanError]] = {
    400: RequestMalformed,
    404: NotFound,
    405: MethodNotAllowed,
    408: RequestTimedOut,
    413: BodyTooLarge,
    417: RequestMalformed,
    503: AnswerLate,
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Problem details. `code` is stable; `title` and `detail` are for people, `data` for the client's next step."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    data: dict[str, Any] = {}


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    detail: str


WORDS: dict[str, _Words] = msgspec.convert(
    tomllib.loads((Path(__file__).parent / "problems.zh-CN.toml").read_text()), dict[str, _Words]
)


def known(error: BaseException) -> LianbanError:
    """The designed error that `error` is, or becomes."""
    if isinstance(error, LianbanError) and type(error) in STATUS:
        return error
    if isinstance(error, SanicException):
        return _SANIC.get(error.status_code, Unexpected)()
    if is_unstorable(error):
        return RequestMalformed(reason="unstorable")
    if is_away(error):
        return DatabaseAway()
    return Unexpected()


def problem(error: LianbanError, request_id: str) -> tuple[Problem, dict[str, str]]:
    """The problem details of a designed error, with its extra headers."""
    status = STATUS[type(error)]
    words = WORDS[error.code]
    headers: dict[str, str] = {}
    if "retry_after_s" in error.data or status == 503:
        headers["Retry-After"] = str(error.data.get("retry_after_s", RETRY_AFTER_S))
    if status == 401:
        # Who signs his requests is not asked for a token.
        scheme = "Signature" if isinstance(error, SignatureWrong) else "Bearer"
        headers["WWW-Authenticate"] = f'{scheme} realm="lianban"'
    return Problem(
        f"urn:lianban:problem:{error.code}", words.title, status, words.detail, error.code, request_id, error.data
    ), headers
