"""Personal fields at rest: AES-256-GCM with algorithm and key id stored, and keyed blind indexes for looking them up.

The additional data names table, column and row, so a cell copied elsewhere does not open. Keys rotate: the first key of the ring
encrypts, every key decrypts; the algorithm byte leaves room for SM4-GCM beside it.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import LianbanError

_AES_256_GCM = 1
_NONCE_BYTES = 12


class CannotDecrypt(LianbanError):
    """The cell was made with an unknown key, moved from another row, or changed."""

    code = "internal"


class Vault:
    """Encrypts and indexes personal fields."""

    def __init__(self, keys: Sequence[tuple[str, bytes]], index_key: bytes) -> None:
        """`keys`: (key id of at most 32 ASCII characters, 32 bytes), the first one encrypts."""
        self._first = keys[0][0].encode("ascii")
        self._ciphers = {keyid.encode("ascii"): AESGCM(key) for keyid, key in keys}
        self._index_key = index_key

    def seal(self, text: str | bytes, column: str, row: UUID | str) -> bytes:
        """Encrypt one cell. `column` is ``table.column``."""
        nonce = os.urandom(_NONCE_BYTES)
        data = text.encode() if isinstance(text, str) else text
        sealed = self._ciphers[self._first].encrypt(nonce, data, _aad(column, row))
        return bytes((_AES_256_GCM, len(self._first))) + self._first + nonce + sealed

    def open_bytes(self, cell: bytes, column: str, row: UUID | str) -> bytes:
        """Decrypt one cell.

        Raises:
            CannotDecrypt: unknown algorithm or key id, another row's cell, or a changed one.
        """
        cell = bytes(cell)
        end = 2 + cell[1] if len(cell) > 1 else 0
        cipher = self._ciphers.get(cell[2:end])
        if not cipher or cell[0] != _AES_256_GCM:
            raise CannotDecrypt(f"{column}: unknown key")
        try:
            return cipher.decrypt(cell[end : end + _NONCE_BYTES], cell[end + _NONCE_BYTES :], _aad(column, row))
        except (InvalidTag, ValueError):  # the second: cut off within the nonce
            raise CannotDecrypt(f"{column}: not this cell") from None

    def open(self, cell: bytes, column: str, row: UUID | str) -> str:
        """Decrypt one cell of text."""
        return self.open_bytes(cell, column, row).decode()

    def index(self, purpose: str, value: str) -> bytes:
        """A keyed hash (32 bytes) for equality look-ups; `purpose` keeps the same value apart in different columns."""
        return hmac.digest(self._index_key, purpose.encode() + b"\0" + value.encode(), hashlib.sha256)


def _aad(column: str, row: UUID | str) -> bytes:
    return f"{column}.{row}".encode()
