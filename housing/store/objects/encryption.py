"""Encryption at rest: AES-256-GCM in pieces, with a key derived from HOUSING_BACKUP_KEY.

A file is a header (magic, key id, salt) and sealed pieces of `PIECE` bytes, so that its size has
no limit. Its key is derived from the passphrase and the salt, so counters can be nonces. As in
age (age-encryption.org/v1), a nonce is the piece's number and whether it is the last: none can be
dropped, moved or cut off. The file's name is sealed with each, so no file can stand in for
another. What is damaged or of another key is never returned.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import SecretStr

from housing.errors import BackupKeyWrong, Corrupt

PIECE = 1 << 20
"""Bytes sealed at a time; a part of the format."""

_MAGIC = b"housing2"
_ID, _NONCE, _FILE_SALT, _TAG = 8, 12, 32, 16
_START = len(_MAGIC) + _ID
_HEADER = _START + _FILE_SALT
_SALT = b"housing backup key"
"""The same for all: the key must be derived on an empty machine, from the passphrase alone."""


@dataclass(frozen=True)
class Cipher:
    """Seals and opens bytes with one passphrase."""

    passphrase: SecretStr

    def sealed(self, data: bytes, name: str) -> bytes:
        """Bytes as they are stored under a name."""
        salt = os.urandom(_FILE_SALT)
        aes, plain = self._of_file(salt), memoryview(data)
        pieces = (
            aes.encrypt(nonce, plain[start : start + PIECE], name.encode())
            for start, nonce in _numbered(len(data), PIECE)
        )
        return b"".join((_MAGIC, self._id, salt, *pieces))

    def opened(self, stored: bytes, name: str, path: str) -> bytes:
        """The bytes that were sealed; Corrupt or BackupKeyWrong for anything else."""
        if not stored.startswith(_MAGIC) or len(stored) < _HEADER + _TAG:
            raise Corrupt(what=path, why="it is no encrypted file of this system")
        if stored[len(_MAGIC) : _START] != self._id:
            raise BackupKeyWrong(path=path)
        aes, sealed = self._of_file(stored[_START:_HEADER]), memoryview(stored)[_HEADER:]
        try:
            return b"".join(
                aes.decrypt(nonce, sealed[start : start + PIECE + _TAG], name.encode())
                for start, nonce in _numbered(len(sealed), PIECE + _TAG)
            )
        except InvalidTag as error:
            raise Corrupt(what=path, why="its bytes are not those that were sealed") from error

    def _of_file(self, salt: bytes) -> AESGCM:
        derived = HKDF(SHA256(), length=32, salt=salt, info=b"housing backup file")
        return AESGCM(derived.derive(self._key))

    @cached_property
    def _key(self) -> bytes:
        secret = self.passphrase.get_secret_value().encode()
        return Scrypt(salt=_SALT, length=32, n=2**15, r=8, p=1).derive(secret)

    @cached_property
    def _id(self) -> bytes:
        return hashlib.sha256(b"id of a backup key: " + self._key).digest()[:_ID]


def _numbered(size: int, step: int) -> Iterator[tuple[int, bytes]]:
    """Start and nonce of each piece; of nothing there is one piece, which is empty."""
    number = max(1, -(-size // step))
    for index in range(number):
        last = index == number - 1
        yield index * step, index.to_bytes(_NONCE - 1, "big") + bytes([last])
