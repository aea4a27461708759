"""Sealed files: every size comes back, and nothing that was touched does."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from housing.errors import BackupKeyWrong, Corrupt
from housing.store.objects import encryption
from housing.store.objects.encryption import Cipher
from housing.store.objects.filesystem import DurableFileSystem

HEADER = 8 + 8 + 32
TAG = 16


@pytest.fixture(scope="module")
def ours() -> Cipher:
    return Cipher(SecretStr("correct horse battery staple"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pieces of a few bytes, so that small files have many."""
    monkeypatch.setattr(encryption, "PIECE", 10)
    return 10


def pieces_of(stored: bytes, piece: int) -> tuple[bytes, list[bytes]]:
    sealed, step = stored[HEADER:], piece + TAG
    return stored[:HEADER], [sealed[at : at + step] for at in range(0, len(sealed), step)]


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25, 1000])
def test_every_size_comes_back(ours: Cipher, small: int, size: int) -> None:
    data = os.urandom(size)
    stored = ours.sealed(data, "a")
    assert len(pieces_of(stored, small)[1]) == max(1, -(-size // small))
    assert ours.opened(stored, "a", "there") == data
    assert ours.sealed(data, "a") != stored, "the same bytes twice can be told apart"
    assert size < 8 or data not in stored


def test_pieces_that_were_dropped_moved_or_exchanged_are_seen(ours: Cipher, small: int) -> None:
    head, pieces = pieces_of(ours.sealed(bytes(range(35)), "a"), small)
    other = pieces_of(ours.sealed(bytes(range(35)), "a"), small)[1]
    wrong = {
        "the last dropped": pieces[:-1],
        "the first dropped": pieces[1:],
        "all dropped": [],
        "two exchanged": [pieces[1], pieces[0], *pieces[2:]],
        "one twice": [pieces[0], pieces[0], *pieces[2:]],
        "one more": [*pieces, pieces[-1]],
        "one of another file": [other[0], *pieces[1:]],
    }
    for what, changed in wrong.items():
        with pytest.raises(Corrupt):
            ours.opened(head + b"".join(changed), "a", what)
    assert ours.opened(head + b"".join(pieces), "a", "there") == bytes(range(35))


def test_a_bit_or_a_byte_less_anywhere_is_seen(ours: Cipher, small: int) -> None:
    stored = ours.sealed(bytes(range(25)), "a")
    for at in range(len(stored)):
        flipped = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
        with pytest.raises((Corrupt, BackupKeyWrong)):
            ours.opened(flipped, "a", "flipped")
        with pytest.raises((Corrupt, BackupKeyWrong)):
            ours.opened(stored[:at], "a", "cut off")


def test_another_name_and_another_key_are_seen(ours: Cipher) -> None:
    stored = ours.sealed(b"x", "a")
    with pytest.raises(Corrupt):
        ours.opened(stored, "b", "there")
    with pytest.raises(BackupKeyWrong):
        Cipher(SecretStr("another passphrase")).opened(stored, "a", "there")


@pytest.mark.slow
def test_an_object_beyond_what_can_be_sealed_in_one(ours: Cipher, tmp_path: Path) -> None:
    """2 GiB and a byte: AES-GCM itself takes no more than 2 GiB - 1 in one piece."""
    data = bytes(2**31) + b"!"
    with pytest.raises(OverflowError):
        AESGCM(bytes(32)).encrypt(bytes(12), data, None)
    place = DurableFileSystem(str(tmp_path), ours)
    place.write("large", data)
    assert Path(place.at("large")).stat().st_size > len(data)
    assert place.read("large") == data
