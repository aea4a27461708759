"""Verdict files: what verifies in an empty home, and which changes and forgeries are found."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter

from housing.errors import FileUnreadable
from housing.gate.check import judge
from housing.gate.evidence import Evidence
from housing.gate.policy import GatePolicy
from housing.operations import verdict_file
from housing.operations.verdict_file import read_public_key, sealed, verify
from housing.records import Verdict
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.objects.signing import Signer
from tests.fixtures.plain_home import ROOT
from tests.housing.gate.conftest import comparison
from tests.housing.gate.conftest import make_evidence as make_evidence

SIGNER = Signer(Path("unused"), SecretStr("k" * 32))
KEY = SIGNER.verdict_key()
PUBLIC = KEY.public_key().public_bytes_raw().hex()
STRANGER = Ed25519PrivateKey.generate()
RULES = ("no_regression", "superior", "non_inferior", "expected_gain")


@pytest.fixture(scope="module")
def exported(populated_home: Path) -> tuple[dict[str, bytes], bytes]:
    """The files of both decisions of a home with real runs, and its public key."""
    with open_store(load_settings(home=populated_home)) as store:
        files = dict(verdict_file.write(store, run) for run in (1, 2))
        return files, verdict_file.public_key(store.signer)


@pytest.fixture(scope="module")
def key_of_home(exported: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("key") / "public.pem"
    file.write_bytes(exported[1])
    return read_public_key(file)


def content_of(evidence: Evidence, policy: GatePolicy) -> dict[str, Any]:
    models = {
        role: model and {"model": f"m{model.id}", "artifact": model.digest}
        for role, model in (("challenger", evidence.challenger), ("champion", evidence.champion))
    }
    verdict = judge(evidence, policy)
    return {
        "format": verdict_file.FORMAT,
        "problem": "california",
        "run": "r7",
        "simulated": False,
        "code": {"release": "0.1.0", "digest": verdict_file.code_digest()},
        "dataset": f"v{evidence.version}",
        "models": models,
        "policy": policy.model_dump(mode="json"),
        "evidence": TypeAdapter(Evidence).dump_python(evidence, mode="json"),
        "verdict": TypeAdapter(Verdict).dump_python(verdict, mode="json"),
    }


@pytest.fixture
def kept(make_evidence: Any) -> dict[str, Any]:
    """The content of a file on a challenger that is worse."""
    return content_of(make_evidence(0.03), GatePolicy())


VERIFY = """
import sys
from typer.testing import CliRunner
from deployments.cli.main import app
key, *files = sys.argv[1:]
for file in files:
    done = CliRunner().invoke(app, ["gate", "verify", file, "--public-key", key])
    print(done.exit_code, file, done.output, repr(done.exception))
"""


@pytest.mark.system
def test_a_verdict_of_each_rule_verifies_in_a_fresh_process_without_a_database(
    make_evidence: Any, exported: Any, tmp_path: Path
) -> None:
    files, pem = exported
    (tmp_path / "home").mkdir()
    (tmp_path / "key.pem").write_bytes(pem)
    own_key = tmp_path / "own.pem"
    own_key.write_bytes(verdict_file.public_key(SIGNER))
    for name, data in files.items():
        (tmp_path / f"{name}.real").write_bytes(data)
    for rule in RULES:
        for name, effect in (("better", -0.04), ("unclear", -0.003), ("worse", 0.03)):
            training = comparison(effect, 0.003)
            evidence = make_evidence(effect, 0.01, training=training)
            data = sealed(content_of(evidence, GatePolicy(rule=rule)), KEY)
            (tmp_path / f"{rule}-{name}.own").write_bytes(data)
    used_rows = make_evidence(-0.003, 0.005, judged_before=(3, 4))  # judged by `superior`
    first = make_evidence(champion=None)
    for name, evidence in (("used", used_rows), ("first", first)):
        (tmp_path / f"{name}.own").write_bytes(sealed(content_of(evidence, GatePolicy()), KEY))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOUSING_")}
    for key, kind, count in (("key.pem", "real", 2), ("own.pem", "own", 14)):
        done = subprocess.run(
            [sys.executable, "-c", VERIFY, key, *sorted(map(str, tmp_path.glob(f"*.{kind}")))],
            env={**kept, "HOUSING_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if ".real" in line or ".own" in line]
        assert len(lines) == count, done.stderr
        assert all(line.startswith("0 ") for line in lines), done.stdout
    assert not [*(tmp_path / "home").iterdir()]


@given(data=st.data())
def test_one_changed_character_is_found(exported: Any, key_of_home: str, data: Any) -> None:
    file = exported[0]["r2"].decode()
    at = data.draw(st.integers(0, len(file) - 1))
    new = data.draw(
        st.characters().filter(lambda c: c != file[at]) | st.sampled_from("0123456789abAB \n")
    )
    if new == file[at]:
        return
    changed = (file[:at] + new + file[at + 1 :]).encode(errors="surrogatepass")
    assert verify(changed, key_of_home).mismatches
    assert verify(changed).mismatches


@given(data=st.data())
def test_a_lost_or_added_character_is_found(exported: Any, key_of_home: str, data: Any) -> None:
    file = exported[0]["r2"]
    at = data.draw(st.integers(0, len(file)))
    for changed in (file[:at] + file[at + 1 :], file[:at] + b" " + file[at:]):
        assert changed == file or verify(changed, key_of_home).mismatches


def test_a_signature_that_is_written_otherwise_is_found(exported: Any, key_of_home: str) -> None:
    file = exported[0]["r2"]
    signature = json.loads(file)["signature"].encode()
    for changed in (signature.upper(), signature[:2] + b" " + signature[2:]):
        assert verify(file.replace(signature, changed), key_of_home).mismatches
    first = json.loads(file)
    moved = json.dumps({"signature": first.pop("signature"), **first}, indent=1, ensure_ascii=False)
    assert verify(f"{moved}\n".encode(), key_of_home).mismatches


def test_what_is_exported_verifies_and_names_the_digests(exported: Any, key_of_home: str) -> None:
    for name, data in exported[0].items():
        found = verify(data, key_of_home)
        assert (found.mismatches, found.notes, found.trusted) == ((), (), True)
        assert found.content["run"] == name
        assert found.content["models"]["challenger"]["artifact"]
        assert all(version["digest"] for version in found.content["datasets"].values())


def test_without_a_key_nobody_is_trusted(exported: Any) -> None:
    found = verify(exported[0]["r2"])
    assert found.mismatches == ()
    assert not found.trusted
    assert "Anyone may have signed it" in found.notes[0]


def test_another_key_is_refused(kept: dict[str, Any]) -> None:
    found = verify(sealed(kept, STRANGER), PUBLIC)
    assert not found.trusted
    assert len(found.mismatches) == 1
    assert "It names the key" in found.mismatches[0]
    pretended = json.loads(sealed(kept, STRANGER)) | {"public_key": PUBLIC}
    data = (json.dumps(pretended, indent=1, ensure_ascii=False) + "\n").encode()
    assert any("signature is not" in why for why in verify(data, PUBLIC).mismatches)


def _promoted(content: dict[str, Any]) -> None:
    content["verdict"]["outcome"] = "promote"


def _passed(content: dict[str, Any]) -> None:
    for check in content["verdict"]["checks"]:
        check["outcome"] = "passed"
    content["verdict"]["outcome"] = "promote"


def _dropped(content: dict[str, Any]) -> None:
    checks = content["verdict"]["checks"]
    content["verdict"]["checks"] = [check for check in checks if check["outcome"] == "passed"]
    content["verdict"]["outcome"] = "inconclusive"


def _figure(content: dict[str, Any]) -> None:
    (check,) = (c for c in content["verdict"]["checks"] if c["name"] == "no-regression")
    check["figures"]["effect"] *= 0.99


def _message(content: dict[str, Any]) -> None:
    content["verdict"]["message"] = "Keep: all is well."


def _other_model(content: dict[str, Any]) -> None:
    content["models"]["challenger"]["artifact"] = "0" * 64


def _other_dataset(content: dict[str, Any]) -> None:
    content["dataset"] = "v9"


def _other_problem(content: dict[str, Any]) -> None:
    content["problem"] = "diamonds"


def _later_format(content: dict[str, Any]) -> None:
    content["format"] = "housing verdict 2"


def _no_evidence(content: dict[str, Any]) -> None:
    content["evidence"] = {}


@pytest.mark.parametrize(
    ("forge", "named"),
    [
        (_promoted, "verdict: recorded promote, now keep"),
        (_passed, "check no-regression: recorded passed, now failed"),
        (_dropped, "lacks the checks"),
        (_figure, "check no-regression, effect: recorded"),
        (_message, "its messages differ"),
        (_other_model, "The challenger of the evidence is another model"),
        (_other_dataset, "of another dataset"),
        (_other_problem, "set HOUSING_PROBLEM"),
        (_later_format, "install the release"),
        (_no_evidence, "cannot judge its content"),
    ],
)
def test_a_forged_verdict_with_right_evidence_is_refused_even_with_the_right_key(
    kept: dict[str, Any], forge: Callable[[dict[str, Any]], None], named: str
) -> None:
    assert verify(sealed(kept, KEY), PUBLIC).mismatches == ()
    forge(kept)
    assert any(named in why for why in verify(sealed(kept, KEY), PUBLIC).mismatches)


def test_a_file_of_an_older_release_is_judged_by_its_own_rule_and_checks(
    make_evidence: Any,
) -> None:
    content = content_of(make_evidence(-0.005, 0.009), GatePolicy(rule="superior"))
    content["code"]["digest"] = "of another release"
    content["verdict"]["message"] = "In other words."
    removed = content["verdict"]["checks"].pop()["name"]
    del content["policy"]["cost_of_change"]
    found = verify(sealed(content, KEY), PUBLIC)
    assert found.mismatches == ()
    assert found.replayed is not None
    assert found.replayed.now.outcome == "inconclusive"
    assert removed in found.notes[0]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 99_999, b'{"code": 1}'])
def test_a_file_that_is_no_verdict_is_named(data: bytes) -> None:
    found = verify(data, PUBLIC)
    assert found.mismatches
    assert not found.trusted


def test_a_file_that_is_no_public_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(FileUnreadable, match=r"no public key can be read .*`housing gate key`"):
        read_public_key(tmp_path / "key.pem")


def test_the_key_follows_from_the_signing_key_alone(tmp_path: Path) -> None:
    again = Signer(tmp_path / "none", SecretStr("k" * 32)).verdict_key()
    assert again.private_bytes_raw() == KEY.private_bytes_raw()
    made = Signer(tmp_path / "signing.key")
    assert made.verdict_key().private_bytes_raw() == made.verdict_key().private_bytes_raw()
    assert made.verdict_key().private_bytes_raw() != KEY.private_bytes_raw()
