"""prefect.yaml, the templates of work pools and the manifests: one set of definitions."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.server.schemas.actions import WorkPoolCreate

from deployments.definitions import DEPLOYMENTS, prefect_yaml
from housing.schedules import Schedules
from housing.settings import fields_by_name

ROOT = Path(__file__).parents[2]
POOLS = {path.stem: json.loads(path.read_text()) for path in ROOT.glob("deployments/pools/*.json")}
MANIFESTS = list(yaml.safe_load_all((ROOT / "deployments/kubernetes/housing.yaml").read_text()))


def test_prefect_yaml_has_what_the_worker_of_housing_up_registers() -> None:
    chosen = Schedules(retrain="0 3 * * *", search="off", timezone="Europe/Berlin")
    written = yaml.safe_load(prefect_yaml(chosen))["deployments"]
    for entry, deployment in zip(written, DEPLOYMENTS, strict=True):
        built = deployment.build(chosen)
        module, _, name = entry["entrypoint"].rpartition(".")
        assert getattr(import_module(module), name) is deployment.flow
        crons = [(each.schedule.cron, each.schedule.timezone) for each in built.schedules or ()]  # type: ignore[union-attr]
        assert [(each["cron"], each["timezone"]) for each in entry["schedules"]] == crons
        for field in ("name", "description", "tags", "parameters", "enforce_parameter_schema"):
            assert entry[field] == getattr(built, field), field
    assert [len(entry["schedules"]) for entry in written[:2]] == [1, 0]


@pytest.mark.parametrize("pool", POOLS)
def test_prefect_accepts_the_template_of_a_work_pool(pool: str) -> None:
    WorkPoolCreate(name="housing", type=pool, base_job_template=POOLS[pool])


def _pods() -> dict[str, Any]:
    found = {"job": POOLS["kubernetes"]["job_configuration"]["job_manifest"]["spec"]["template"]}
    for manifest in MANIFESTS:
        spec = manifest.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[manifest["metadata"]["name"]] = spec["template"]
    return {name: template["spec"] for name, template in found.items()}


@pytest.mark.parametrize("name", _pods())
def test_pods_have_no_rights_and_take_their_settings_from_the_secret(name: str) -> None:
    pod = _pods()[name]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    rights = container["securityContext"]
    assert rights["readOnlyRootFilesystem"]
    assert not rights["allowPrivilegeEscalation"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert container["envFrom"] == [{"secretRef": {"name": "housing"}}]
    written = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert written == {"/tmp", "/var/lib/housing"}


def test_the_secret_holds_settings_that_exist_and_keeps_everything_outside_of_pods() -> None:
    from tasks.home import STORED_IN_HOME

    (secret,) = (each for each in MANIFESTS if each["kind"] == "Secret")
    ours = {name for name in secret["stringData"] if name.startswith("HOUSING_")}
    assert ours <= fields_by_name().keys()
    assert {f"HOUSING_{name}" for name in STORED_IN_HOME} <= ours


def test_manifests_match_the_schemas_of_kubernetes() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for manifest in MANIFESTS:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
