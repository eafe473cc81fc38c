"""Who takes part at Alipay: applications with their keys, and the merchants that have authorised them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox import alipay_crypto as crypto


@dataclass(frozen=True, slots=True)
class Seller:
    """A merchant: its number, its own application, and the token by which it lets another application act for it."""

    seller_id: str
    auth_app_id: str
    app_auth_token: str | None


@dataclass(frozen=True, slots=True)
class App:
    """An application. In certificate mode it announces its certificate's number with each call."""

    app_id: str
    key: rsa.RSAPublicKey
    certificate_number: str | None
    sellers: tuple[Seller, ...]

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "App":
        sellers = tuple(
            Seller(item["seller_id"], item.get("auth_app_id") or config["app_id"], item.get("app_auth_token"))
            for item in config["sellers"]
        )
        if sum(seller.app_auth_token is None for seller in sellers) > 1:
            raise ValueError(f"application {config['app_id']}: only one merchant can be its owner")
        if config.get("certificate"):
            certificate, key = crypto.load_certificate(config["certificate"])
            return cls(config["app_id"], key, crypto.certificate_number(certificate), sellers)
        return cls(config["app_id"], crypto.load_public_key(config["public_key"]), None, sellers)

    def seller(self, app_auth_token: str | None) -> Seller | None:
        """For whom a call is: the merchant who gave this token; without one, the application's owner."""
        return next((seller for seller in self.sellers if seller.app_auth_token == app_auth_token), None)


class Parties:
    """Reads the ``alipay`` part of the configuration. Raises ValueError or KeyError when it is wrong."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        platform = config["platform"]
        self.key = crypto.load_private_key(platform["private_key"])
        certificate, public = crypto.load_certificate(platform["certificate"])
        if public.public_numbers() != self.key.public_key().public_numbers():
            raise ValueError("platform.certificate does not belong to its private key")
        self.certificate_number = crypto.certificate_number(certificate)
        self.root_number = crypto.root_number(platform["root_certificates"])
        self.apps = {app["app_id"]: App.read(app) for app in config["apps"]}
