"""Runs by another metric than RMSE: the search chooses by it, the gate decides, all name it."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deployments.cli.main import app
from housing import schema
from housing.evaluation.metrics import error_of
from housing.gate import evidence as records
from housing.keys import KEY_COLUMN
from housing.operations.explain_verdict import recorded
from housing.pipeline.model_card import collect
from housing.pipeline.skip_check import what_next
from housing.settings import load_settings
from housing.store import queries
from housing.store.data import datasets
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.models import registry, searches
from tests.fixtures.run_without_prefect import plain_run
from tests.housing.conftest import Land

pytestmark = pytest.mark.either_database


def test_a_run_searches_judges_and_reports_by_the_mean_absolute_error(
    store: Store, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_GATE__METRIC", "mae")
    land("first.csv")
    plain_run()
    land("second.csv", seed=1, rows=600)
    result = plain_run()
    with store.read() as connection:
        model = registry.model(connection, result.challenger or 0)
        search = searches.get(connection, model.search)
        trials = searches.trials_of(connection, model.search)
        row = registry.newest_evaluations(connection, 1)[0]
        shown = queries.list_models(connection)[0]
        of_run = queries.show_run(connection, result.run)["trials"]
    assert searches.metric_of(search) == "mae"
    assert model.candidate == min(trials, key=lambda t: t.cv_error).candidate.index

    # The out-of-fold error is the mean absolute one, and so is that of the test rows.
    evidence = records.read(row.evidence)
    kept = get_table(store, row.predictions)
    actual, ours = (kept[n].to_numpy() for n in (schema.TARGET, schema.CHALLENGER))
    assert evidence.metric == "mae"
    metrics = evidence.challenger.metrics
    assert metrics is not None
    assert metrics.error.value == pytest.approx(error_of(actual, ours, "mae"))
    assert metrics.rmse.value == pytest.approx(error_of(actual, ours))
    assert 0.5 * metrics.mae < search.cv_error < 1.2 * metrics.mae < metrics.rmse.value * 1.2
    assert (shown["metric"], shown["cv_error"]) == ("mae", search.cv_error)
    assert shown["test_error"] == pytest.approx(metrics.mae)
    assert {trial["metric"] for trial in of_run} == {"mae"}

    assert "MAE" in result.message
    page = Path(result.report or "").read_text()
    for words in ("change of the error (MAE)", "cross-validated MAE", "Deciding error, MAE"):
        assert words in page.replace("\n", " "), words
    assert "rmse" not in {c.metric for c in (evidence.comparison, evidence.mae) if c}

    # The card's groups and its error at places without training rows are by that metric too.
    card = Path(result.report or "").with_name(f"card-m{model.id}.html").read_text()
    assert model.unseen["metric"] == "mae"
    assert "have no training districts, the MAE changes by" in card.replace("\n", " ")
    assert ">MAE (US dollars) [95\u00a0% interval]</th>" in card
    facts = collect(store, model.id, metric="mae")
    inland = next(s for s in facts.slices if s.name == "INLAND")
    test = kept.to_pandas()
    frame = datasets.test_rows(datasets.read(store, model.version))
    rows = test.set_index(KEY_COLUMN).loc[frame.loc[frame.ocean_proximity == "INLAND", KEY_COLUMN]]
    expected = error_of(rows[schema.TARGET], rows[schema.CHALLENGER], "mae")
    assert inland.error.value == pytest.approx(expected)

    for command in ("explain", "power"):
        done = CliRunner().invoke(app, ["gate", command, "--json"])
        assert json.loads(done.stdout)["metric"] == "mae", done.output


@pytest.mark.system
def test_another_metric_is_another_search_and_old_verdicts_stand(
    store: Store, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("first.csv")
    first = plain_run()
    land("second.csv", seed=1, rows=600)
    plain_run()
    assert plain_run().outcome == "nothing new"
    before = recorded(store, 2)
    monkeypatch.setenv("HOUSING_GATE__METRIC", "rmsle")
    assert "searches again" in what_next(store, load_settings())
    after = recorded(store, 2)
    assert after.replayed.agrees
    assert (after.evidence.metric, after.verdict) == ("rmse", before.verdict)
    other = plain_run()
    with store.read() as connection:
        models = [registry.model(connection, m) for m in (first.challenger, other.challenger) if m]
        plans = [searches.get(connection, m.search).plan["metric"] for m in models]
        newest = registry.newest_evaluations(connection, 1)[0]
    assert plans == ["rmse", "rmsle"]
    evidence = records.read(newest.evidence)
    assert evidence.metric == "rmsle"
    assert evidence.champion is not None
    assert evidence.champion.metrics is not None
    # The champion was searched by RMSE: its error is measured again by the deciding metric.
    kept = get_table(store, newest.predictions)
    actual, theirs = (kept[n].to_numpy() for n in (schema.TARGET, schema.CHAMPION))
    error = error_of(actual, theirs, "rmsle")
    assert evidence.champion.metrics.error.value == pytest.approx(error)
    assert 0.05 < error < 1
    assert evidence.repeated, "no test row is new since the second run"
    assert np.isfinite(evidence.comparison.se if evidence.comparison else np.nan)
