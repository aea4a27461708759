"""The report as a short Markdown text, for the Prefect artifact and for messages."""

import html
import re
from collections.abc import Iterator

from housing.formatting import changed, count, writable
from housing.report import wording
from housing.report.data import RunReport
from housing.report.run_page import model_rows, models, seen

_SPECIAL = re.compile(r"[\\`*_{}\[\]|~$]|(?<=www)\.|:(?=//)|!(?=\[)|^[#+\-=]")
"""Characters with a meaning in Markdown: markup, links, headings, lists."""
_LEADING_NUMBER = re.compile(r"^(\d+)([.)])")


def escape(text: object) -> str:
    """External text on one line, with Markdown and HTML escaped."""
    line = " ".join(str(text).split())
    line = _LEADING_NUMBER.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", line))
    return html.escape(line, quote=False)


def summary(report: RunReport) -> str:
    """Verdict and reason, models with intervals, checks, batches, and the location of the page."""
    blocks = [
        f"# {report.outcome.headline}",
        *(f"> **Notice.** {escape(notice)}" for notice in report.notices),
        escape(report.message),
        f"_{escape(wording.next_step(report))}_",
        *_models(report),
        *_checks(report),
        *_intake(report),
    ]
    started = report.started_at.strftime("%Y-%m-%d %H:%M")
    location = f" Full report: {_code(report.location)}" if report.location else ""
    blocks.append(f"Run r{report.run}, {started} UTC.{location}")
    if report.card:
        blocks[-1] += f" The challenger's model card: {_code(report.card)}"
    return writable("\n\n".join(blocks) + "\n")


def _checks(report: RunReport) -> Iterator[str]:
    """The checks that did not pass; one line if all passed."""
    if report.verdict is None:
        return
    other = [c for c in report.verdict.checks if c.outcome not in ("passed", "not applicable")]
    passed = sum(check.outcome == "passed" for check in report.verdict.checks)
    asked = passed + len(other)
    lines = [f"- **{c.name}** ({c.outcome}): {escape(c.message)}" for c in other]
    yield "\n".join([f"{passed} of the {asked} checks that apply passed.", *lines])


def _models(report: RunReport) -> Iterator[str]:
    evidence = report.evidence
    if evidence is None:
        return
    names = [escape(f"{role} {name}") for role, name, _ in models(report)]
    head = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    rows = (f"| {label} | " + " | ".join(texts) + " |" for label, texts in model_rows(report))
    yield "\n".join([*head, *rows])
    if evidence.comparison is not None:
        yield f"Change of the error: **{changed(evidence.comparison)}**"
        seeds = wording.seed_variance(evidence.seed_variance, evidence.metric)
        yield f"Variance from the training seed is not included: {seeds}."
    could = seen(report)
    if could is not None:
        yield f"Power of the gate: {escape(could.message)}"


def _intake(report: RunReport) -> Iterator[str]:
    if not report.batches:
        yield "No file was read."
        return
    read, accepted, rejected = map(count, wording.totals(report.batches))
    lines = [f"{read} rows read: {accepted} accepted, {rejected} rejected.", ""]
    for batch in report.batches:
        lines.append(f"- {escape(batch.name)} ({batch.status}): {escape(batch.message)}")
        lines += [
            f"  - {escape(r.code)} {escape(r.column)}: {count(r.rows)}, {escape(r.example)}"
            for r in batch.rejections
        ]
    yield "\n".join(lines)


def _code(text: str) -> str:
    """Inline code, with a fence longer than any backticks in the text."""
    line = " ".join(text.split())
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"
