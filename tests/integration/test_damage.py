"""Torn writes and flipped bits in every kind of stored file: found before use, by the reader and by
the doctor, and by a trial restore where the file is a backup's."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.results import save_if_asked
from housing.errors import BackupKeyWrong, Corrupt, HousingError
from housing.operations import backup, doctor
from housing.settings import Settings, load_settings
from housing.store.backups import snapshots
from housing.store.data import datasets
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import blobs
from housing.store.models import artifacts, registry

PAGE = 4096
Damage = tuple[str, bytes]


@pytest.fixture
def store(populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(populated_home, tmp_path / "home")
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "home"))
    with open_store(load_settings()) as opened:
        yield opened


def torn(whole: bytes) -> Iterator[Damage]:
    """Cut off at each page, and with a page of zeros in its stead, as power leaves files."""
    for at in range(0, len(whole), PAGE):
        yield f"cut at {at}", whole[:at]
        zeros = bytes(len(whole[at : at + PAGE]))
        yield f"zeros at {at}", whole[:at] + zeros + whole[at + PAGE :]


def flipped(whole: bytes, number: int, chance: random.Random) -> Iterator[Damage]:
    """With one bit flipped, at so many places."""
    for _ in range(number):
        bit = chance.randrange(8 * len(whole))
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(data)


def read_blob(store: Store, row: sa.Row[tuple[object, ...]]) -> None:
    """Use a blob as the program does."""
    if row.kind in (artifacts.KIND, artifacts.COPY_KIND):
        artifacts.get_model(store, row.digest)
    else:
        get_table(store, row.digest)


def found_by_doctor(store: Store, settings: Settings) -> bool:
    return any(f.severity == "damaged" for f in doctor._objects(store, settings))


def found_by_reader(use: Callable[[], object]) -> bool:
    try:
        use()
    except (Corrupt, BackupKeyWrong):
        return True
    return False


def _each_blob(store: Store, flips: int, pages: int | None) -> Counter[str]:
    """Damage one blob of each kind in many ways; returns how often, by kind."""
    settings, chance, done = load_settings(), random.Random(0), Counter[str]()
    with store.read() as connection:
        rows = connection.execute(sa.select(blobs).order_by(blobs.c.digest)).all()
    assert not found_by_doctor(store, settings)
    for row in {row.kind: row for row in rows}.values():
        path = Path(store.blobs.path(row.digest, row.suffix))
        whole = path.read_bytes()
        damages = [*list(torn(whole))[:pages], *flipped(whole, flips, chance)]
        for name, data in damages:
            if data == whole:
                continue
            path.write_bytes(data)
            assert found_by_reader(lambda row=row: read_blob(store, row)), (row.kind, name)
            assert found_by_doctor(store, settings), (row.kind, name)
            done[row.kind] += 1
        path.write_bytes(whole)
        assert not found_by_reader(lambda row=row: read_blob(store, row))
    return done


def _each_file_of_a_snapshot(store: Store, flips: int, pages: int | None) -> Counter[str]:
    settings, chance, done = load_settings(), random.Random(1), Counter[str]()
    cut = backup.create(store, settings)
    assert backup.verify(store).good
    for part in ("manifest.json", "promotion_log.parquet", "models.parquet", "split_sides.parquet"):
        path = Path(store.backup.at(f"snapshots/{cut.id}/{part}"))
        whole = path.read_bytes()
        for name, data in [*list(torn(whole))[:pages], *flipped(whole, flips, chance)]:
            if data == whole:
                continue
            path.write_bytes(data)
            assert found_by_reader(lambda part=part: _read_part(store, cut.id, part)), (part, name)
            done[part] += 1
        assert found_by_reader(lambda: _must_be_good(store, settings)), "the last damage of it"
        path.write_bytes(whole)
    assert backup.verify(store).good
    return done


def _read_part(store: Store, cut: str, part: str) -> None:
    manifest = snapshots.read(store.backup, cut)
    for table in manifest.tables:
        if part == f"{table.table}.parquet":
            snapshots.read_part(store.backup, cut, table)


def _must_be_good(store: Store, settings: Settings) -> None:
    found = backup.verify(store)
    if not found.good:
        raise Corrupt(what="the backup", why="; ".join(found.problems))


def _key(store: Store, flips: int) -> Counter[str]:
    """The signing key: with one bit flipped nothing is loaded."""
    file, done = store.signer.file, Counter[str]()
    whole = file.read_bytes()
    with store.read() as connection:
        digest = registry.model(connection, 2).artifact
    for name, data in flipped(whole, flips, random.Random(2)):
        file.write_bytes(data)
        with pytest.raises(HousingError):
            artifacts.get_model(store, digest)
        assert list(doctor._signatures(store, load_settings())), name
        done["signing key"] += 1
    file.write_bytes(whole)
    artifacts.get_model(store, digest)
    return done


def test_some_damage_of_each_kind_is_found(store: Store) -> None:
    assert len(_each_blob(store, 3, 4)) >= 6
    assert len(_each_file_of_a_snapshot(store, 3, 4)) == 4
    assert _key(store, 3)


def test_the_checkers_fail_when_they_should(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the digest's check, damage would go by: so it is the check that finds it."""
    monkeypatch.setattr("housing.store.objects.blobs.hashlib.sha256", _Agreeable)
    with store.read() as connection:
        version = datasets.active(connection)
        row = connection.execute(sa.select(blobs).where(blobs.c.kind == "sides")).first()
    assert row is not None
    assert version is not None
    path = Path(store.blobs.path(row.digest, row.suffix))
    whole = bytearray(path.read_bytes())
    missed = 0
    for at in range(4, len(whole) - 8, 97):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(bytes(damaged))
        _Agreeable.digest = row.digest
        missed += not found_by_reader(lambda: store.blobs.get(row.digest, row.suffix))
    assert missed > 0


class _Agreeable:
    """A digest that agrees with everything."""

    digest = ""

    def __init__(self, data: bytes) -> None:
        pass

    def hexdigest(self) -> str:
        return _Agreeable.digest


@pytest.mark.slow
def test_a_thousand_damages_are_all_found(store: Store) -> None:
    done = (
        _each_blob(store, 120, None) + _each_file_of_a_snapshot(store, 60, None) + _key(store, 40)
    )
    print(f"{sum(done.values())} damaged files, all found: {dict(done)}")
    assert sum(done.values()) >= 1000
    save_if_asked("damage", {"files": sum(done.values()), "found": sum(done.values())})
