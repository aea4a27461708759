"""Blocks: what a person took back is not promoted until it is unblocked."""

import pytest
import sqlalchemy as sa

from housing.errors import (
    ChampionChanged,
    ModelBlocked,
    NoRollbackTarget,
    NotPossible,
    Pruned,
    UnknownId,
)
from housing.store.data import datasets, profiles, split
from housing.store.database.tables import blobs, utc_now
from housing.store.models import blocks, promotion_log, registry
from housing.store.models.promotion_log import Authorship
from housing.store.models.registry import Change
from housing.training.split import SplitRule
from tests.fixtures import dataset_operations

WHY = Authorship("tester", "it was wrong")


@pytest.fixture
def history(store, districts, add_batch, add_model):
    """Two batches, a version each, a model each; the first is champion."""
    found = []
    for number in range(2):
        batch = add_batch(store, districts(range(10 * number, 10 * number + 10)))
        version = datasets.append_waiting(store, reason="test", run=None).id
        found.append((batch, version, add_model(store, version)))
    promote(store, found[0][2], None)
    return found


def promote(store, model, expected, **facts):
    change = Change("promote", model, expected, "tester", "better", **facts)
    return registry.change_champion(store, change)


def held(store):
    with store.read() as connection:
        found = blocks.current(connection)
    return sorted(found.models), sorted(found.batches)


def why_not(store, model):
    with store.read() as connection:
        return blocks.block_reason(connection, model)


def test_a_blocked_model_is_not_promoted_until_it_is_unblocked(store, history):
    (_, _, first), (_, _, second) = history
    line = blocks.block(store, "m", second, WHY)
    assert held(store) == ([second], [])
    assert "it was wrong" in why_not(store, second)
    with pytest.raises(ModelBlocked, match=rf"m{second} is blocked \(it was wrong\)"):
        promote(store, second, first)
    assert blocks.unblock(store, "m", second, WHY) == line + 1
    assert held(store) == ([], [])
    promote(store, second, first)


def test_a_model_of_the_same_rows_under_other_ids_shares_the_block(
    store, districts, add_batch, add_model
):
    made = []
    for add in (0, 1000):
        rows = districts(range(40))
        batch = add_batch(store, rows.assign(**{"#key": rows["#key"] + add}))
        version = datasets.append_waiting(store, reason="test", run=None).id
        split.split_batch(store, batch, SplitRule(0.25, 1))
        profiles.measured(store, version)
        made.append(add_model(store, version))
        dataset_operations.withdraw(store, batch, reason="in doubt")
    other = add_model(store, 2)
    excluding = add_model(store, 1, ["ratios"])
    promote(store, other, None)
    blocks.block(store, "m", made[0], WHY)
    assert why_not(store, excluding) == "", "another recipe: it lacks a group of features"
    assert f"m{made[1]} has the recipe of m{made[0]} on the same rows" in why_not(store, made[1])


def test_a_blocked_batch_blocks_every_model_that_was_trained_on_it(store, history, add_model):
    (early, _, first), (late, version, second) = history
    blocks.block(store, "b", late, WHY)
    assert why_not(store, first) == ""
    assert f"trained on b{late}" in why_not(store, second)
    with pytest.raises(ModelBlocked, match=f"withdraw b{late}"):
        promote(store, second, first)
    without = dataset_operations.withdraw(store, late, reason="polluted").id
    clean = add_model(store, without)
    assert why_not(store, clean) == ""
    promote(store, clean, first)
    assert why_not(store, add_model(store, version)) != ""
    blocks.block(store, "b", early, WHY)
    assert held(store) == ([], [early, late])


def test_blocks_leave_the_champion_and_its_date(store, history):
    (_, _, first), (late, _, second) = history
    promote(store, second, first)
    with store.read() as connection:
        before = promotion_log.current(connection)
        since = connection.execute(sa.text("SELECT model, since FROM current_champion")).one()
    blocks.block(store, "b", late, WHY)
    blocks.block(store, "m", first, WHY)
    blocks.unblock(store, "b", late, WHY)
    with store.read() as connection:
        assert promotion_log.champion(connection) == second
        assert promotion_log.current(connection) == before
        assert promotion_log.current(connection, utc_now()) == before
        with pytest.raises(NoRollbackTarget, match=rf"are blocked: m{first} \(it was wrong\)"):
            registry.previous_champion(connection)
        assert promotion_log.former_champions(connection) == (second, first)
        now = connection.execute(sa.text("SELECT model, since FROM current_champion")).one()
        blocked = connection.execute(sa.text("SELECT model, batch FROM current_blocks")).all()
        seqs = [line.seq for line in promotion_log.history(connection)]
    assert now == since
    assert blocked == [(first, None)]
    assert seqs == [5, 4, 3, 2, 1]


def test_impossible_blocks_and_unblocks_name_the_reason(store, history):
    (_, _, first), (late, _, second) = history
    with pytest.raises(NotPossible, match="it is the champion"):
        blocks.block(store, "m", first, WHY)
    with pytest.raises(NotPossible, match="not blocked"):
        blocks.unblock(store, "m", second, WHY)
    for letter in "mb":
        with pytest.raises(UnknownId, match=f"{letter}99"):
            blocks.block(store, letter, 99, WHY)
        with pytest.raises(UnknownId, match=f"{letter}99"):
            blocks.unblock(store, letter, 99, WHY)
    blocks.block(store, "b", late, WHY)
    with pytest.raises(NotPossible, match="it is blocked; `housing history`"):
        blocks.block(store, "b", late, WHY)


def test_blocking_without_a_champion_is_refused(store, districts, add_batch):
    batch = add_batch(store, districts(range(5)))
    with pytest.raises(NotPossible, match="no champion yet"):
        blocks.block(store, "b", batch, WHY)


def test_a_rollback_and_its_blocks_are_one_decision(store, history):
    (_, _, first), (late, _, second) = history
    promote(store, second, first)
    back = Change(
        "rollback", first, second, "tester", "worse", block_models=(second,), block_batches=(late,)
    )
    seq = registry.change_champion(store, back)
    assert held(store) == ([second], [late])
    with store.read() as connection:
        lines = promotion_log.history(connection)
    assert [(line.operation, line.seq) for line in lines[:3]] == [
        ("block", seq + 2),
        ("block", seq + 1),
        ("rollback", seq),
    ]
    assert {line.reason for line in lines[:3]} == {"worse"}
    with pytest.raises(ChampionChanged):
        registry.change_champion(store, back)
    assert held(store) == ([second], [late])


def test_nobody_goes_back_to_what_is_blocked_or_pruned(store, history):
    (_, _, first), (_, _, second) = history
    promote(store, second, first)
    blocks.block(store, "m", first, WHY)
    back = Change("rollback", first, second, "tester", "worse")
    for refuse in (registry.check_eligible, registry.change_champion):
        with pytest.raises(ModelBlocked, match=f"m{first}"):
            refuse(store, back)
    blocks.unblock(store, "m", first, WHY)
    with store.read() as connection:
        artifact = registry.model(connection, first).artifact
    with store.write() as connection:
        this = blobs.c.digest == artifact
        connection.execute(blobs.update().where(this).values(pruned_at=utc_now()))
    for refuse in (registry.check_eligible, registry.change_champion):
        with pytest.raises(Pruned, match=f"m{first}"):
            refuse(store, back)


def test_a_rollback_over_several_champions_undoes_all_later_ones(store, history, add_model):
    (_, _, first), (_, version, second) = history
    third = add_model(store, version)
    promote(store, second, first)
    promote(store, third, second)
    with store.read() as connection:
        assert promotion_log.superseded_by_rollback(connection, first) == (third, second)
        assert promotion_log.superseded_by_rollback(connection, second) == (third,)
        assert promotion_log.superseded_by_rollback(connection, third) == ()
    registry.change_champion(store, Change("rollback", first, third, "tester", "worse"))
    with store.read() as connection:  # third is not below the champion any more
        assert promotion_log.superseded_by_rollback(connection, third) == (first,)
