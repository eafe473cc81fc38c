"""Numbers of persons, organizations and mobile phones as the national standards make them, with their check characters."""

import re
from datetime import date

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"
_CREDIT_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_MOBILE = re.compile(r"1[3-9][0-9]{9}")


def is_id_number(number: str) -> bool:
    """True for a resident's ID number (GB 11643): 17 digits with a real day of birth, and the right check character.

    >>> is_id_number("11010519491231002X"), is_id_number("110105194912310021"), is_id_number("11010519490231002X")
    (True, False, False)
    """
    if len(number) != 18 or not (number[:17].isascii() and number[:17].isdigit()):
        return False
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], _ID_WEIGHTS, strict=True))
    return number[17] == _ID_CHECKS[total % 11]


def is_credit_code(code: str) -> bool:
    """True for a unified social credit code (GB 32100) with the right check character.

    >>> is_credit_code("91350100M000100Y43"), is_credit_code("91350100M000100Y44"), is_credit_code("91350100I000100Y43")
    (True, False, False)
    """
    if len(code) != 18 or any(character not in _CREDIT_CHARACTERS for character in code):
        return False
    total = sum(_CREDIT_CHARACTERS.index(character) * pow(3, place, 31) for place, character in enumerate(code[:17]))
    return code[17] == _CREDIT_CHARACTERS[(31 - total % 31) % 31]


def is_mobile(number: str) -> bool:
    """True for a mobile number of mainland China, without a prefix.

    >>> is_mobile("13812345678"), is_mobile("12812345678"), is_mobile("1381234567８")
    (True, False, False)
    """
    return _MOBILE.fullmatch(number) is not None
