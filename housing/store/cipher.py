"""Encryption at rest: AES-256-GCM with a key derived from HOUSING_BACKUP_KEY.

A file is a header (magic, key id, nonce) and the sealed bytes; its name is sealed with it, so that
no file can stand in for another. What is damaged or of another key is never returned.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import SecretStr

from housing.errors import BackupKeyWrong, Corrupt

_MAGIC = b"housing1"
_ID, _NONCE = 8, 12
_HEADER = len(_MAGIC) + _ID + _NONCE
_SALT = b"housing backup key"
"""The same for all: the key must be derived on an empty machine, from the passphrase alone."""


@dataclass(frozen=True)
class Cipher:
    """Seals and opens bytes with one passphrase."""

    passphrase: SecretStr

    def sealed(self, data: bytes, name: str) -> bytes:
        """Bytes as they are stored under a name."""
        nonce = os.urandom(_NONCE)
        return self._start + nonce + self._aes.encrypt(nonce, data, name.encode())

    def opened(self, stored: bytes, name: str, path: str) -> bytes:
        """The bytes that were sealed; Corrupt or BackupKeyWrong for anything else."""
        if len(stored) < _HEADER or not stored.startswith(_MAGIC):
            raise Corrupt(what=path, why="it is no encrypted file of this system")
        if not stored.startswith(self._start):
            raise BackupKeyWrong(path=path)
        nonce = stored[_HEADER - _NONCE : _HEADER]
        try:
            return self._aes.decrypt(nonce, stored[_HEADER:], name.encode())
        except InvalidTag as error:
            raise Corrupt(what=path, why="its bytes are not those that were sealed") from error

    @cached_property
    def _key(self) -> bytes:
        secret = self.passphrase.get_secret_value().encode()
        return Scrypt(salt=_SALT, length=32, n=2**15, r=8, p=1).derive(secret)

    @cached_property
    def _aes(self) -> AESGCM:
        return AESGCM(self._key)

    @cached_property
    def _start(self) -> bytes:
        return _MAGIC + hashlib.sha256(b"id of a backup key: " + self._key).digest()[:_ID]
