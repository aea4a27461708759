"""Keyed signatures of artifacts: who may put bytes where they are stored cannot have them loaded.

The key is kept outside the store: HOUSING_SIGNING_KEY, or a file made at first use. From it comes
the Ed25519 key of verdict files, whose public half verifies and cannot sign. Not here: what is
signed, and where signatures are kept (`artifacts`, SQL, `operations.verdict_file`).
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from housing.errors import KeyMissing, SignatureWrong, StoreUnavailable, WrongKey
from housing.store.objects.filesystem import write_durably

LEAST_CHARACTERS = 32
"""Of a key; a made one has 64 hexadecimal digits."""


@dataclass(frozen=True)
class Signer:
    """Signs and checks with one key; `given` wins over the file, which is made when first needed.

    A signature reads `<key id>:<hexadecimal HMAC-SHA256>`; the id distinguishes a wrong
    key from a wrong signature and reveals nothing of the key.
    """

    file: Path
    given: SecretStr | None = None

    def sign(self, text: str) -> str:
        """The signature of a text."""
        key = self._key() or self._put(secrets.token_hex(32))
        return f"{_id(key)}:{_mac(key, text)}"

    def verdict_key(self) -> Ed25519PrivateKey:
        """The key that signs verdict files, always the same for the same signing key."""
        key = self._key() or self._put(secrets.token_hex(32))
        derived = HKDF(SHA256(), 32, salt=None, info=b"housing verdict files").derive(key.encode())
        return Ed25519PrivateKey.from_private_bytes(derived)

    def check(self, signature: str | None, text: str, what: str) -> None:
        """SignatureWrong, WrongKey or KeyMissing unless the key here signed the text."""
        if not signature:
            raise SignatureWrong(what=what, why="it is not signed")
        theirs, _, mac = signature.partition(":")
        key = self._key()
        if key is None:
            raise KeyMissing(what=what, theirs=theirs, file=self.file)
        if _id(key) != theirs:
            raise WrongKey(what=what, theirs=theirs, ours=_id(key), location=self.key_source)
        if not hmac.compare_digest(mac, _mac(key, text)):
            raise SignatureWrong(what=what, why="its signature is not that of its bytes")

    @property
    def key_source(self) -> str:
        """Where the key comes from, in words."""
        return "HOUSING_SIGNING_KEY" if self.given is not None else str(self.file)

    def key_id(self) -> str | None:
        """The id of the key here, or None where there is none yet."""
        key = self._key()
        return None if key is None else _id(key)

    def key_to_keep(self) -> str | None:
        """The key, where this machine made it and its backups should have it; else None."""
        return None if self.given is not None else self._key()

    def adopt(self, key: SecretStr) -> None:
        """Have the key of another machine here; where there is one already, it stays."""
        self._put(key.get_secret_value())

    def _key(self) -> str | None:
        if self.given is not None:
            return self.given.get_secret_value()
        try:
            key = self.file.read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(error) from error
        if len(key) < LEAST_CHARACTERS:
            raise self._unusable(ValueError(f"it has fewer than {LEAST_CHARACTERS} characters"))
        return key

    def _put(self, key: str) -> str:
        """The key in the file: of two processes that make one at once both use the first."""
        scratch = self.file.with_name(f".{self.file.name}-{secrets.token_hex(8)}")
        try:
            write_durably(scratch, key.encode())
            try:
                os.link(scratch, self.file)
            except FileExistsError:
                pass
            finally:
                scratch.unlink()
            return self.file.read_text().strip()
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            what=f"The signing key {self.file}",
            why=getattr(error, "strerror", None) or str(error),
            next_step="Make it readable, put the right one there, or set HOUSING_SIGNING_KEY.",
        )


def _mac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _id(key: str) -> str:
    return hashlib.sha256(b"id of a housing key: " + key.encode()).hexdigest()[:12]
