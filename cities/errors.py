"""What can be wrong with a city pack, or with a question put to it."""

from core.errors import LianbanError


class CityPackInvalid(LianbanError):
    """A city pack cannot be used: the `file`, the `path` in it (``$`` is the file itself) and the `fault` in words."""

    code = "city_pack_invalid"

    def __init__(self, file: str, path: str, fault: str) -> None:
        super().__init__(f"{file}: {path}: {fault}")
        self.file, self.path, self.fault = file, path, fault


class NotInForce(LianbanError):
    """No version of the rule or text is in force on that day."""

    code = "city_rule_not_in_force"


class UnknownCompany(LianbanError):
    """The city has no company with this code."""

    code = "company_unknown"


class UnknownMessageKind(LianbanError):
    """The catalogue has no message of this kind (a silent edge has none either)."""

    code = "message_kind_unknown"


class MessageValuesInvalid(LianbanError):
    """The values given do not fit the placeholders declared for the message. Names placeholders, never their values."""

    code = "message_values_invalid"
