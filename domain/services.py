"""All services of the business by area, composed once by ``lianban`` and handed to the API and to the worker."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from redis.asyncio import Redis

from cities.schema import City
from core.crypto import Vault
from core.outbound import Counterpart
from core.redis import Limiter
from core.settings import Settings
from domain.applications.cases import Cases
from domain.applications.company_work import CompanyWork
from domain.applications.correcting import Correcting
from domain.applications.demand import Demand
from domain.applications.drafts import Drafts
from domain.applications.filing import Filing
from domain.applications.order_desk import OrderDesk
from domain.applications.push_desk import PushDesk
from domain.applications.push_reconciling import PushReconciling
from domain.applications.push_reports import PushReports
from domain.applications.pushes import Pushes
from domain.applications.survey_telling import SurveyTelling
from domain.applications.telling import ApplicationTelling
from domain.applications.withdrawing import Withdrawing
from domain.billing.accounts import Accounts
from domain.billing.acting_payments import ActingPayments
from domain.billing.desk import CompanyDesk
from domain.billing.exchange import Exchange
from domain.billing.overview import Overview
from domain.billing.paying import Paying
from domain.billing.posting import BillPosting
from domain.billing.qr import QrCodes
from domain.billing.quotes import Quotes
from domain.billing.refresh import Refresher
from domain.billing.scene_codes import SceneCodes
from domain.billing.share_telling import ShareTelling
from domain.billing.sharing import Sharing
from domain.billing.telling import Telling
from domain.billing.topping_up import ToppingUp
from domain.companies import Companies
from domain.credit.records import Credit
from domain.credit.telling import CreditTelling
from domain.deadlines.calendars import Calendars
from domain.deadlines.clocks import Deadlines
from domain.deadlines.recounting import Recounting
from domain.deadlines.supervising import Supervising
from domain.deadlines.watching import Watch
from domain.fees.bearing import Fees
from domain.guides.connection import Guides
from domain.identity.acting import Acting
from domain.identity.cards import Cards
from domain.identity.devices import Devices
from domain.identity.first_agents import FirstAgents
from domain.identity.joining import Joining
from domain.identity.login import Login
from domain.identity.mandate_telling import MandateTelling
from domain.identity.mandates import Mandates
from domain.identity.people import People
from domain.identity.phone_codes import PhoneCodes
from domain.identity.sessions import Sessions
from domain.identity.sso import Sso
from domain.identity.staff import Staff
from domain.identity.staff_login import StaffLogin
from domain.identity.staff_sessions import StaffSessions
from domain.identity.tokens import AccessTokens, TokenKeys
from domain.materials.materials import Materials
from domain.materials.needs import Needs
from domain.materials.reading import CompanyReading, StaffReading
from domain.materials.telling import MaterialTelling
from domain.materials.tolerances import Tolerances
from domain.orders.answering import OrderAnswers
from domain.orders.clock import OrderClock
from domain.orders.costs import OrderCosts
from domain.orders.delivery import OrderDelivery
from domain.orders.handling import Orders
from domain.orders.papers import Papers
from domain.orders.permits import Permits
from domain.surveys.appointments import Surveys
from domain.surveys.parts import Parts
from gateways.companies import SigningKey
from notifications.delivery import Delivery
from notifications.followers import Followers
from notifications.intents import Intents
from payments.following import Follower
from payments.opening import Cashier
from payments.providers.registry import Providers
from payments.providers.wechat_pay.client import WeChatPay
from payments.reconciliation.running import Reconciling
from payments.refunding import Refunding
from payments.settling import Settling
from wechat.push import PushReceiver


@dataclass(frozen=True)
class Area:
    """Services that belong together."""


@dataclass(frozen=True)
class Ground(Area):
    """What everything stands on."""

    settings: Settings
    city: City
    vault: Vault
    redis: Redis
    limiter: Limiter
    intents: Intents


@dataclass(frozen=True)
class Outside(Area):
    """Who is out there, and by which keys they and we sign."""

    companies: Companies
    providers: Providers
    wechat_pay: WeChatPay
    followers: Followers | None
    push: PushReceiver
    official_push: PushReceiver | None
    gateway_key: SigningKey
    company_keys: Mapping[str, Mapping[str, Ed25519PublicKey]]
    platform_keys: Mapping[str, Ed25519PublicKey]
    """The construction platform's; none: nobody pushes."""
    counterparts: tuple[Counterpart, ...]


@dataclass(frozen=True)
class Money(Area):
    """Payments from their order at a provider to the books."""

    cashier: Cashier
    follower: Follower
    settling: Settling
    refunding: Refunding
    reconciling: Reconciling


@dataclass(frozen=True)
class Identity(Area):
    """Who asks, and in whose name."""

    token_keys: TokenKeys
    access_tokens: AccessTokens
    sessions: Sessions
    login: Login
    people: People
    sso: Sso
    joining: Joining
    phone_codes: PhoneCodes
    staff: Staff
    staff_login: StaffLogin
    staff_sessions: StaffSessions
    acting: Acting
    devices: Devices
    cards: Cards
    mandates: Mandates
    first_agents: FirstAgents
    mandate_telling: MandateTelling


@dataclass(frozen=True)
class Billing(Area):
    """Utility accounts, what is owed on them and how it is paid."""

    accounts: Accounts
    qr_codes: QrCodes
    codes: SceneCodes
    refresher: Refresher
    quotes: Quotes
    overview: Overview
    paying: Paying
    topping_up: ToppingUp
    acting_payments: ActingPayments
    posting: BillPosting
    telling: Telling
    exchange: Exchange
    desk: CompanyDesk
    sharing: Sharing
    share_telling: ShareTelling


@dataclass(frozen=True)
class Promises(Area):
    """Deadlines in working days, and who is warned."""

    calendars: Calendars
    deadlines: Deadlines
    recounting: Recounting
    watch: Watch
    supervising: Supervising


@dataclass(frozen=True)
class Rules(Area):
    """What a connection costs, needs and is trusted with."""

    fees: Fees
    guides: Guides
    tolerances: Tolerances
    needs: Needs
    credit: Credit
    credit_telling: CreditTelling


@dataclass(frozen=True)
class Keeping(Area):
    """What people hand in."""

    materials: Materials
    staff_reading: StaffReading
    company_reading: CompanyReading
    material_telling: MaterialTelling


@dataclass(frozen=True)
class Work(Area):
    """Service orders and what companies do for them."""

    papers: Papers
    order_clock: OrderClock
    orders: Orders
    order_answers: OrderAnswers
    order_delivery: OrderDelivery
    order_costs: OrderCosts
    permits: Permits
    surveys: Surveys
    survey_parts: Parts


@dataclass(frozen=True)
class Applications(Area):
    """The joint case, from its draft on."""

    drafts: Drafts
    filing: Filing
    cases: Cases
    correcting: Correcting
    withdrawing: Withdrawing
    company_work: CompanyWork
    order_desk: OrderDesk
    application_telling: ApplicationTelling
    survey_telling: SurveyTelling


@dataclass(frozen=True)
class Pushed(Area):
    """Projects of the construction platform."""

    pushes: Pushes
    push_desk: PushDesk
    push_reports: PushReports
    push_reconciling: PushReconciling
    demand: Demand


@dataclass(frozen=True)
class Messages(Area):
    """How a message leaves."""

    delivery: Delivery


@dataclass(frozen=True)
class Services(
    Ground, Outside, Money, Identity, Billing, Promises, Rules, Keeping, Work, Applications, Pushed, Messages
):
    """What a process works with: all areas. Everything outside comes in here; nothing below builds its own."""
