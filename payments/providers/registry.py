"""The providers that payments may go through, by the name in our rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.errors import LianbanError
from payments.providers.port import NoticeReader, PaymentProvider


class MethodNotOffered(LianbanError):
    """No such provider here, or it has not this method, or not for so many merchants in one order. data: ``provider``, ``method``."""

    code = "payment_method_not_offered"


@dataclass(frozen=True, slots=True)
class Connected:
    """A provider as this process works with it, and where it sends its notices (refunds may have an address of their own)."""

    provider: PaymentProvider
    notices: NoticeReader
    notify_url: str
    refund_notify_url: str

    @property
    def name(self) -> str:
        """The provider's word in our rows."""
        return self.provider.name


class Providers:
    """All connected providers; the first is the one a payment goes through when nobody says otherwise."""

    def __init__(self, connected: Iterable[Connected]) -> None:
        self._by_name = {one.name: one for one in connected}
        self.default = next(iter(self._by_name))

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Connected]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Connected:
        """The provider of this name.

        Raises:
            MethodNotOffered: none is connected: what was begun at one that has been taken away waits until it is there again.
        """
        if name not in self._by_name:
            raise MethodNotOffered(provider=name, method=None)
        return self._by_name[name]

    def check(self, name: str, method: str, parts: int) -> None:
        """Refuse a way to pay that is not there.

        Raises:
            MethodNotOffered: no such provider, not this method, or not for so many merchants at once.
        """
        if name in self._by_name:
            most = {str(one): number for one, number in self._by_name[name].provider.most_parts.items()}
            if parts <= most.get(method, 0):
                return
        raise MethodNotOffered(provider=name, method=method)
