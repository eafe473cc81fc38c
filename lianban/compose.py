"""The composition root: settings become keys, clients and services; everything below gets what it needs as arguments."""

import base64
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from cities.loader import load_city
from cities.schema import ChoiceValue, City
from core import redis as redis_module
from core.crypto import Vault
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
from domain.materials.reading import CompanyReading, StaffReading
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
from domain.services import (
    Applications,
    Area,
    Billing,
    Ground,
    Identity,
    Keeping,
    Messages,
    Money,
    Outside,
    Promises,
    Pushed,
    Rules,
    Services,
    Work,
)
from domain.surveys.appointments import Surveys
from domain.surveys.parts import Parts
from gateways.clamd import Clamd
from lianban.clients import Clients, connect, public_keys, signing_key
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
from payments.providers.bills import BillSource
from payments.providers.registry import Providers
from payments.reconciliation.companies import CompanyPostings
from payments.reconciliation.running import Party, Reconciling
from payments.refunding import Refunding
from payments.settling import Settling
from wechat.push import PushReceiver

AUDIENCE = "lianban:people"


def compose(settings: Settings) -> Services:
    """All services for these settings, area by area, each made of those before it; opens no connection yet."""
    ground = _ground(settings)
    clients = connect(settings, ground.city, ground.vault, ground.redis)
    outside = _outside(settings, ground, clients)
    identity = _identity(settings, ground, clients)
    money = _money(settings, ground, outside, clients)
    billing = _billing(settings, ground, outside, money, clients)
    promises = _promises(ground)
    rules = _rules(ground, promises)
    keeping = _keeping(settings, ground, clients, rules)
    work = _work(ground, outside, promises, rules)
    applications = _applications(ground, identity, rules, work)
    pushed = _pushed(ground, rules, applications, clients)
    messages = _messages(settings, ground, outside, clients)
    return _joined(
        ground, outside, identity, money, billing, promises, rules, keeping, work, applications, pushed, messages
    )


def _joined(*areas: Area) -> Services:
    """What is missing, or stands in two areas, Python refuses."""
    named = [(field.name, getattr(area, field.name)) for area in areas for field in fields(area)]
    assert len(dict(named)) == len(named)
    every: dict[str, Any] = dict(named)
    return Services(**every)


def _ground(settings: Settings) -> Ground:
    city = load_city(settings.city)
    vault = Vault([(key.keyid, key.raw()) for key in settings.field_keys], base64.b64decode(settings.blind_index_key))
    redis = redis_module.connect(settings.redis_url, settings.redis_wait_s)
    return Ground(
        settings=settings,
        city=city,
        vault=vault,
        redis=redis,
        limiter=redis_module.Limiter(redis),
        intents=Intents(city, vault),
    )


def _outside(settings: Settings, ground: Ground, clients: Clients) -> Outside:
    app, official = settings.wechat, settings.official_account
    return Outside(
        companies=Companies(clients.joined),
        providers=Providers(clients.connected),
        wechat_pay=clients.wechat_pay,
        followers=Followers(clients.account, ground.vault) if clients.account else None,
        push=PushReceiver(app.appid, app.push_token, app.push_encoding_aes_key),
        official_push=(
            PushReceiver(official.appid, official.push_token, official.push_encoding_aes_key) if official else None
        ),
        gateway_key=signing_key(settings),
        company_keys={code: public_keys(keys) for code, keys in settings.companies.items()},
        platform_keys=public_keys(settings.construction_platform) if settings.construction_platform else {},
        counterparts=clients.counterparts,
    )


def _identity(settings: Settings, ground: Ground, clients: Clients) -> Identity:
    city, vault, limiter, intents = ground.city, ground.vault, ground.limiter, ground.intents
    token_keys = TokenKeys([(key.keyid, key.key) for key in settings.token_keys])
    access_tokens = AccessTokens(token_keys, settings.public_url, AUDIENCE)
    sessions = Sessions(vault, access_tokens, RefreshTokens(base64.b64decode(settings.refresh_key)))
    staff_sessions = StaffSessions(token_keys, settings.public_url, city)
    people = People(vault)
    cards = Cards(vault, city, people, limiter, intents)
    sso = Sso(
        [*clients.identity_sources, *_official_account(clients)],
        sessions,
        people,
        vault,
        return_urls=settings.return_urls,
        public_url=settings.public_url,
    )
    code_template = settings.sms.templates.get(PHONE_CODE) if settings.sms else None
    return Identity(
        token_keys=token_keys,
        access_tokens=access_tokens,
        sessions=sessions,
        login=Login(clients.mini_program, sessions, people, vault),
        people=people,
        sso=sso,
        joining=Joining(sessions, sso, intents, vault),
        phone_codes=PhoneCodes(clients.sms, code_template, vault, limiter, sessions, city),
        staff=Staff(vault, city),
        staff_login=StaffLogin(vault, city, limiter, staff_sessions, Passwords()),
        staff_sessions=staff_sessions,
        acting=Acting(vault, city, limiter, cards, people),
        devices=Devices(city),
        cards=cards,
        mandates=Mandates(city, vault, limiter),
        first_agents=FirstAgents(city, vault, sessions),
        mandate_telling=MandateTelling(vault, intents),
    )


def _official_account(clients: Clients) -> tuple[OfficialAccountSource, ...]:
    """The official account as an identity source, where its web pages may ask who is there."""
    if clients.account is None or clients.web_login is None:
        return ()
    return (OfficialAccountSource(clients.web_login, clients.account),)


def _money(settings: Settings, ground: Ground, outside: Outside, clients: Clients) -> Money:
    city, providers = ground.city, outside.providers
    settling = Settling(providers)
    follower = Follower(providers, settling, city)
    reasons = city.values["refund_reason"]
    assert isinstance(reasons, ChoiceValue)
    return Money(
        cashier=Cashier(providers, ground.vault, f"{settings.public_url}/h5/"),
        follower=follower,
        settling=settling,
        refunding=Refunding(providers, reasons.options, city),
        reconciling=_reconciling(outside.companies, clients.bills, follower, city),
    )


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


def _billing(settings: Settings, ground: Ground, outside: Outside, money: Money, clients: Clients) -> Billing:
    city, vault, limiter, intents = ground.city, ground.vault, ground.limiter, ground.intents
    companies, providers = outside.companies, outside.providers
    accounts = Accounts(companies, city, vault, limiter)
    refresher = Refresher(companies, accounts)
    qr_codes = QrCodes([(key.keyid, key.raw()) for key in settings.qr_keys], settings.public_url, accounts, limiter)
    quotes = Quotes(accounts, refresher, qr_codes, city)
    return Billing(
        accounts=accounts,
        qr_codes=qr_codes,
        codes=SceneCodes(qr_codes, clients.mini_program, clients.account, city, "release"),
        refresher=refresher,
        quotes=quotes,
        overview=Overview(companies, accounts, refresher, city),
        paying=Paying(companies, refresher, money.follower, city, providers),
        topping_up=ToppingUp(companies, accounts, quotes, city, providers),
        acting_payments=ActingPayments(money.follower),
        posting=BillPosting(companies, accounts, city),
        telling=Telling(city, companies, accounts, intents),
        exchange=Exchange(companies, vault, city),
        desk=CompanyDesk(city, companies, accounts, vault),
        sharing=Sharing(city, vault, limiter),
        share_telling=ShareTelling(city, accounts, intents),
    )


def _promises(ground: Ground) -> Promises:
    calendars = Calendars(ground.city.schedules)
    deadlines = Deadlines(ground.city, calendars)
    watch = Watch(ground.city, calendars)
    return Promises(
        calendars=calendars,
        deadlines=deadlines,
        recounting=Recounting(deadlines, calendars),
        watch=watch,
        supervising=Supervising(ground.city, watch),
    )


def _rules(ground: Ground, promises: Promises) -> Rules:
    city, vault = ground.city, ground.vault
    tolerances = Tolerances(city, vault)
    return Rules(
        fees=Fees(city),
        guides=Guides(city),
        tolerances=tolerances,
        needs=Needs(city, vault, tolerances),
        credit=Credit(city, vault, promises.calendars.current),
        credit_telling=CreditTelling(ground.intents),
    )


def _keeping(settings: Settings, ground: Ground, clients: Clients, rules: Rules) -> Keeping:
    city, vault = ground.city, ground.vault
    materials = Materials(city, vault, _store(settings, clients), ground.limiter, Inspector(), _scanner(settings))
    return Keeping(
        materials=materials,
        staff_reading=StaffReading(city, vault, materials, rules.needs),
        company_reading=CompanyReading(city, vault, materials, rules.needs),
        material_telling=MaterialTelling(city, ground.intents),
    )


def _scanner(settings: Settings) -> Clamd | None:
    asked = settings.scanner
    return Clamd(asked.address, timedelta(seconds=asked.timeout_s), asked.most_bytes) if asked else None


def _store(settings: Settings, clients: Clients) -> Store:
    if clients.bucket is not None:
        return BucketStore(clients.bucket)
    assert settings.materials.folder is not None, "settings have been checked"
    return DiskStore(Path(settings.materials.folder))


def _work(ground: Ground, outside: Outside, promises: Promises, rules: Rules) -> Work:
    city, vault, deadlines = ground.city, ground.vault, promises.deadlines
    papers, order_clock = Papers(vault), OrderClock(city, deadlines, promises.calendars)
    orders = Orders(city, papers, order_clock)
    return Work(
        papers=papers,
        order_clock=order_clock,
        orders=orders,
        order_answers=OrderAnswers(papers, order_clock),
        order_delivery=OrderDelivery(orders, papers, outside.companies, vault, city),
        order_costs=OrderCosts(rules.fees, papers, vault),
        permits=Permits(city, orders, deadlines),
        surveys=Surveys(city),
        survey_parts=Parts(vault),
    )


def _applications(ground: Ground, identity: Identity, rules: Rules, work: Work) -> Applications:
    city, vault, intents = ground.city, ground.vault, ground.intents
    papers, parts = work.papers, work.survey_parts
    drafts = Drafts(city, vault, identity.mandates)
    return Applications(
        drafts=drafts,
        filing=Filing(city, vault, drafts, rules.needs),
        cases=Cases(city, vault, ground.limiter, drafts, papers, work.order_clock),
        correcting=Correcting(city, drafts, papers, work.order_answers),
        withdrawing=Withdrawing(city, work.order_answers),
        company_work=CompanyWork(work.orders, work.order_clock, parts, vault),
        order_desk=OrderDesk(vault, drafts, papers, parts),
        application_telling=ApplicationTelling(city, papers, intents),
        survey_telling=SurveyTelling(intents),
    )


def _pushed(ground: Ground, rules: Rules, applications: Applications, clients: Clients) -> Pushed:
    city, vault, platform = ground.city, ground.vault, clients.construction
    pushes = Pushes(city, vault, applications.drafts, rules.needs)
    return Pushed(
        pushes=pushes,
        push_desk=PushDesk(vault, pushes),
        push_reports=PushReports(city, platform),
        push_reconciling=PushReconciling(city, platform),
        demand=Demand(city, applications.drafts),
    )


def _messages(settings: Settings, ground: Ground, outside: Outside, clients: Clients) -> Messages:
    return Messages(delivery=Delivery(_channels(settings, ground, outside, clients), ground.intents, ground.city))


def _channels(settings: Settings, ground: Ground, outside: Outside, clients: Clients) -> list[Channel]:
    """The channels this installation has, in no order: the chain of a message says which comes first."""
    channels: list[Channel] = [MiniProgramChannel(clients.mini_program, settings.wechat.templates, ground.vault)]
    account, followers = clients.account, outside.followers
    if account is not None and followers is not None and settings.official_account is not None:
        templates = settings.official_account.templates
        channels.append(OfficialAccountChannel(account, followers, templates, settings.wechat.appid))
    if clients.sms is not None and settings.sms is not None:
        channels.append(SmsChannel(clients.sms, settings.sms.templates, ground.vault, ground.city))
    return channels
