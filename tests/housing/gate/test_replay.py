"""Old verdicts are judged again: older records, and checks that changed."""

import dataclasses
import json

import pytest
from pydantic import TypeAdapter

from housing.gate.check import CHECKS, judge
from housing.gate.evidence import Evidence, read
from housing.gate.policy import GatePolicy
from housing.gate.replay import replay
from housing.records import CheckResult, Verdict


def stored(evidence, policy=None):
    policy = policy or GatePolicy()
    verdict = judge(evidence, policy)
    return json.loads(
        json.dumps(
            {
                "evidence": TypeAdapter(Evidence).dump_python(evidence, mode="json"),
                "policy": policy.model_dump(mode="json"),
                "verdict": TypeAdapter(Verdict).dump_python(verdict, mode="json"),
            }
        )
    )


def test_a_check_without_evidence_in_an_older_record_never_passes(make_evidence):
    """A record that lacks every field with a default, as before these fields existed."""
    record = stored(make_evidence())
    for field in dataclasses.fields(Evidence):
        if field.default is not dataclasses.MISSING and field.name not in (
            "champion",
            "comparison",
        ):
            del record["evidence"][field.name]
    verdict = judge(read(record["evidence"]), GatePolicy.model_validate(record["policy"]))
    outcomes = {r.name: r.outcome for r in verdict.checks}
    for name in ("slices", "recent-rows", "uncapped-rows", "cumulative-regression", "drift"):
        assert outcomes[name] == "not applicable"
    assert outcomes["preflight"] == outcomes["latency"] == "not applicable"


@pytest.mark.parametrize("effect", [-0.04, -0.005, 0.03])
def test_records_of_today_agree(make_evidence, effect):
    found = replay(**stored(make_evidence(effect, 0.01)))
    assert found.agrees
    assert found.not_asked == ()
    assert found.now == found.recorded


def test_a_policy_that_was_changed_in_the_record_is_noticed(make_evidence):
    record = stored(make_evidence(-0.005, 0.009))
    record["policy"]["margin"] = 0.0
    found = replay(**record)
    assert found.differences == (
        "verdict: recorded promote, now inconclusive",
        "check no-regression: recorded passed, now inconclusive",
    )


def test_figures_that_were_changed_in_the_record_are_noticed(make_evidence):
    record = stored(make_evidence(0.03))
    record["evidence"]["comparison"]["effect"] = -0.03
    record["evidence"]["comparison"]["upper"] = -0.02
    assert not replay(**record).agrees


class Stricter:
    """What a later release may make of a check."""

    name = "sane-predictions"

    def run(self, evidence, policy):
        return CheckResult(self.name, "failed", "Stricter now.")

    def needs(self, evidence, policy):
        return "Nothing."


def test_a_check_whose_outcome_changed_or_that_was_removed_is_named(make_evidence):
    record = stored(make_evidence())
    others = tuple(c for c in CHECKS if c.name not in ("sane-predictions", "latency"))
    found = replay(**record, checks=(*others, Stricter()))
    assert "check sane-predictions: recorded passed, now failed" in found.differences
    assert "check latency: recorded passed, now removed" in found.differences
    assert found.differences[0] == "verdict: recorded promote, now keep"


def test_a_record_with_fields_of_a_later_release_is_read(make_evidence):
    record = stored(make_evidence())
    record["evidence"] |= {"moon": {"phase": 0.5}}
    assert read(record["evidence"]) == make_evidence()
