"""The report of a night as a short Markdown text, for the Prefect artifact and for messages.

The full story is the HTML page; this names the verdict, the reason, and where the page is.
"""

import html
import re
from collections.abc import Iterator

from housing.report import wording
from housing.report.data import RunReport
from housing.report.run_page import MODEL_FIGURES, seen

_SPECIAL = re.compile(r"[\\`*_{}\[\]|~$]|(?<=www)\.|:(?=//)|!(?=\[)|^[#+\-=]")
"""What is markup anywhere, what makes a link of an address, what starts a heading or a list."""
_LEADING_NUMBER = re.compile(r"^(\d+)([.)])")


def escape(text: object) -> str:
    """Text from outside as it is: neither Markdown nor HTML, and on one line."""
    line = " ".join(str(text).split())
    line = _LEADING_NUMBER.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", line))
    return html.escape(line, quote=False)


def summary(report: RunReport) -> str:
    """Verdict and why, the models with their intervals, what came in, and where the page is."""
    blocks = [
        f"# {report.outcome.headline}",
        *(f"> **Notice.** {escape(notice)}" for notice in report.notices),
        escape(report.message),
        f"_{escape(wording.next_step(report))}_",
        *_checks(report),
        *_models(report),
        *_intake(report),
    ]
    started = report.started_at.strftime("%Y-%m-%d %H:%M")
    place = f" Full report: {_code(report.location)}" if report.location else ""
    blocks.append(f"Night {report.run}, {started} UTC.{place}")
    if report.card:
        blocks[-1] += f" The challenger's model card: {_code(report.card)}"
    return wording.writable("\n\n".join(blocks) + "\n")


def _checks(report: RunReport) -> Iterator[str]:
    """What did not pass; a night on which all passed says so in one line."""
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
    models = [(f"Challenger {report.challenger}", evidence.challenger.metrics)]
    if evidence.champion is not None:
        models.append((f"Champion {report.champion}", evidence.champion.metrics))
    rows = [
        "| | " + " | ".join(escape(name) for name, _ in models) + " |",
        "|---|" + "---:|" * len(models),
    ]
    for label, figure in MODEL_FIGURES:
        cells = [figure(metrics) if metrics else "not finite" for _, metrics in models]
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    yield "\n".join(rows)
    if evidence.comparison is not None:
        yield f"Change of the error: **{wording.changed(evidence.comparison)}**"
        seeds = wording.seed_variance(evidence.seed_variance)
        yield f"Variance from the training seed is not included: {seeds}."
    could = seen(report)
    if could is not None:
        yield f"What the gate can see: {escape(could.message)}"


def _intake(report: RunReport) -> Iterator[str]:
    if not report.batches:
        yield "No file was read."
        return
    read, accepted, rejected = map(wording.count, wording.totals(report.batches))
    lines = [f"{read} rows read: {accepted} came in, {rejected} turned away.", ""]
    for batch in report.batches:
        lines.append(f"- {escape(batch.name)} ({batch.status}): {escape(batch.message)}")
        lines += [
            f"  - {escape(r.code)} {escape(r.column)}: {wording.count(r.rows)}, {escape(r.example)}"
            for r in batch.rejections
        ]
    yield "\n".join(lines)


def _code(text: str) -> str:
    """Inline code that shows the text as it is, whatever backticks are in it."""
    line = " ".join(text.split())
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"
