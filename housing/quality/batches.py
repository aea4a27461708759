"""Batch rules: when a whole delivery is quarantined, although single rows may look fine.

The defaults quarantine what is almost surely a mistake (another unit, a cut file, a shuffled
column), and accept what is merely unusual, such as the rows of one region alone. Statistical drift
belongs in the gate, which can weigh it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from housing.formatting import percent
from housing.problem import significant
from housing.quality.policy import QualityPolicy
from housing.quality.profile import profile_columns, unit_slip
from housing.quality.rows import Validated
from housing.records import Json
from housing.schema import CATALOGUE, CATEGORIES, NUMBERS

BATCH_RULES: Mapping[str, str] = {
    "rejected share": "too many of the rows were rejected",
    "row count": "far more or far fewer rows than the source's recent batches of at least 50 rows",
    "missing share": "a column is empty far more often than in the active dataset",
    "unit": "all quartiles of a column are off by about 10, 100, 1,000 or 10,000 times",
    "location": "a column's median is many interquartile ranges away from the active dataset's",
    "categories": "a category column's shares have almost nothing in common with the dataset's",
    "kept-out rows": "rows that the dataset lacks are those of a batch that is quarantined, "
    "discarded, withdrawn or blocked",
}
"""Batch rules by name and what quarantines a batch; each reason begins with the name."""


@dataclass(frozen=True)
class BatchHistory:
    """What a batch is compared with; empty for the first batch of all."""

    recent_rows: tuple[int, ...] = ()  # rows read in the source's last batches, newest last
    # (of those with at least `min_rows`, which were taken)
    columns: Json | None = None  # `profile_columns` of the active dataset


def judge_batch(
    validated: Validated, history: BatchHistory, policy: QualityPolicy, *, changes: bool = True
) -> tuple[str, ...]:
    """Reasons to quarantine the batch, each a sentence that begins with its rule; empty: let it in.

    A batch without an accepted row is not quarantined: there is nothing to let in later. Where no
    accepted row `changes` the dataset, only what was rejected is judged.
    """
    if validated.accepted.empty or validated.read < policy.min_rows:
        return ()
    reasons = [*_rejected_share(validated, policy)]
    if not changes:
        return tuple(reasons)
    reasons += _row_count(validated, history, policy)
    reasons += unit_slips(validated, history, policy)
    if len(validated.accepted) >= policy.min_rows and history.columns is not None:
        columns = profile_columns(validated.accepted)
        reasons += _missing_shares(columns, history.columns, policy)
        reasons += _locations(columns, history.columns, policy)
        reasons += _category_shares(columns, history.columns, policy)
    return tuple(reasons)


def batch_message(
    validated: Validated,
    reasons: tuple[str, ...],
    history: BatchHistory,
    policy: QualityPolicy,
    known: str = "",
) -> str:
    """The message about a batch; `reasons` are those of `judge_batch`, `known` describes
    the known rows.
    """
    accepted, rejected = len(validated.accepted), len(validated.rejected)
    counts = f"{validated.read:,} rows read, {accepted:,} accepted, {rejected:,} rejected"
    if validated.read == 0:
        counts = "no rows in it: a header and nothing below"
    parts = [counts, *([known] if known else [])]
    if rejected:
        worst = max(validated.rejections, key=lambda rejection: rejection.rows)
        parts.append(f"most often {worst.code} ({worst.rows:,}), first: {worst.example}")
    if validated.read and not accepted:
        parts.append("nothing was accepted")
        parts += unit_slips(validated, history, policy)
    if reasons:
        parts.append(f"quarantined: {'; '.join(reasons)}")
    return "; ".join([*parts, *validated.notes]) + "."


def unit_slips(validated: Validated, history: BatchHistory, policy: QualityPolicy) -> Iterator[str]:
    """Columns that seem to be in another unit, judged on every number that was delivered.

    All three quartiles must be off by the same power of ten: rows of one group may have a tenth
    of the usual median, but not throughout.
    """
    for name, quartiles in validated.delivered.items():
        usual = (history.columns or {}).get(name)
        if usual is None or usual["median"] is None:
            continue
        before = (usual["q25"], usual["median"], usual["q75"])
        power = unit_slip(before, quartiles, policy.unit_tolerance)
        if power and abs(power) <= policy.max_unit_power:
            factor, way = f"{10 ** abs(power):,}", "large" if power > 0 else "small"
            here, there = significant(quartiles[1]), significant(before[1])
            unit = CATALOGUE[name].unit
            yield (
                f"unit: {name} has the median {here} where the dataset has "
                f"{there}{unit and f' ({unit})'}: about {factor} times too {way}, "
                f"as if it were in {_unit(power, unit)}"
            )


_MULTIPLES = {-1: "tens", -2: "hundreds", -3: "thousands", -6: "millions"}


def _unit(power: int, unit: str) -> str:
    if power not in _MULTIPLES:
        return "another unit"
    return f"{_MULTIPLES[power]}{unit and f' of {unit}'}"


def _rejected_share(validated: Validated, policy: QualityPolicy) -> Iterator[str]:
    share = len(validated.rejected) / validated.read
    if share > policy.max_rejected_share:
        yield (
            f"rejected share: {percent(share, 0)} of {validated.read:,} rows were rejected, "
            f"at most {percent(policy.max_rejected_share, 0)} may be"
        )


def _row_count(validated: Validated, history: BatchHistory, policy: QualityPolicy) -> Iterator[str]:
    recent = [rows for rows in history.recent_rows if rows >= policy.min_rows]
    recent = recent[-policy.recent_batches :]
    if len(recent) < policy.min_recent_batches:
        return
    usual = median(recent)
    factor = policy.max_row_factor
    if not usual / factor <= validated.read <= usual * factor:
        yield (
            f"row count: {validated.read:,} rows where the last {len(recent)} batches had "
            f"{usual:,.0f} (median); up to {factor:g} times more or fewer are usual"
        )


def _missing_shares(now: Json, before: Json, policy: QualityPolicy) -> Iterator[str]:
    for name in CATALOGUE:
        if name in before:
            share, usual = now[name]["missing"], before[name]["missing"]
            if share > usual + policy.max_missing_increase:
                gaps, gaps_before = percent(share, 0), percent(usual, 0)
                yield f"missing share: {name} is empty in {gaps} of rows, usually {gaps_before}"


def _locations(now: Json, before: Json, policy: QualityPolicy) -> Iterator[str]:
    for name in NUMBERS:
        usual = before.get(name)
        if usual is None or usual["median"] is None or now[name]["median"] is None:
            continue
        spread = usual["q75"] - usual["q25"]
        shift = now[name]["median"] - usual["median"]
        if spread > 0 and abs(shift) > policy.max_location_shift * spread:
            here, there = (significant(facts["median"]) for facts in (now[name], usual))
            yield (
                f"location: {name} has the median {here} where the dataset "
                f"has {there}: {abs(shift) / spread:.1f} interquartile ranges away"
            )


def _category_shares(now: Json, before: Json, policy: QualityPolicy) -> Iterator[str]:
    for name in CATEGORIES:
        counts, usual = now[name]["counts"], before.get(name, {}).get("counts", {})
        rows, usual_rows = sum(counts.values()), sum(usual.values())
        if not rows or not usual_rows:
            continue
        distance = sum(
            abs(counts[c] / rows - usual.get(c, 0) / usual_rows) for c in counts
        ) / 2  # fmt: skip
        if distance > policy.max_category_distance:
            top = max(counts, key=lambda category: counts[category])
            yield (
                f"categories: {name} is {top!r} in {percent(counts[top] / rows, 0)} of rows where "
                f"the dataset has {percent(usual.get(top, 0) / usual_rows, 0)}"
            )
