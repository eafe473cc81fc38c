"""Active and apparent power are two things. Rules are in kW, transformers in kVA; nothing here turns one into the other in silence."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, order=True)
class Kilowatts:
    """Active power applied for. Compares with its like only.

    >>> Kilowatts(Decimal(160)) <= Kilowatts(Decimal("160.0"))
    True
    """

    kw: Decimal

    def __post_init__(self) -> None:
        if not 0 < self.kw <= 1_000_000:
            raise ValueError("power applied for is above 0 and at most a gigawatt")


@dataclass(frozen=True, slots=True, order=True)
class KilovoltAmperes:
    """Apparent power, as transformers are sized."""

    kva: Decimal

    def at(self, power_factor: Decimal) -> Kilowatts:
        """The active power at a power factor that somebody has stated.

        >>> KilovoltAmperes(Decimal(200)).at(Decimal("0.9"))
        Kilowatts(kw=Decimal('180.0'))
        """
        if not 0 < power_factor <= 1:
            raise ValueError("a power factor is above 0 and at most 1")
        return Kilowatts(self.kva * power_factor)
