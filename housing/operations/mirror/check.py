"""Counts differences between what the mirror sent and what the other system has now."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from housing import progress
from housing.operations.mirror import content
from housing.operations.mirror.client import Json, Mlflow, values_of
from housing.operations.mirror.content import ID, RunContent
from housing.operations.mirror.drain import address, pending
from housing.operations.mirror.objects import ALIAS, READY, Objects
from housing.schema import PROBLEM
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.models import promotion_log, registry
from housing.store.runs import mirrored, runs


@dataclass(frozen=True)
class MirrorCheck:
    """What was compared, and a message about each object that differs."""

    runs: int  # trials among them
    models: int
    versions: int
    waiting: int  # runs and entries of the promotion log that are not sent yet
    differences: tuple[str, ...]

    @property
    def message(self) -> str:
        """For people."""
        return (
            f"{len(self.differences):,} differences in {self.runs:,} runs and trials, "
            f"{self.models:,} models and {self.versions:,} versions; {self.waiting:,} wait to be "
            "sent." + " `housing mirror --again` sends all once more." * bool(self.differences)
        )


def check(
    store: Store, settings: Settings, transport: httpx.BaseTransport | None = None
) -> MirrorCheck:
    """Compare what was sent with what is there; changes nothing."""
    with Mlflow(address(settings), transport) as server:
        objects = Objects(store, settings, server)
        with store.read() as connection:
            sent = {kind: mirrored.sent(connection, kind) for kind in ("run", "model", "version")}
            waiting = len(pending(connection, objects))
            experiment = mirrored.get(connection, "experiment", PROBLEM.name)
        if experiment is None:
            return MirrorCheck(0, 0, 0, waiting, ())
        wanted = list(_runs(objects, sent["run"]))
        found = [
            *_differing(wanted, objects.server.runs(experiment.theirs, objects.of_store)),
            *_models(objects, sent["model"]),
            *_versions(objects, sent["version"]),
        ]
    return MirrorCheck(
        len(wanted), len(sent["model"]), len(sent["version"]), waiting, tuple(found)
    )  # fmt: skip


def _runs(objects: Objects, sent: Sequence[Any]) -> Iterator[RunContent]:
    """What was sent of runs and their trials."""
    for done, known in enumerate(sent):
        progress.report("check", done, len(sent), known.ours)
        with objects.store.read() as connection:
            row = runs.get(connection, int(known.ours[1:]))
            yield content.run_content(connection, objects.settings, objects.own, row)
            if row.challenger is None:
                continue
            search = registry.model(connection, row.challenger).search
            if mirrored.run_of_search(connection, search) == row.id:
                parent = known.theirs
                yield from content.trial_contents(
                    connection, objects.own, search, known.ours, parent
                )


def _differing(wanted: Sequence[RunContent], there: Iterator[Json]) -> Iterator[str]:
    by_id = defaultdict(list)
    for run in there:
        by_id[values_of(run["data"]["tags"])[ID]].append(run)
    for one in wanted:
        found = by_id[one.ours]
        if len(found) != 1:
            yield f"{one.ours} is there {len(found)} times."
            continue
        info, data = found[0]["info"], found[0]["data"]
        latest = {each["key"]: each["value"] for each in one.metrics}  # of the last step
        names = [
            *_unlike({"status": one.status, "run_name": one.name}, info),
            *_unlike(one.tags, values_of(data["tags"])),
            *_unlike(one.params, values_of(data.get("params", ()))),
            *_unlike(latest, values_of(data.get("metrics", ()))),
        ]
        if names:
            yield f"{one.ours} differs in {', '.join(names)}."


def _unlike(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    return [name for name, value in wanted.items() if not _alike(value, there.get(name))]


def _alike(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs)
    return bool(ours == theirs)


def _models(objects: Objects, sent: Sequence[Any]) -> Iterator[str]:
    for known in sent:
        found = objects.server.find(f"logged-models/{known.theirs}", known.ours, {})
        if found is None:
            yield f"{known.ours} has no model there."
        elif found["model"]["info"]["status"] != READY:
            yield f"The model of {known.ours} there is not ready."


def _versions(objects: Objects, sent: Sequence[Any]) -> Iterator[str]:
    name = PROBLEM.name
    for known in sent:
        asked = {"name": name, "version": known.theirs}
        found = objects.server.find("model-versions/get", known.ours, asked)
        if found is None:
            yield f"{known.ours} has no version there."
            continue
        with objects.store.read() as connection:
            row = registry.model(connection, int(known.ours[1:]))
            tags = content.version_tags(connection, objects.own, row)
        if names := _unlike(tags, values_of(found["model_version"].get("tags", ()))):
            yield f"The version of {known.ours} differs in {', '.join(names)}."
    champion = objects.store.query(promotion_log.champion)
    ours = {known.ours: known.theirs for known in sent}.get(f"m{champion}")
    if ours is not None:
        found = objects.server.find(
            "registered-models/alias", ALIAS, {"name": name, "alias": ALIAS}
        )
        version = (found or {}).get("model_version", {}).get("version")
        if version != ours:
            yield f"The alias {ALIAS} names version {version}, and m{champion} is {ours}."
