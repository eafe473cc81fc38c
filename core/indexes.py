"""Indexes over a part of a table. Tortoise's own knows only conditions of equality."""

from typing import Any

from tortoise.indexes import Index


class PartialIndex(Index):
    """An index of the rows for which `condition`, an SQL expression, is true: small, however large the table grows."""

    def __init__(self, *, fields: tuple[str, ...] | list[str], name: str, condition: str) -> None:
        super().__init__(fields=fields, name=name)
        self.condition = condition
        self.extra = f" WHERE {condition}"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """How a migration writes it."""
        path, args, kwargs = super().deconstruct()
        return path, args, kwargs | {"condition": self.condition}
