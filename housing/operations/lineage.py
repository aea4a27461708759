"""Where a model comes from and what was decided on it: columns, features, model, decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.engine import Row

from housing import schema
from housing.store.database.engine import Store
from housing.store.models import artifacts, registry
from housing.store.queries import time, with_letter
from housing.training.lineage import FeatureGroup, definitions, grouped


def lineage(store: Store, model: int) -> dict[str, Any]:
    """The lineage of a model from its fitted steps, its dataset and the verdicts on it."""
    with store.read() as connection:
        row = registry.model(connection, model)
        judged = registry.evaluations_of(connection, model)
    features = definitions(artifacts.get_model(store, row.artifact))
    used = {name for feature in features for name in feature.inputs}
    name, dataset = f"m{model}", f"v{row.version}"
    decisions = [_decision(each) for each in judged]
    return {
        "model": name,
        "dataset": dataset,
        "columns": [
            {"name": column, "unit": facts.unit, "target": column == schema.TARGET}
            for column, facts in schema.CATALOGUE.items()
            if column in used
        ],
        "features": [asdict(feature) for feature in features],
        "decisions": decisions,
        "mermaid": mermaid(name, dataset, grouped(features), decisions),
    }


def _decision(row: Row[Any]) -> dict[str, Any]:
    return {
        "run": with_letter("r", row.run),
        "outcome": row.outcome,
        "rule": row.policy.get("rule", ""),
        "champion": with_letter("m", row.champion),
        "dataset": with_letter("v", row.version),
        "decided_at": time(row.created_at),
        "message": row.verdict["message"],
    }


def mermaid(
    model: str, dataset: str, groups: Sequence[FeatureGroup], decisions: Sequence[Mapping[str, Any]]
) -> str:
    """A flowchart: columns of the dataset, features, the model, decisions of the gate on it."""
    used = [name for name in schema.CATALOGUE if any(name in group.inputs for group in groups)]
    place = {name: f"c{number}" for number, name in enumerate(used)}
    lines = ["flowchart LR", f"  subgraph {dataset}", "    direction LR"]
    lines += [f"    {place[name]}[{_label(name)}]" for name in used]
    lines += ["  end", f"  {model}([{_label(model)}])"]
    for number, group in enumerate(groups):
        lines.append(f"  f{number}[{_label(*group.features)}]")
        lines += [f"  {place[name]} --> f{number}" for name in group.inputs]
        lines.append(f"  f{number} --> {model}")
    for number, decision in enumerate(decisions):
        names = [decision[name] for name in ("run", "outcome", "rule") if decision[name]]
        lines += [f"  d{number}{{{{{_label(*names)}}}}}", f"  {model} --> d{number}"]
    return "\n".join(lines)


def _label(*texts: str) -> str:
    """Texts in lines as a label; what Mermaid would read as its own is written as an entity."""
    marks = {"&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "#": "#35;"}
    safe = ("".join(marks.get(letter, letter) for letter in text) for text in texts)
    return f'"{"<br/>".join(safe)}"'
