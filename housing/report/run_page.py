"""The report of a run as one HTML file without scripts or external resources.

The data come from `data`, the text of figures from `wording`, plots from `plots`; the layout is in
`templates/`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from housing import formatting
from housing.evaluation.drift import found
from housing.gate import decision_rule
from housing.gate.evidence import ModelMetrics
from housing.gate.expected_gain import noise_of
from housing.gate.power import (
    OperatingCharacteristic,
    earlier_comparisons,
    operating_characteristic,
)
from housing.metric import MAE, RMSE, metric_named
from housing.records import Metrics
from housing.report import gate_plots, plots, wording
from housing.report.data import RunReport
from housing.report.design.palette import css
from housing.report.family_table import as_rows, by_family, preprocessing_table
from housing.report.plot_style import RenderedFigure
from housing.schema import LOCATION, WORDING

TEMPLATES = Path(__file__).parent / "templates"

DRIFTED_SHOWN = 4
"""Drifted columns with a plot of their own."""

Figures = tuple[tuple[str, Callable[[Metrics], str]], ...]

MODEL_FIGURES: Figures = (
    (formatting.with_unit("Error, RMSE"), lambda m: formatting.value_text(m.rmse.value)),
    (f"its {formatting.INTERVAL}", lambda m: formatting.limits(m.rmse)),
    (formatting.with_unit("Mean absolute error"), lambda m: formatting.value_text(m.mae)),
    (f"its {formatting.INTERVAL}", lambda m: formatting.limits(m.mae_interval)),
    ("R²", lambda m: f"{m.r2:.3f}"),
    (f"Within 10 % of the {WORDING.value}", lambda m: formatting.percent(m.within_10)),
    (f"Within 20 % of the {WORDING.value}", lambda m: formatting.percent(m.within_20)),
    ("Test rows", lambda m: formatting.count(m.rows)),
)
"""One row of the table of models each: what it is called, and how it reads."""

MODEL_DETAILS: Figures = (
    ("Interval of the RMSE if rows were independent",
     lambda m: formatting.limits(m.rmse_independent)),
) if LOCATION else ()  # fmt: skip
"""Rows that explain others and decide nothing."""


def model_rows(report: RunReport) -> list[tuple[str, list[str]]]:
    """The table of models: what each figure is called, and how it reads for each of `models`."""
    return [
        (label, [figure(m.metrics) if m.metrics else "not finite" for _, _, m in models(report)])
        for label, figure in _model_figures(report.evidence.metric if report.evidence else RMSE)
    ]


def _model_figures(metric: str) -> Figures:
    """The figures of the table, those by the deciding metric first."""
    if metric == RMSE:
        return MODEL_FIGURES
    name = formatting.error_label("Deciding error,", metric)
    return (
        (name, lambda m: formatting.error_text(m.error.value, metric)),
        (f"its {formatting.INTERVAL}", lambda m: formatting.limits(m.error, metric)),
        *(MODEL_FIGURES if metric != MAE else MODEL_FIGURES[:2] + MODEL_FIGURES[4:]),
    )


def render(report: RunReport) -> str:
    """The whole page. Texts from outside (file names, values, messages) are escaped."""
    test, importances, unit = report.test, report.importances, report.importance_unit
    return rendered(
        "run.html",
        report=report,
        headline=report.outcome.headline,
        next_step=wording.next_step(report),
        decision=decision(report),
        checks=wording.by_urgency(report.verdict.checks) if report.verdict else (),
        seen=seen(report),
        **_gate_plots(report),
        models=list(models(report)),
        model_rows=model_rows(report),
        model_details=MODEL_DETAILS,
        baselines=report.evidence.baselines if report.evidence else {},
        totals=wording.totals(report.batches),
        search=plots.search(report.trials, report.best, report.search_metric),
        families=as_rows(by_family(report.trials, report.comparison), report.search_metric),
        curves=[(plots.curve(curve), curve.message) for curve in report.curves],
        preprocessing=preprocessing_table(report.preprocessing),
        failures=[trial for trial in report.trials if trial.error],
        card=PurePath(report.card).name,  # in the same folder
        data_page=PurePath(report.data_page).name,
        importances=plots.importances(importances, unit) if importances else None,
        predicted=plots.predicted_vs_actual(test) if test else None,
        map=plots.error_map(test) if test else None,
        history=plots.history(report.history, report.metric) if len(report.history) > 1 else None,
        seconds=sum(step.seconds for step in report.steps),
    )


def page(
    title: str, notices: Sequence[str] = (), *, template: str = "page.html", **parts: Any
) -> str:
    """A page without scripts or external resources; notices are text."""
    return rendered(template, title=title, notices=notices, **parts)


def rendered(template: str, **parts: Any) -> str:
    """A template with these parts, as text that can be stored."""
    return formatting.writable(environment().get_template(template).render(**parts))


def decision(report: RunReport) -> RenderedFigure | None:
    """The picture of the decision: against the champion or, without one, the baselines."""
    evidence, policy = report.evidence, report.policy
    if evidence is None or policy is None:
        return None
    if evidence.champion is not None:
        if evidence.comparison is None:
            return None
        rule = decision_rule.effective_policy(evidence, policy)
        label = "must end below" if rule.rule == "superior" else "tolerated up to"
        return plots.decision({"": evidence.comparison}, decision_rule.limit(rule), label)
    baselines = {
        f"against {name}": baseline.comparison
        for name, baseline in evidence.baselines.items()
        if baseline.comparison is not None
    }
    if not baselines:
        return None
    return plots.decision(baselines, -policy.baseline_margin, "required:")


def seen(report: RunReport) -> OperatingCharacteristic | None:
    """The gate's operating characteristic in this run; None without a comparison."""
    evidence, policy = report.evidence, report.policy
    if evidence is None or policy is None or evidence.comparison is None:
        return None
    return operating_characteristic(
        evidence.comparison,
        policy,
        earlier=earlier_comparisons(evidence),
        noise=noise_of(evidence),
    )


def _gate_plots(report: RunReport) -> dict[str, Any]:
    """Plots of slices, operating characteristic, drift and test-set reuse, where available."""
    evidence, policy, could = report.evidence, report.policy, seen(report)
    reuse = gate_plots.holdout_reuse(report.holdout_reuse)
    if evidence is None or policy is None:
        return {**dict.fromkeys(("forest", "characteristic", "drift", "drifted")), "reuse": reuse}
    effect = None if evidence.comparison is None else evidence.comparison.effect
    drifted = [(c, d) for d in evidence.drift for c in found(d.columns, policy.drift)]
    return {
        "forest": gate_plots.forest(evidence, policy),
        "characteristic": could and gate_plots.characteristic(could, effect),
        "drift": gate_plots.drift_effects(evidence.drift, policy),
        "drifted": [
            gate_plots.drift_shares(column, drift, number)
            for number, (column, drift) in enumerate(drifted[:DRIFTED_SHOWN])
        ],
        "reuse": reuse,
    }


def models(report: RunReport) -> Iterator[tuple[str, str, ModelMetrics]]:
    """Role, name and figures of each model that was measured, the challenger first."""
    if report.evidence is None:
        return
    yield "Challenger", report.challenger, report.evidence.challenger
    if report.evidence.champion is not None:
        yield "Champion", report.champion, report.evidence.champion


@cache
def environment() -> Environment:
    """Templates of pages, with the filters that write figures."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=formatting.parameter,  # a fraction that no filter has written
    )
    environment.filters.update(
        count=formatting.count,
        amount=formatting.amount,
        parameter_name=formatting.parameter_name,
        metric=lambda name: metric_named(name).label,
        error=formatting.error_amount,
        error_text=formatting.error_text,
        error_label=formatting.error_label,
        value=formatting.value_text,
        with_unit=formatting.with_unit,
        limits=formatting.limits,
        percent=formatting.percent,
        bound=formatting.bound,
        unbroken=formatting.unbroken,
        changed=formatting.changed,
        seed_variance=wording.seed_variance,
        change=formatting.change,
        duration=formatting.duration,
        # Plots are made here from figures; matplotlib escapes the names that they carry.
        svg=lambda plot: Markup(plot.svg.decode()),  # noqa: S704
        markup=Markup,  # HTML of our own, in which external text is escaped
    )
    environment.globals.update(
        STYLE=Markup(css()),  # noqa: S704  # our own
        MARKS=wording.MARKS, WORDING=WORDING, LOCATION=LOCATION, INTERVAL=formatting.INTERVAL,
    )  # fmt: skip
    return environment
