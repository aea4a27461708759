"""A home that has seen two nights, as commands that look or change things are tried on it."""

import os
from pathlib import Path

import pytest

from housing.settings import load_settings
from housing.sources.simulated.scenarios import simulate
from housing.steps import datasets, intake, promote, tune
from housing.steps.evaluate import evaluate
from housing.steps.night import NightlyParameters, conclude, night_run
from housing.steps.outcome import of_verdict
from housing.store import registry
from housing.store.opening import open_store
from housing.training.candidates import CANDIDATES
from tests.nights import SMALL, small_forest


@pytest.fixture(scope="session")
def seen_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two nights: m1 and m2 were promoted, b3 is held, b2 has rejected rows."""
    home = tmp_path_factory.mktemp("home")
    landing = home / "landing"
    landing.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("HOUSING_")]:
            patch.delenv(name)
        patch.chdir(home)
        for name, value in {**SMALL, "HOUSING_HOME": str(home)}.items():
            patch.setenv(name, value)
        patch.setitem(CANDIDATES, "forest", small_forest())  # type: ignore[arg-type]
        simulate(600, 0).to_csv(landing / "a.csv", index=False)
        _night()
        bad = simulate(300, 0, night=1).astype({"median_income": object})
        bad.loc[4, "median_income"] = "rich"
        bad.to_csv(landing / "b.csv", index=False)
        simulate(300, 0, night=2).assign(
            total_rooms=lambda frame: frame["total_rooms"] * 10,
            total_bedrooms=lambda frame: frame["total_bedrooms"] * 10,
        ).to_csv(landing / "c.csv", index=False)
        _night()
    return home


def _night() -> None:
    settings = load_settings()
    with night_run("nightly", NightlyParameters()) as night, open_store(settings) as store:
        intake.bring_in(store, settings, run=night.run)
        version = datasets.freeze(store, night).id
        datasets.assign_sides(store, settings)
        challenger = tune.fit_challenger(
            store, night, tune.tune(store, night, version, settings), settings
        )
        judged = evaluate(store, night, version, challenger, settings)
        promote.back_up(store, challenger)
        with store.read() as connection:
            before = registry.champion(connection)
        if before != challenger:  # whatever the gate says: there shall be two champions
            change = registry.Change(
                "promote", challenger, before, "test@host", judged.sentence, judged.evaluation
            )
            registry.change_champion(store, change)
        conclude(store, night, of_verdict(night.run, version, judged, dry_run=False))
