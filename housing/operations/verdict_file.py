"""Verdict files: a decision of the gate with all that it follows from, signed.

With the file and the public key the evidence can be judged again on a machine without our
database, and no other file can be made. Not here: the key (`store.objects.signing`).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as release_of
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from sqlalchemy.engine import Connection, Row

import housing
from housing import schema
from housing.errors import FileUnreadable, HousingError
from housing.gate.replay import Replayed, replay
from housing.operations.explain_verdict import row_of
from housing.records import Json, Verdict
from housing.store.data import batches, profiles
from housing.store.database.engine import Store
from housing.store.models import approvals, registry
from housing.store.objects.signing import Signer
from housing.store.queries import time, with_letter

FORMAT = "housing verdict 1"
PACKAGE = "housing-nightly"
AGAIN = "get the file again, or have it exported again (`housing gate export`)"


@dataclass(frozen=True)
class VerdictCheck:
    """What is wrong with a verdict file, each with a next step, and what was not checked."""

    content: Json
    replayed: Replayed | None  # None where the file has no evidence that this release reads
    mismatches: tuple[str, ...]
    notes: tuple[str, ...]
    key: str  # the public key that signed, hexadecimal; "" where none did
    trusted: bool  # whether that is the key that the caller trusts


def write(store: Store, run: int | None) -> tuple[str, bytes]:
    """The id and the verdict file of a run, or of the newest verdict."""
    with store.read() as connection:
        row = _deciding_row(connection, run)
        content = _content(connection, row)
    return content["run"] or f"e{row.id}", sealed(content, store.signer.verdict_key())


def sealed(content: Json, key: Ed25519PrivateKey) -> bytes:
    """The file with this content, signed."""
    whole = {**content, "public_key": key.public_key().public_bytes_raw().hex()}
    return _bytes({**whole, "signature": key.sign(_bytes(whole)).hex()})


def public_key(signer: Signer) -> bytes:
    """The key that verifies the verdict files of an installation, as PEM."""
    public = signer.verdict_key().public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public_key(file: Path) -> str:
    """The key of a PEM file, hexadecimal; FileUnreadable where it holds no Ed25519 key."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        why = f"no public key can be read ({error}). `housing gate key` prints ours"
        raise FileUnreadable(file=file, why=why) from error
    if not isinstance(key, Ed25519PublicKey):
        raise FileUnreadable(file=file, why="it is no Ed25519 key. `housing gate key` prints ours")
    return key.public_bytes_raw().hex()


def verify(data: bytes, trusted: str | None = None) -> VerdictCheck:
    """Check the signature of a verdict file and judge its evidence again.

    `trusted` is the public key, hexadecimal, that must have signed it.
    """
    try:
        content = json.loads(data)
        signed = {name: value for name, value in content.items() if name != "signature"}
        unchanged = _bytes({**signed, "signature": content.get("signature")}) == data
    except (ValueError, AttributeError, RecursionError) as error:
        why = f"The file is no verdict file ({error}): {AGAIN}."
        return VerdictCheck({}, None, (why,), (), "", trusted=False)
    mismatches, notes = [], []
    if not unchanged:
        mismatches.append(f"The file was written again or edited since it was exported: {AGAIN}.")
    key, signature = str(content.get("public_key")), str(content.get("signature"))
    if not _signed(signed, key, signature):
        mismatches.append(f"The signature is not that of the content: it was changed: {AGAIN}.")
        key = ""
    elif trusted is None:
        notes.append(
            f"Anyone may have signed it, with the key {key[:16]}. Name the key of the installation "
            "with --public-key; `housing gate key` prints it there."
        )
    if trusted is not None and content.get("public_key") != trusted:
        mismatches.append(
            f"It names the key {key[:16] or 'none'}, and --public-key is {trusted[:16]}: ask "
            "who exported it, or name the public key of the time before the signing key changed."
        )
    try:
        replayed = replay(content["evidence"], content["policy"], content["verdict"])
        judged = _judged(content, replayed)
    except (HousingError, LookupError, TypeError, ValueError, AttributeError) as error:
        why = f"This release cannot judge its content ({type(error).__name__}: {error})"
        why = why.partition("\n")[0]
        mismatches.append(f"{why}: {_install(content)}.")
        return VerdictCheck(content, None, tuple(mismatches), tuple(notes), key, trusted=False)
    known = key != "" and key == trusted
    return VerdictCheck(
        content, replayed, (*mismatches, *judged[0]), (*notes, *judged[1]), key, trusted=known
    )


def _judged(content: Json, replayed: Replayed) -> tuple[list[str], list[str]]:
    """Mismatches and notes about a file's content, apart from its signature."""
    found, notes = [], []
    if content["simulated"]:
        rows = schema.WORDING.rows
        notes.append(f"SIMULATED {rows.upper()}: the verdict is on simulated {rows}.")
    if content["format"] != FORMAT:
        found.append(f"Its format is {content['format']!r}, not {FORMAT!r}: {_install(content)}.")
    if content["problem"] != schema.PROBLEM.name:
        found.append(
            f"It is a verdict on the problem {content['problem']}, and {schema.PROBLEM.name} is in "
            "force: set HOUSING_PROBLEM to the module of that problem."
        )
    same_code = content["code"]["digest"] == code_digest()
    ask = "ask who exported it" if same_code else f"{_install(content)} and verify again"
    found += [f"Judged again, {difference}: {ask}." for difference in replayed.differences]
    if same_code:
        if replayed.not_asked:
            names = ", ".join(replayed.not_asked)
            found.append(f"The verdict lacks the checks {names}: {ask}.")
        elif replayed.agrees and _messages(replayed.now) != _messages(replayed.recorded):
            found.append(f"Judged again, its messages differ: {ask}.")
    else:
        later = ", ".join(replayed.not_asked)
        also = f", and the checks {later} are not applied" if later else ""
        notes.append(f"Another version of the code exported it: messages are not compared{also}.")
    evidence, models = content["evidence"], content["models"]
    for role in ("challenger", "champion"):
        ours, judged = models[role], evidence[role]
        facts = ours and (ours["model"], ours["artifact"])
        if facts != (judged and (with_letter("m", judged["id"]), judged["digest"])):
            found.append(f"The {role} of the evidence is another model than the file names: {ask}.")
    if content["dataset"] != with_letter("v", evidence["version"]):
        found.append(f"The evidence is of another dataset than the file names: {ask}.")
    return found, notes


def _messages(verdict: Verdict) -> tuple[str, ...]:
    return (verdict.message, *(check.message for check in verdict.checks))


def _install(content: Json) -> str:
    code = content.get("code")
    release = code.get("release") if isinstance(code, dict) else None
    return f"install the release that exported it ({release or 'which it does not name'})"


def _signed(content: Json, key: str, signature: str) -> bool:
    try:
        found = bytes.fromhex(signature)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(found, _bytes(content))
    except (ValueError, InvalidSignature):
        return False
    return found.hex() == signature  # the same digits in capitals are another file


def _bytes(content: Json) -> bytes:
    """The only way in which a content is written: each of its bytes counts."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _deciding_row(connection: Connection, run: int | None) -> Row[Any]:
    """The evaluation that decided in a run: that with the newest champion, if one was approved."""
    request = None if run is None else approvals.of_run(connection, run)
    if request is not None and request.reevaluation is not None:
        return registry.evaluation(connection, request.reevaluation)
    return row_of(connection, run)


def _content(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    models = {
        "challenger": registry.model(connection, row.challenger),
        "champion": row.champion and registry.model(connection, row.champion),
    }
    versions = {row.version, *(model.version for model in models.values() if model)}
    return {
        "format": FORMAT,
        "problem": schema.PROBLEM.name,
        "run": with_letter("r", row.run),
        "decided_at": time(row.created_at),
        "code": {"release": release_of(PACKAGE), "digest": code_digest()},
        "simulated": batches.any_simulated(connection, row.version),
        "dataset": with_letter("v", row.version),
        "datasets": {with_letter("v", v): _dataset(connection, v) for v in sorted(versions)},
        "models": {role: model and _model(model) for role, model in models.items()},
        "predictions": row.predictions,
        "policy": row.policy,
        "evidence": row.evidence,
        "verdict": row.verdict,
    }


def _dataset(connection: Connection, version: int) -> Json | None:
    """Digests of the rows of a version and of their sides; None where they were never read."""
    found = profiles.get(connection, version)
    names = ("rows", "test_rows", "digest", "sides", "content")
    return None if found is None else {name: getattr(found, name) for name in names}


def _model(row: Row[Any]) -> Json:
    names = ("artifact", "golden", "train_keys", "libraries")
    facts = {name: row._mapping[name] for name in names}
    return {"model": with_letter("m", row.id), "dataset": with_letter("v", row.version), **facts}


@cache
def code_digest() -> str:
    """Digest of the source files of this package."""
    digest, folder = hashlib.sha256(), Path(housing.__path__[0])
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
