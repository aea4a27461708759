"""The lineage of a model: every column, feature and decision, from the fitted model and SQL."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from housing import schema
from housing.operations.lineage import lineage, mermaid
from housing.pipeline.report import collect
from housing.records import RunOutcome, RunResult
from housing.report.run_page import render
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import artifacts, registry
from housing.training.lineage import FeatureGroup
from tests.deployments.conftest import Housing
from tests.deployments.conftest import housing as housing
from tests.housing.serving.conftest import only_settings


@pytest.fixture(scope="module")
def store(populated_home: Path) -> Iterator[Store]:
    with only_settings(populated_home) as settings, open_store(settings) as opened:
        yield opened


@pytest.fixture
def settings(populated_home: Path) -> Iterator[Settings]:
    with only_settings(populated_home) as found:
        yield found


def test_it_has_each_feature_of_the_fitted_model_and_each_decision(store: Store) -> None:
    found = lineage(store, 2)
    with store.read() as connection:
        row = registry.model(connection, 2)
        judged = registry.newest_evaluation(connection, 2)
    fitted = artifacts.get_model(store, row.artifact)
    names = [feature["name"] for feature in found["features"]]
    assert names == [*map(str, fitted[:-1].get_feature_names_out())]
    assert {c["name"] for c in found["columns"]} == {
        name for feature in found["features"] for name in feature["inputs"]
    }
    assert {*schema.FEATURES} <= {c["name"] for c in found["columns"]}
    (decision,) = found["decisions"]
    assert judged is not None
    assert (decision["run"], decision["champion"]) == ("r2", "m1")
    assert decision["outcome"] == judged.outcome


def test_the_graph_leads_from_each_column_to_the_decision(store: Store) -> None:
    found = lineage(store, 2)
    lines = found["mermaid"].splitlines()
    assert lines[0] == "flowchart LR"
    labels = dict(re.findall(r'^ +(\w+)[\[({]+"(.*)"[\])}]+$', found["mermaid"], re.M))
    edges = re.findall(r"^ +(\w+) --> (\w+)$", found["mermaid"], re.M)
    assert len(edges) == sum("-->" in line for line in lines)
    assert {node for edge in edges for node in edge} == set(labels)
    leads = {name: [b for a, b in edges if a == name] for name in labels}
    for name in labels:
        way, at = [name], name
        while leads[at]:
            at = leads[at][0]
            way.append(at)
        assert at.startswith("d")  # from anywhere the way ends at the decision
    written = {"#lt;": "<", "#gt;": ">"}
    shown = [
        re.sub("#[lg]t;", lambda mark: written[mark[0]], name)
        for label in labels.values()
        for name in label.split("<br/>")
    ]
    assert {feature["name"] for feature in found["features"]} <= {*shown}


def test_a_name_cannot_end_its_label() -> None:
    group = FeatureGroup("", (schema.FEATURES[0],), ('a"]; click x "y', "<b>#1</b>"))
    text = mermaid("m1", "v1", [group], [])
    assert 'f0["a#quot;]; click x #quot;y<br/>#lt;b#gt;#35;1#lt;/b#gt;"]' in text


def test_the_report_of_the_run_shows_each_feature_with_its_columns(
    store: Store, settings: Settings
) -> None:
    result = RunResult(2, RunOutcome.PROMOTED, "It is better.", version=2, challenger=2)
    report = collect(store, settings, 2, result)
    page = unescape(render(report)).replace("\N{NO-BREAK SPACE}", " ")
    section = page.partition("<h2>Lineage</h2>")[2].partition("</section>")[0]
    assert "Columns of dataset v2 → features → m2 (forest)" in section
    for feature in lineage(store, 2)["features"]:
        assert feature["name"] in section
        assert ", ".join(feature["inputs"]) in section


def test_the_command(housing: Housing) -> None:
    found: Any = json.loads(housing("show", "m2", "--lineage", "--json").stdout)
    text = housing("show", "m2", "--lineage").stdout
    assert text.strip() == found["mermaid"]
    assert found["dataset"] == "v2"
    assert "an id reads like m3" in str(housing("show", "r2", "--lineage").exception)
