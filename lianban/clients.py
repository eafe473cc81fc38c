"""The clients of the outside world, made of settings and city pack: who is there, at which address, under which keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from redis.asyncio import Redis

from cities.schema import City, Company, Gateway
from core.crypto import Vault
from core.outbound import CircuitSettings, Counterpart
from core.settings import Alipay as AlipaySettings
from core.settings import CompanyKeys, Settings
from core.settings import ConstructionPlatform as ConstructionSettings
from core.settings import IdentitySource as IdentitySourceSettings
from domain.companies import JoinedCompany
from domain.companies.filed import FiledCompany
from gateways.companies import CompanyGateway, SigningKey, load_public_key, load_signing_key
from gateways.company_files import CompanyFiles
from gateways.construction_platform import ConstructionPlatform
from gateways.object_storage import Bucket
from gateways.sms import SmsGateway
from gateways.unified_code import CodeSource
from gateways.unified_identity import IdentitySource
from gateways.unified_ticket import TicketSource
from payments.providers.alipay import client as alipay_client
from payments.providers.alipay.bills import AlipayBills
from payments.providers.alipay.client import Alipay
from payments.providers.alipay.config import AlipayConfig
from payments.providers.alipay.notices import AlipayNotices
from payments.providers.bills import BillSource
from payments.providers.registry import Connected
from payments.providers.wechat_pay import client as wechat_pay_client
from payments.providers.wechat_pay.bills import WeChatPayBills
from payments.providers.wechat_pay.client import WeChatPay
from payments.providers.wechat_pay.config import WeChatPayConfig
from payments.providers.wechat_pay.notices import WeChatPayNotices
from wechat.client import MiniProgram
from wechat.official_account import OfficialAccount
from wechat.token import TokenKeeper
from wechat.web_login import WebLogin


@dataclass(frozen=True, slots=True)
class Clients:
    """Whom an installation reaches; what is None or missing is not configured. `bills` by the provider's name."""

    mini_program: MiniProgram
    account: OfficialAccount | None
    web_login: WebLogin | None
    identity_sources: tuple[IdentitySource, ...]
    sms: SmsGateway | None
    construction: ConstructionPlatform | None
    bucket: Bucket | None
    joined: Mapping[str, JoinedCompany]
    wechat_pay: WeChatPay
    connected: tuple[Connected, ...]
    bills: Mapping[str, BillSource]
    counterparts: tuple[Counterpart, ...]


def connect(settings: Settings, city: City, vault: Vault, redis: Redis) -> Clients:
    """All clients for these settings; opens no connection yet."""
    to, asked, app = settings.endpoints, settings.materials.bucket, settings.wechat
    wechat, wechat_pay = Counterpart("wechat", to.wechat), Counterpart("wechat_pay", to.wechat_pay)
    # The files stand at a host of their own, whose being away says nothing about the gateway.
    alipay, alipay_files = Counterpart("alipay", to.alipay), Counterpart("alipay_bills", to.alipay_bills)
    identity = {
        code: Counterpart(f"identity:{code}", source.api_url) for code, source in settings.identity_sources.items()
    }
    companies = _company_sides(settings, city)
    sms = Counterpart("sms", to.sms, timeout=timedelta(seconds=8)) if settings.sms else None
    store = Counterpart("material_store", asked.endpoint) if asked else None
    pushing = settings.construction_platform
    construction = Counterpart("construction", pushing.base_url) if pushing else None
    config = _wechat_pay(settings)
    client = WeChatPay(config, wechat_pay)
    pay = settings.wechat_pay
    connected = [Connected(client, WeChatPayNotices(config), pay.notify_url, pay.refund_notify_url)]
    bills: dict[str, BillSource] = {client.name: WeChatPayBills(config, wechat_pay)}
    if settings.alipay is not None:
        alipay_config = _alipay(settings, settings.alipay, city)
        connected.append(_connected_alipay(settings.alipay, alipay_config, alipay))
        bills[alipay_client.NAME] = AlipayBills(alipay_config, alipay, alipay_files)
    return Clients(
        mini_program=MiniProgram(
            app.appid, app.secret, wechat, TokenKeeper(app.appid, app.secret, wechat, redis, vault)
        ),
        account=_official_account(settings, wechat, redis, vault),
        web_login=_web_login(settings, wechat),
        identity_sources=tuple(
            _identity_source(code, settings.identity_sources[code], identity[code]) for code in identity
        ),
        sms=_sms(settings, sms),
        bucket=_bucket(settings, store),
        construction=_construction(settings, construction),
        joined=_joined(settings, city, companies, vault),
        wechat_pay=client,
        connected=tuple(connected),
        bills=bills,
        counterparts=(
            wechat,
            wechat_pay,
            alipay,
            alipay_files,
            *identity.values(),
            *companies.values(),
            *([sms] if sms else []),
            *([store] if store else []),
            *([construction] if construction else []),
        ),
    )


def signing_key(settings: Settings) -> SigningKey:
    """Our own key at the companies' gateways: the first that is named."""
    return load_signing_key(settings.gateway_keys[0].keyid, settings.gateway_keys[0].key)


def public_keys(keys: CompanyKeys | ConstructionSettings) -> dict[str, Ed25519PublicKey]:
    """The keys a company, or the construction platform, signs with, by their names."""
    return {key.keyid: load_public_key(key.key) for key in keys.public_keys}


def _official_account(settings: Settings, side: Counterpart, redis: Redis, vault: Vault) -> OfficialAccount | None:
    app = settings.official_account
    if app is None:
        return None
    return OfficialAccount(app.appid, side, TokenKeeper(app.appid, app.secret, side, redis, vault))


def _web_login(settings: Settings, side: Counterpart) -> WebLogin | None:
    app = settings.official_account
    if app is None or app.web_scope is None:
        return None
    return WebLogin(app.appid, app.secret, app.web_scope, settings.endpoints.wechat_pages, side)


def _identity_source(code: str, rules: IdentitySourceSettings, side: Counterpart) -> IdentitySource:
    if rules.protocol == "ticket":
        return TicketSource(code, rules.issuer, rules.login_url, rules.client_id, rules.secret, side)
    return CodeSource(code, rules.issuer, rules.login_url, rules.client_id, rules.secret, rules.public_key, side)


def _sms(settings: Settings, side: Counterpart | None) -> SmsGateway | None:
    if settings.sms is None or side is None:
        return None
    return SmsGateway(
        side, settings.sms.secret_id, settings.sms.secret_key, settings.sms.app_id, settings.sms.sign_name
    )


def _construction(settings: Settings, side: Counterpart | None) -> ConstructionPlatform | None:
    platform = settings.construction_platform
    if platform is None or side is None:
        return None
    return ConstructionPlatform(side, urlsplit(platform.base_url).netloc, signing_key(settings), public_keys(platform))


def _bucket(settings: Settings, side: Counterpart | None) -> Bucket | None:
    asked = settings.materials.bucket
    if asked is None or side is None:
        return None
    return Bucket(side, asked.endpoint, asked.region, asked.bucket, asked.access_key, asked.secret_key)


def _wechat_pay(settings: Settings) -> WeChatPayConfig:
    pay = settings.wechat_pay
    return WeChatPayConfig.load(
        sp_appid=pay.sp_appid,
        sp_mchid=pay.sp_mchid,
        serial=pay.serial,
        private_key=pay.private_key,
        api_v3_key=pay.api_v3_key,
        public_key_id=pay.public_key_id,
        public_key=pay.public_key,
        platform_certificates=pay.platform_certificates,
    )


def _alipay(settings: Settings, alipay: AlipaySettings, city: City) -> AlipayConfig:
    """Alipay in the name of every joined company that is a merchant there."""
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


def _joined(settings: Settings, city: City, sides: Mapping[str, Counterpart], vault: Vault) -> dict[str, JoinedCompany]:
    our_key = signing_key(settings)
    joined: dict[str, JoinedCompany] = {}
    for code, side in sides.items():
        rules, keys = city.company(code), settings.companies[code]
        merchant = keys.sub_mchid or rules.sub_mchid
        assert merchant is not None
        merchants = {wechat_pay_client.NAME: merchant}
        if seller := _alipay_seller(settings, rules):
            merchants[alipay_client.NAME] = seller
        authority, their_keys = urlsplit(keys.base_url).netloc, public_keys(keys)
        if rules.gateway.files is not None:
            files = CompanyFiles(code, side, authority, our_key, their_keys)
            gateway = FiledCompany(code, rules.gateway.files, files, vault)
        else:
            inside = rules.gateway.errors == "inside"
            gateway = CompanyGateway(code, side, authority, our_key, their_keys, errors_inside=inside)
        joined[code] = JoinedCompany(rules, gateway, merchants)
    return joined


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
