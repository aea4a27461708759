"""`housing replay`: many runs in quick succession, in a folder of their own.

Each run is the ordinary flow. The installation is not touched: the replay has a home and database
of its own and sends no messages. What the settings say of gate, search and quality
holds there too.
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel
from rich.markup import escape

from deployments.cli.output import AsJson, coloured, console, emit_json, split_names, status
from housing.errors import NotPossible, SourceUnavailable
from housing.records import Event
from housing.schema import MODULE, VARIABLE
from housing.settings import PREFIX, Settings, load_settings
from housing.sources import SOURCES

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()

KEPT_GROUPS = ("gate", "search", "quality")
"""Groups of settings that a replay takes over."""

FIRST_SHARE = 0.5
"""Share of the reference table in the first run; the rest is divided among the others."""


@app.command()
def replay(
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Number of runs.")] = 5,
    scenario: Annotated[
        str | None,
        typer.Option(
            help="A scenario of the source `simulated`; without, the first table of the "
            "configured sources."
        ),
    ] = None,
    n_trials: Annotated[int, typer.Option(min=1, help="Trials of each search.")] = 3,
    families: Annotated[
        str | None, typer.Option(help="Model families to draw from, with commas.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay many runs on a table or on simulated data, in a folder of their own."""
    base = load_settings()
    if scenario is not None:
        _check(base, scenario)
    folder = _own_folder(base.home)
    batches = None if scenario else _cut(_first_table(base), runs)
    _move_to(folder, base, scenario)
    chosen = {"n_trials": n_trials, "seed": base.search.seed, "families": split_names(families)}
    rows = []
    for row in _live(runs, batches, chosen):
        rows.append(row)
        if not as_json:
            _print(row)
    if as_json:
        emit_json({"home": str(folder), "runs": rows})
        return
    console.print(f"\nIts home is {escape(str(folder))}; the last report is {rows[-1]['report']}.")
    console.print(f"Query it with HOUSING_HOME={escape(str(folder))} housing history")


def _own_folder(home: Path) -> Path:
    """A new folder; an earlier replay's stays as it is."""
    number = 1
    while (folder := home / "replays" / str(number)).exists():
        number += 1
    folder.mkdir(parents=True)
    return folder


def _check(settings: Settings, scenario: str) -> None:
    """NotPossible where the problem has no simulated source, or it has no such scenario."""
    from housing.pipeline.ingest import options

    if "simulated" not in SOURCES:
        raise NotPossible(what="Replaying a scenario", why="no source of the problem simulates.")
    declared = SOURCES["simulated"].own_options
    own = {}
    if declared is not None:
        own = {"simulated": declared.model_validate({"scenario": scenario, "rows": 100})}
    try:
        chosen = options(settings).model_copy(update={"options": own})
        next(iter(SOURCES["simulated"](chosen).deliveries(_NOTHING_SEEN)))
    except SourceUnavailable as error:
        raise NotPossible(what=f"Replaying {scenario!r}", why=str(error)) from error


def _first_table(settings: Settings) -> "pd.DataFrame":
    """The first table that the configured sources deliver; SourceUnavailable if there is none."""
    from housing.pipeline.ingest import options
    from housing.quality.table import whole
    from housing.sources.base import Delivery

    chosen = options(settings)
    for name in settings.sources.names:
        for found in SOURCES[name](chosen).deliveries(_NOTHING_SEEN):
            if isinstance(found, Delivery) and not found.simulated:
                return whole(found.read()).frame
    raise SourceUnavailable(
        source=", ".join(settings.sources.names),
        why="no table is delivered here",
        next_step="Name a readable one, or replay a scenario with --scenario.",
    )


_NOTHING_SEEN = SimpleNamespace(
    batch_with=lambda digest: None, outdated_rows=lambda batch: 0,
    watermark=lambda source: None, has_batch_of=lambda source, real=False: False,
)  # fmt: skip
"""The history (`sources.base.IngestHistory`) of a store that has not seen anything."""


def _cut(table: "pd.DataFrame", runs: int) -> "list[pd.DataFrame]":
    """The shuffled table: a large first part, and equal parts for later runs."""
    shuffled = table.sample(frac=1, random_state=0)
    first = len(shuffled) if runs == 1 else int(FIRST_SHARE * len(shuffled))
    later = max(runs - 1, 1)
    edges = [first + round(i * (len(shuffled) - first) / later) for i in range(later + 1)]
    parts = [shuffled.iloc[:first], *(shuffled.iloc[a:b] for a, b in pairwise(edges))]
    return parts[:runs]


def _move_to(folder: Path, base: Settings, scenario: str | None) -> None:
    """Set the environment of this process to the folder and the settings that it takes over."""
    kept = {
        f"{PREFIX}{group.upper()}__{name.upper()}": value
        for group in KEPT_GROUPS
        for name, value in _set(getattr(base, group))
    }
    for name in [n for n in os.environ if n.startswith(PREFIX)]:
        del os.environ[name]
    os.environ |= kept | {
        "HOUSING_HOME": str(folder),
        VARIABLE: MODULE,
        "HOUSING_SPLIT__SEED": str(base.split.seed),
        "HOUSING_SPLIT__TEST_SHARE": str(base.split.test_share),
        "HOUSING_SOURCES__NAMES": "landing" if scenario is None else "simulated",
        "HOUSING_SOURCES__SETTLE_SECONDS": "0",
    }
    if scenario is not None:
        os.environ["HOUSING_SOURCES__OPTIONS__SIMULATED__SCENARIO"] = scenario
    os.chdir(folder)  # no `.env` with an address of the team in it


def _set(group: BaseModel) -> Iterator[tuple[str, str]]:
    """Fields of a group that differ from their default, as the environment spells them."""
    for name, field in type(group).model_fields.items():
        value = getattr(group, name)
        if value != field.get_default(call_default_factory=True):
            yield name, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _live(
    runs: int, batches: "list[pd.DataFrame] | None", chosen: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Run the flow again and again; yields a row per run, also for one that failed."""
    from deployments.cli.retrain import nightly_flow

    settings = load_settings()
    with nightly_flow(settings, chosen) as nightly:
        for number in range(1, runs + 1):
            if batches is not None:
                _land(settings, batches[number - 1], number)
            with status(f"run {number} of {runs} ..."):
                result = nightly()
            yield _row(number, result)


def _land(settings: Settings, batch: "pd.DataFrame", number: int) -> None:
    folder = settings.sources.landing_dir or settings.home / "landing"
    folder.mkdir(parents=True, exist_ok=True)
    batch.to_csv(folder / f"run-{number:04d}.csv", index=False)


def _row(number: int, result: Any) -> dict[str, Any]:
    names = ("outcome", "challenger", "champion", "message", "report")
    if isinstance(result, BaseException):
        failed = {"outcome": Event.FAILED, "message": str(result)}
        return {"number": number, **dict.fromkeys(names), **failed}
    row = {"number": number, **{name: getattr(result, name) for name in names}}
    return row | {name: row[name] and f"m{row[name]}" for name in ("challenger", "champion")}


def _print(row: dict[str, Any]) -> None:
    champion = row["champion"] or "none"
    outcome = coloured(row["outcome"], f"{row['outcome']:<13}")
    start = f"run {row['number']:>3}  {outcome}  champion {champion:<5}"
    console.print(f"{start} {escape(row['message'])}")
