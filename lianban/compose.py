"""The composition root: settings become keys, clients and services; everything below gets what it needs as arguments."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from redis.asyncio import Redis

from cities.loader import load_city
from cities.schema import ChoiceValue, City, Company, Gateway
from core import redis as redis_module
from core.crypto import Vault
from core.outbound import CircuitSettings, Counterpart
from core.settings import Alipay as AlipaySettings
from core.settings import CompanyKeys, Settings
from core.settings import IdentitySource as IdentitySourceSettings
from domain.applications.cases import Cases
from domain.applications.company_work import CompanyWork
from domain.applications.correcting import Correcting
from domain.applications.drafts import Drafts
from domain.applications.filing import Filing
from domain.applications.order_desk import OrderDesk
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
from domain.companies import Companies, JoinedCompany
from domain.companies.filed import FiledCompany
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
from domain.identity.official_account import OfficialAccountSource
from domain.identity.passwords import Passwords
from domain.identity.people import People
from domain.identity.phone_codes import TEMPLATE as PHONE_CODE
from domain.identity.phone_codes import PhoneCodes
from domain.identity.sessions import Sessions
from domain.identity.sso import Sso
from domain.identity.staff import Staff
from domain.identity.staff_login import StaffLogin
from domain.identity.staff_sessions import StaffSessions
from domain.identity.tokens import AccessTokens, RefreshTokens, TokenKeys
from domain.materials.apart import Inspector
from domain.materials.materials import Materials
from domain.materials.needs import Needs
from domain.materials.reading import StaffReading
from domain.materials.store import BucketStore, DiskStore, Store
from domain.materials.telling import MaterialTelling
from domain.materials.tolerances import Tolerances
from domain.orders.answering import OrderAnswers
from domain.orders.clock import OrderClock
from domain.orders.costs import OrderCosts
from domain.orders.delivery import OrderDelivery
from domain.orders.handling import Orders
from domain.orders.papers import Papers
from domain.orders.permits import Permits
from domain.services import Services
from domain.surveys.appointments import Surveys
from domain.surveys.parts import Parts
from gateways.companies import CompanyGateway, SigningKey, load_public_key, load_signing_key
from gateways.company_files import CompanyFiles
from gateways.object_storage import Bucket
from gateways.sms import SmsGateway
from gateways.unified_code import CodeSource
from gateways.unified_identity import IdentitySource
from gateways.unified_ticket import TicketSource
from models.reconciliation import COMPANY
from notifications.channels import Channel
from notifications.channels.mini_program import MiniProgramChannel
from notifications.channels.official_account import OfficialAccountChannel
from notifications.channels.sms import SmsChannel
from notifications.delivery import Delivery
from notifications.followers import Followers
from notifications.intents import Intents
from payments.following import Follower
from payments.opening import Cashier
from payments.providers.alipay import client as alipay_client
from payments.providers.alipay.bills import AlipayBills
from payments.providers.alipay.client import Alipay
from payments.providers.alipay.config import AlipayConfig
from payments.providers.alipay.notices import AlipayNotices
from payments.providers.bills import BillSource
from payments.providers.registry import Connected, Providers
from payments.providers.wechat_pay import client as wechat_pay_client
from payments.providers.wechat_pay.bills import WeChatPayBills
from payments.providers.wechat_pay.client import WeChatPay
from payments.providers.wechat_pay.config import WeChatPayConfig
from payments.providers.wechat_pay.notices import WeChatPayNotices
from payments.reconciliation.companies import CompanyPostings
from payments.reconciliation.running import Party, Reconciling
from payments.refunding import Refunding
from payments.settling import Settling
from wechat.client import MiniProgram
from wechat.official_account import OfficialAccount
from wechat.push import PushReceiver
from wechat.token import TokenKeeper
from wechat.web_login import WebLogin

AUDIENCE = "lianban:people"


def compose(settings: Settings) -> Services:
    """All services for these settings; opens no connection yet."""
    city = load_city(settings.city)
    vault = Vault([(key.keyid, key.raw()) for key in settings.field_keys], base64.b64decode(settings.blind_index_key))
    redis = redis_module.connect(settings.redis_url, settings.redis_wait_s)
    limiter = redis_module.Limiter(redis)
    token_keys = TokenKeys([(key.keyid, key.key) for key in settings.token_keys])
    access_tokens = AccessTokens(token_keys, settings.public_url, AUDIENCE)
    sessions = Sessions(vault, access_tokens, RefreshTokens(base64.b64decode(settings.refresh_key)))
    staff_sessions = StaffSessions(token_keys, settings.public_url, city)

    wechat_side = Counterpart("wechat", settings.endpoints.wechat)
    wechat_pay_side = Counterpart("wechat_pay", settings.endpoints.wechat_pay)
    company_sides = _company_sides(settings, city)
    identity_sides = {
        code: Counterpart(f"identity:{code}", source.api_url) for code, source in settings.identity_sources.items()
    }
    app = settings.wechat
    mini_program = MiniProgram(
        app.appid, app.secret, wechat_side, TokenKeeper(app.appid, app.secret, wechat_side, redis, vault)
    )

    people = People(vault)
    account, followers = _official_account(settings, wechat_side, redis, vault)
    sso = Sso(
        [
            *(_identity_source(code, settings.identity_sources[code], side) for code, side in identity_sides.items()),
            *_web_login(settings, wechat_side, account),
        ],
        sessions,
        people,
        vault,
        return_urls=settings.return_urls,
        public_url=settings.public_url,
    )

    companies = _companies(settings, city, company_sides, vault)
    accounts = Accounts(companies, city, vault, limiter)
    refresher = Refresher(companies, accounts)
    qr_codes = QrCodes([(key.keyid, key.raw()) for key in settings.qr_keys], settings.public_url, accounts, limiter)
    intents = Intents(city, vault)
    cards = Cards(vault, city, people, limiter, intents)
    sms_side = Counterpart("sms", settings.endpoints.sms, timeout=timedelta(seconds=8)) if settings.sms else None
    sms = _sms(settings, sms_side)

    pay = settings.wechat_pay
    pay_config = WeChatPayConfig.load(
        sp_appid=pay.sp_appid,
        sp_mchid=pay.sp_mchid,
        serial=pay.serial,
        private_key=pay.private_key,
        api_v3_key=pay.api_v3_key,
        public_key_id=pay.public_key_id,
        public_key=pay.public_key,
        platform_certificates=pay.platform_certificates,
    )
    wechat_pay = WeChatPay(pay_config, wechat_pay_side)
    alipay_side = Counterpart("alipay", settings.endpoints.alipay)
    # The files stand at a host of their own, whose being away says nothing about the gateway.
    alipay_files_side = Counterpart("alipay_bills", settings.endpoints.alipay_bills)
    alipay = _alipay(settings, city)
    providers = Providers(
        (
            Connected(wechat_pay, WeChatPayNotices(pay_config), pay.notify_url, pay.refund_notify_url),
            *((_connected_alipay(settings.alipay, alipay, alipay_side),) if settings.alipay and alipay else ()),
        )
    )
    bills: dict[str, BillSource] = {wechat_pay.name: WeChatPayBills(pay_config, wechat_pay_side)}
    if alipay is not None:
        bills[alipay_client.NAME] = AlipayBills(alipay, alipay_side, alipay_files_side)
    settling = Settling(providers)
    follower = Follower(providers, settling, city)
    reasons = city.values["refund_reason"]
    assert isinstance(reasons, ChoiceValue)

    calendars = Calendars(city.schedules)
    tolerances = Tolerances(city, vault)
    bucket = settings.materials.bucket
    store_side = Counterpart("material_store", bucket.endpoint) if bucket else None
    materials = Materials(city, vault, _material_store(settings, store_side), limiter, Inspector(), None)
    deadlines = Deadlines(city, calendars)
    order_clock, mandates, papers = (
        OrderClock(city, deadlines, calendars),
        Mandates(city, vault, limiter),
        Papers(vault),
    )
    orders, parts = Orders(city, papers, order_clock), Parts(vault)
    order_answers, drafts = OrderAnswers(papers, order_clock), Drafts(city, vault, mandates)
    quotes = Quotes(accounts, refresher, qr_codes, city)
    watch, fees = Watch(city, calendars), Fees(city)
    return Services(
        settings=settings,
        city=city,
        vault=vault,
        redis=redis,
        limiter=limiter,
        token_keys=token_keys,
        access_tokens=access_tokens,
        sessions=sessions,
        staff=Staff(vault, city),
        staff_login=StaffLogin(vault, city, limiter, staff_sessions, Passwords()),
        staff_sessions=staff_sessions,
        acting=Acting(vault, city, limiter, cards, people),
        devices=Devices(city),
        cards=cards,
        acting_payments=ActingPayments(follower),
        desk=CompanyDesk(city, companies, accounts, vault),
        login=Login(mini_program, sessions, people, vault),
        people=people,
        sso=sso,
        joining=Joining(sessions, sso, intents, vault),
        companies=companies,
        calendars=calendars,
        deadlines=deadlines,
        recounting=Recounting(deadlines, calendars),
        watch=watch,
        supervising=Supervising(city, watch),
        fees=fees,
        order_costs=OrderCosts(fees, papers, vault),
        permits=Permits(city, orders, deadlines),
        guides=Guides(city),
        accounts=accounts,
        qr_codes=qr_codes,
        refresher=refresher,
        exchange=Exchange(companies, vault, city),
        quotes=quotes,
        topping_up=ToppingUp(companies, accounts, quotes, city, providers),
        overview=Overview(companies, accounts, refresher, city),
        paying=Paying(companies, refresher, follower, city, providers),
        posting=BillPosting(companies, accounts, city),
        telling=Telling(city, companies, accounts, intents),
        sharing=Sharing(city, vault, limiter),
        mandates=mandates,
        first_agents=FirstAgents(city, vault, sessions),
        mandate_telling=MandateTelling(vault, intents),
        materials=materials,
        staff_reading=StaffReading(city, vault, materials),
        material_telling=MaterialTelling(city, intents),
        needs=Needs(city, vault, tolerances),
        tolerances=tolerances,
        credit=Credit(city, vault, calendars.current),
        credit_telling=CreditTelling(intents),
        share_telling=ShareTelling(city, accounts, intents),
        papers=papers,
        order_clock=order_clock,
        orders=orders,
        order_delivery=OrderDelivery(orders, papers, companies, vault, city),
        company_work=CompanyWork(orders, order_clock, parts, vault),
        surveys=Surveys(city),
        survey_parts=parts,
        order_desk=OrderDesk(vault, drafts, papers, parts),
        survey_telling=SurveyTelling(intents),
        order_answers=order_answers,
        drafts=drafts,
        filing=Filing(city, vault, drafts),
        cases=Cases(city, vault, limiter, drafts, papers, order_clock),
        correcting=Correcting(city, drafts, papers, order_answers),
        withdrawing=Withdrawing(city, order_answers),
        application_telling=ApplicationTelling(city, papers, intents),
        intents=intents,
        delivery=Delivery(_channels(settings, city, vault, mini_program, account, followers, sms), intents, city),
        cashier=Cashier(providers, vault, f"{settings.public_url}/h5/"),
        follower=follower,
        settling=settling,
        refunding=Refunding(providers, reasons.options, city),
        providers=providers,
        reconciling=_reconciling(companies, bills, follower, city),
        wechat_pay=wechat_pay,
        push=PushReceiver(app.appid, app.push_token, app.push_encoding_aes_key),
        official_push=_official_push(settings),
        followers=followers,
        codes=SceneCodes(qr_codes, mini_program, account, city, "release"),
        phone_codes=PhoneCodes(
            sms, settings.sms.templates.get(PHONE_CODE) if settings.sms else None, vault, limiter, sessions, city
        ),
        gateway_key=_signing_key(settings),
        company_keys={code: _public_keys(keys) for code, keys in settings.companies.items()},
        counterparts=(
            wechat_side,
            wechat_pay_side,
            alipay_side,
            alipay_files_side,
            *identity_sides.values(),
            *company_sides.values(),
            *([sms_side] if sms_side else []),
            *([store_side] if store_side else []),
        ),
    )


def _official_account(
    settings: Settings, side: Counterpart, redis: Redis, vault: Vault
) -> tuple[OfficialAccount | None, Followers | None]:
    app = settings.official_account
    if app is None:
        return None, None
    account = OfficialAccount(app.appid, side, TokenKeeper(app.appid, app.secret, side, redis, vault))
    return account, Followers(account, vault)


def _web_login(
    settings: Settings, side: Counterpart, account: OfficialAccount | None
) -> tuple[OfficialAccountSource, ...]:
    """The official account as an identity source, where its web pages may ask who is there."""
    app = settings.official_account
    if account is None or app is None or app.web_scope is None:
        return ()
    web = WebLogin(app.appid, app.secret, app.web_scope, settings.endpoints.wechat_pages, side)
    return (OfficialAccountSource(web, account),)


def _material_store(settings: Settings, side: Counterpart | None) -> Store:
    where = settings.materials
    if where.bucket is not None and side is not None:
        asked = where.bucket
        return BucketStore(Bucket(side, asked.endpoint, asked.region, asked.bucket, asked.access_key, asked.secret_key))
    assert where.folder is not None, "settings have been checked"
    return DiskStore(Path(where.folder))


def _official_push(settings: Settings) -> PushReceiver | None:
    app = settings.official_account
    return None if app is None else PushReceiver(app.appid, app.push_token, app.push_encoding_aes_key)


def _sms(settings: Settings, side: Counterpart | None) -> SmsGateway | None:
    if settings.sms is None or side is None:
        return None
    return SmsGateway(
        side, settings.sms.secret_id, settings.sms.secret_key, settings.sms.app_id, settings.sms.sign_name
    )


def _channels(
    settings: Settings,
    city: City,
    vault: Vault,
    mini_program: MiniProgram,
    account: OfficialAccount | None,
    followers: Followers | None,
    sms: SmsGateway | None,
) -> list[Channel]:
    """The channels this installation has, in no order: the chain of a message says which comes first."""
    channels: list[Channel] = [MiniProgramChannel(mini_program, settings.wechat.templates, vault)]
    if account is not None and followers is not None and settings.official_account is not None:
        templates = settings.official_account.templates
        channels.append(OfficialAccountChannel(account, followers, templates, settings.wechat.appid))
    if sms is not None and settings.sms is not None:
        channels.append(SmsChannel(sms, settings.sms.templates, vault, city))
    return channels


def _companies(settings: Settings, city: City, sides: Mapping[str, Counterpart], vault: Vault) -> Companies:
    signing_key = _signing_key(settings)
    joined: dict[str, JoinedCompany] = {}
    for code, side in sides.items():
        rules, keys = city.company(code), settings.companies[code]
        merchant = keys.sub_mchid or rules.sub_mchid
        assert merchant is not None
        merchants = {wechat_pay_client.NAME: merchant}
        if seller := _alipay_seller(settings, rules):
            merchants[alipay_client.NAME] = seller
        authority, public_keys = urlsplit(keys.base_url).netloc, _public_keys(keys)
        if rules.gateway.files is not None:
            files = CompanyFiles(code, side, authority, signing_key, public_keys)
            gateway = FiledCompany(code, rules.gateway.files, files, vault)
        else:
            inside = rules.gateway.errors == "inside"
            gateway = CompanyGateway(code, side, authority, signing_key, public_keys, errors_inside=inside)
        joined[code] = JoinedCompany(rules, gateway, merchants)
    return Companies(joined)


def _reconciling(companies: Companies, bills: Mapping[str, BillSource], follower: Follower, city: City) -> Reconciling:
    """`bills`: of every connected provider, by its name."""
    sources = {**bills, COMPANY: CompanyPostings({company.code: company.gateway for company in companies})}
    parties = [
        Party(provider, merchant, company.code)
        for company in companies
        for provider, merchant in company.merchants.items()
    ]
    parties += [Party(COMPANY, company.code, company.code) for company in companies]
    return Reconciling(sources, parties, follower.query, city)


def _alipay(settings: Settings, city: City) -> AlipayConfig | None:
    """Alipay, when it is configured, in the name of every joined company that is a merchant there."""
    alipay = settings.alipay
    if alipay is None:
        return None
    sellers = {company.code: _alipay_seller(settings, company) for company in city.joined_companies()}
    stated = {code: keys.alipay for code, keys in settings.companies.items() if keys.alipay is not None}
    return AlipayConfig.load(
        app_id=alipay.app_id,
        gateway=f"{settings.endpoints.alipay}{alipay_client.GATEWAY_PATH}",
        private_key=alipay.private_key,
        tokens={seller: stated[code].app_auth_token for code, seller in sellers.items() if seller},
        public_key=alipay.alipay_public_key,
        certificate=alipay.certificate,
        certificates=alipay.alipay_certificates,
        root_certificates=alipay.root_certificates,
        service_provider=alipay.service_provider,
    )


def _connected_alipay(alipay: AlipaySettings, config: AlipayConfig, side: Counterpart) -> Connected:
    return Connected(Alipay(config, side), AlipayNotices(config), alipay.notify_url, alipay.notify_url)


def _alipay_seller(settings: Settings, company: Company) -> str | None:
    """The company's number at Alipay; None when it has none, has not authorised us, or Alipay is not configured."""
    keys = settings.companies.get(company.code)
    if settings.alipay is None or keys is None or keys.alipay is None:
        return None
    return keys.alipay.seller_id or company.alipay_seller_id


def _company_sides(settings: Settings, city: City) -> dict[str, Counterpart]:
    """The systems of the companies that have joined, have keys here, and a merchant number of their own."""
    return {
        rules.code: _company_side(rules.code, rules.gateway, settings.companies[rules.code])
        for rules in city.joined_companies()
        if rules.code in settings.companies and (settings.companies[rules.code].sub_mchid or rules.sub_mchid)
    }


def _company_side(code: str, rules: Gateway, keys: CompanyKeys) -> Counterpart:
    circuit = CircuitSettings(rules.circuit.window, rules.circuit.failure_share, rules.circuit.pause)
    return Counterpart(f"company:{code}", keys.base_url, timeout=rules.timeout, circuit=circuit)


def _identity_source(code: str, rules: IdentitySourceSettings, side: Counterpart) -> IdentitySource:
    if rules.protocol == "ticket":
        return TicketSource(code, rules.issuer, rules.login_url, rules.client_id, rules.secret, side)
    return CodeSource(code, rules.issuer, rules.login_url, rules.client_id, rules.secret, rules.public_key, side)


def _signing_key(settings: Settings) -> SigningKey:
    return load_signing_key(settings.gateway_keys[0].keyid, settings.gateway_keys[0].key)


def _public_keys(keys: CompanyKeys) -> dict[str, Ed25519PublicKey]:
    return {key.keyid: load_public_key(key.key) for key in keys.public_keys}
