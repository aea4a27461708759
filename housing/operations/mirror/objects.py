"""Makes or completes one object of ours on the server, whatever is there now.

An object is looked up by its tags before it is made, so that an attempt that was killed, or whose
response was lost, is continued by the next. It is recorded once it is complete.
"""

from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from housing.errors import MirrorRefused, Pruned
from housing.inference.onnx.graph import NoOnnxForm
from housing.operations.mirror import content
from housing.operations.mirror.client import Json, Mlflow, pairs, values_of
from housing.operations.mirror.content import ID, STORE, RunContent, milliseconds
from housing.operations.mirror.model_files import model_files
from housing.schema import PROBLEM
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.tables import store_identity
from housing.store.models import promotion_log, registry
from housing.store.runs import mirrored

ALIAS = "champion"
READY = "LOGGED_MODEL_READY"


class RunNotEnded(Exception):
    """An object whose run has not ended: a later attempt sends it."""


class Objects:
    """The objects of a store on a server; `store` is fenced by the lease of the mirror."""

    def __init__(self, store: Store, settings: Settings, server: Mlflow) -> None:
        self.store, self.settings, self.server = store, settings, server

    @cached_property
    def own(self) -> str:
        """The id of our database."""
        with self.store.read() as connection:
            return str(connection.scalar(sa.select(store_identity.c.id)))

    def _known(self, kind: str, ours: str) -> str | None:
        row = self.store.query(mirrored.get, kind, ours)
        return None if row is None else str(row.theirs)

    def record(self, kind: str, ours: str, theirs: str, digest: str = "") -> None:
        """Record that an object is complete there."""
        with self.store.write() as connection:
            mirrored.put(connection, kind, ours, theirs, digest)

    @property
    def of_store(self) -> str:
        """Filter of a search for all objects of our database."""
        return f"tags.`{STORE}` = '{self.own}'"

    def _tagged(self, ours: str, at: datetime) -> str:
        """Filter of a search for one object."""
        tags = content.identity(ours, self.own, at)
        return " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())

    # --- experiment and runs ------------------------------------------------------------------

    @cached_property
    def experiment(self) -> str:
        """The experiment of the problem."""
        name, known = PROBLEM.name, self._known("experiment", PROBLEM.name)
        if known is not None:
            return known
        found = self.server.find("experiments/get-by-name", name, {"experiment_name": name})
        if found is None:
            id_ = self.server.post("experiments/create", name, {"name": name})["experiment_id"]
        else:
            id_ = found["experiment"]["experiment_id"]
            if found["experiment"].get("lifecycle_stage") == "deleted":
                self.server.post("experiments/restore", name, {"experiment_id": id_})
        self.record("experiment", name, id_)
        return str(id_)

    def run(self, row: Row[Any]) -> str:
        """A run with its trials and its model."""
        with self.store.read() as connection:
            wanted = content.run_content(connection, self.settings, self.own, row)
            model = row.challenger and registry.model(connection, row.challenger)
            shown = model and mirrored.run_of_search(connection, model.search) == row.id
            its = model and mirrored.run_of_model(connection, model)
        found = list(self.server.runs(self.experiment, self._tagged(wanted.ours, row.started_at)))
        theirs = self._run(wanted, found[0] if found else None)
        if wanted.datasets:
            body = {"run_id": theirs, "datasets": list(wanted.datasets)}
            self.server.post("runs/log-inputs", wanted.ours, body)
        if shown:
            self._trials(model.search, wanted.ours, theirs)
        if its is not None and its.id == row.id:
            self._model(model, theirs)
        self._end(wanted, theirs)
        self.record("run", wanted.ours, theirs, content.digest_of(row))
        return theirs

    def _run(self, wanted: RunContent, found: Json | None) -> str:
        """A run with what it logs; `found` is the one that is there."""
        if found is None:
            body = {
                "experiment_id": self.experiment, "start_time": milliseconds(wanted.began),
                "run_name": wanted.name, "tags": pairs(wanted.tags),
            }  # fmt: skip
            found = self.server.post("runs/create", wanted.ours, body)["run"]
        theirs = str(found["info"]["run_id"])
        known = values_of(found.get("data", {}).get("params", ()))  # which cannot change there
        params = {name: text for name, text in wanted.params.items() if name not in known}
        self.server.log(theirs, wanted.ours, wanted.tags, params, wanted.metrics)
        return theirs

    def _trials(self, search: int, ours: str, theirs: str) -> None:
        trials = self.store.query(content.trial_contents, self.own, search, ours, theirs)
        children = self.server.runs(self.experiment, f"tags.`mlflow.parentRunId` = '{theirs}'")
        there = {values_of(run["data"]["tags"]).get(ID): run for run in children}
        for trial in trials:
            self._end(trial, self._run(trial, there.get(trial.ours)))

    def _end(self, wanted: RunContent, theirs: str) -> None:
        end = {"status": wanted.status, "end_time": milliseconds(wanted.ended)}
        self.server.post(
            "runs/update", wanted.ours, {"run_id": theirs, "run_name": wanted.name, **end}
        )

    # --- models -------------------------------------------------------------------------------

    def _model(self, row: Row[Any], run: str) -> str:
        """A model with its files, and as the output of its run."""
        ours, what = f"m{row.id}", f"the model m{row.id}"
        wanted = {"experiment_ids": [self.experiment], "filter": self._tagged(ours, row.created_at)}
        found = next(self.server.search("logged-models/search", "models", wanted), None)
        if found is None:
            params, tags = content.model_facts(row, self.own)
            body = {
                "experiment_id": self.experiment, "name": ours, "source_run_id": run,
                "params": pairs(params), "tags": pairs(tags),
            }  # fmt: skip
            found = self.server.post("logged-models", what, body)["model"]
        info = found["info"]
        theirs, path = str(info["model_id"]), f"logged-models/{info['model_id']}"
        if info["status"] != READY:
            why_not = self._files(row, info["artifact_uri"])
            note = {"tags": pairs({"housing.files": why_not or "ONNX"})}
            self.server.post(f"{path}/tags", what, note, "PATCH")
            self.server.post(path, what, {"model_id": theirs, "status": READY}, "PATCH")
        outputs = self.server.find("runs/get", ours, {"run_id": run}) or {}
        listed = outputs.get("run", {}).get("outputs", {}).get("model_outputs", ())
        if theirs not in [each["model_id"] for each in listed]:  # once more is an error there
            body = {"run_id": run, "models": [{"model_id": theirs, "step": 0}]}
            self.server.post("runs/outputs", what, body)
        self.record("model", ours, theirs)
        return theirs

    def _files(self, row: Row[Any], location: str) -> str:
        """Write a model's files; returns why there are none, or ""."""
        if not self.server.takes_files(location):
            return "none: the server takes no files, its artifacts are elsewhere"
        try:
            for name, data in model_files(self.store, row):
                self.server.put_file(location, name, data)
        except (NoOnnxForm, Pruned) as error:
            return f"none: {error}"
        return ""

    def version(self, model: int) -> str:
        """The registered version of a model, with the tags of what was decided on it."""
        ours, name = f"m{model}", PROBLEM.name
        with self.store.read() as connection:
            row = registry.model(connection, model)
            its = mirrored.run_of_model(connection, row)
            tags = content.version_tags(connection, self.own, row)
        if its is None:
            raise RunNotEnded
        run = self._known("run", f"r{its.id}") or self.run(its)
        theirs = self._known("model", ours) or self._model(row, run)
        source = f"models:/{theirs}"
        found = next((v for v in self._versions(row) if v["source"] == source), None)
        if found is None:
            body = {
                "name": name, "source": source, "run_id": run, "model_id": theirs,
                "tags": pairs(tags),
            }  # fmt: skip
            found = self.server.post("model-versions/create", ours, body)["model_version"]
        else:
            there = values_of(found.get("tags", ()))
            for key, value in tags.items():
                if there.get(key) != value:
                    body = {"name": name, "version": found["version"], "key": key, "value": value}
                    self.server.post("model-versions/set-tag", ours, body)
        self.record("version", ours, str(found["version"]))
        return str(found["version"])

    def _versions(self, row: Row[Any]) -> list[Json]:
        self._registered()
        where = f"name = '{PROBLEM.name}' AND {self._tagged(f'm{row.id}', row.created_at)}"
        asked = {"filter": where, "max_results": 100}
        return list(self.server.search("model-versions/search", "model_versions", asked, "GET"))

    def _registered(self) -> None:
        """The registered model of the problem; MirrorRefused for one of another database."""
        name = PROBLEM.name
        found = self.server.find("registered-models/get", name, {"name": name})
        if found is None:
            about = {"name": name, "tags": pairs({STORE: self.own})}
            self.server.post("registered-models/create", name, about)
            return
        owner = values_of(found["registered_model"].get("tags", ())).get(STORE, self.own)
        if owner != self.own:
            why = f"it shows the models of another database ({owner})"
            raise MirrorRefused(what=f"the registered model {name}", why=why, code=None)

    def entry(self, row: Row[Any]) -> None:
        """An entry of the promotion log: the versions of the models that it is about."""
        champions = self.store.query(promotion_log.former_champions)
        for model in {row.from_model, row.to_model, row.blocked_model}.intersection(champions):
            self.version(model)
        if row.operation == "restore":  # what was sent after the backup may have moved it
            self.record("alias", ALIAS, "")
        self.record("entry", str(row.seq), "")

    def alias(self) -> bool:
        """Have the alias name the champion; whether it had to be moved.

        The log is read again after each move: the champion may have changed meanwhile.
        """
        moved = False
        while True:
            champion = self.store.query(promotion_log.champion)
            if champion is None:
                return moved
            version = self._known("version", f"m{champion}") or self.version(champion)
            if self._known("alias", ALIAS) == version:
                return moved
            self.record("alias", ALIAS, "")  # LeaseLost if another process sends now
            body = {"name": PROBLEM.name, "alias": ALIAS, "version": version}
            self.server.post("registered-models/alias", ALIAS, body)
            self.record("alias", ALIAS, version)
            moved = True
