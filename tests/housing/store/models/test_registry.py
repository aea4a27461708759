"""The ledger: one champion at a time, no line lost, and a way back to each former one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from housing.errors import ChampionChanged, NoRollbackTarget, NotPossible, UnknownId
from housing.store.data import datasets
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, models, promotion_log
from housing.store.models import blocks, registry
from housing.store.models import promotion_log as promotions
from housing.store.models.registry import Change

WRITERS = 4
ROUNDS = 6

RACER = """
import sys
from housing.errors import ChampionChanged
from housing.store.objects.blobs import BlobStore
from housing.store.database.engine import Store, create_engine
from housing.store.models.registry import Change, change_champion

url, folder = sys.argv[1:]
store = Store(create_engine(url), BlobStore(folder), BlobStore(folder), signer=None)
print("ready", flush=True)
for line in sys.stdin:
    model, expected = (None if word == "none" else int(word) for word in line.split())
    try:
        print(change_champion(store, Change("promote", model, expected, "test", "race")))
    except ChampionChanged as error:
        print("lost", error)
    sys.stdout.flush()
"""


@pytest.fixture
def version(store, districts, add_batch):
    add_batch(store, districts([1]))
    return datasets.append_waiting(store, reason="test", run=None).id


@pytest.fixture
def contenders(store, version, add_model):
    return [add_model(store, version) for _ in range(WRITERS + 1)]


def promote(store, model, expected, operation="promote"):
    return registry.change_champion(store, Change(operation, model, expected, "test", "because"))


def champion(store):
    with store.read() as connection:
        return promotions.champion(connection)


def previous(store):
    with store.read() as connection:
        return registry.previous_champion(connection)


def sequence(store):
    with store.read() as connection:
        return [line.seq for line in reversed(promotions.history(connection))]


# --- compare and swap -----------------------------------------------------------------------


def test_there_is_no_champion_at_first(store):
    assert champion(store) is None
    with store.read() as connection:
        assert promotions.head(connection) is None
        assert promotions.former_champions(connection) == ()


def test_a_promotion_records_the_champion_that_it_replaced(
    store, version, contenders, add_evaluation
):
    first, second, *_ = contenders
    promote(store, first, None)
    evaluation = add_evaluation(store, version, second)
    change = Change("promote", second, first, "ann@host", "better by 2 %", evaluation=evaluation)
    assert registry.change_champion(store, change) == 2
    with store.read() as connection:
        line = promotions.head(connection)
        assert registry.evaluation(connection, evaluation).challenger == second
    assert (line.seq, line.operation, line.from_model, line.to_model) == (
        2, "promote", first, second,
    )  # fmt: skip
    assert (line.actor, line.reason, line.evaluation) == ("ann@host", "better by 2 %", evaluation)
    assert champion(store) == second


@pytest.mark.parametrize("expected", [None, "second"])
def test_a_decision_against_another_champion_is_refused(store, contenders, expected):
    first, second, third, *_ = contenders
    promote(store, first, None)
    with pytest.raises(ChampionChanged, match=f"found m{first}"):
        promote(store, third, second if expected else None)
    assert (champion(store), sequence(store)) == (first, [1])


@pytest.mark.parametrize(
    ("operation", "said"), [("promote", "Nothing was promoted"), ("rollback", "Nothing was rolled")]
)
def test_the_losing_writer_is_told_about_its_own_operation(store, contenders, operation, said):
    first, second, third = contenders[:3]
    promote(store, first, None)
    promote(store, second, first)
    promote(store, first, second, "rollback")
    with pytest.raises(ChampionChanged, match=said):
        promote(store, third, second, operation)


def test_the_first_promotion_must_expect_no_champion(store, contenders):
    with pytest.raises(ChampionChanged, match="found no champion"):
        promote(store, contenders[0], contenders[1])
    assert champion(store) is None


def test_of_threads_with_the_same_expectation_one_wins(settings, store, contenders):
    barrier = threading.Barrier(WRITERS)

    def race(model, expected):
        with open_store(settings) as own:
            barrier.wait()
            try:
                return promote(own, model, expected)
            except ChampionChanged:
                return None

    expected = None
    for turn in range(1, ROUNDS + 1):
        racing = [model for model in contenders if model != expected][:WRITERS]
        with ThreadPoolExecutor(WRITERS) as pool:
            won = list(pool.map(race, racing, [expected] * WRITERS))
        assert sorted(won, key=str) == [turn, *[None] * (WRITERS - 1)]
        expected = champion(store)
        assert expected == racing[won.index(turn)]
    assert sequence(store) == list(range(1, ROUNDS + 1))


def test_of_processes_with_the_same_expectation_one_wins(
    settings, store, contenders, child, database_url, tmp_path
):
    racers = [child(RACER, database_url, tmp_path / "blobs") for _ in range(WRITERS)]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * WRITERS
    expected = "none"
    for turn in range(1, ROUNDS + 1):
        racing = [model for model in contenders if str(model) != str(expected)][:WRITERS]
        for racer, model in zip(racers, racing, strict=True):
            racer.stdin.write(f"{model} {expected}\n")
            racer.stdin.flush()
        said = [racer.stdout.readline().strip() for racer in racers]
        assert said.count(str(turn)) == 1, said
        assert sum(answer.startswith("lost") for answer in said) == WRITERS - 1, said
        expected = champion(store)
        assert expected == racing[said.index(str(turn))]
    assert sequence(store) == list(range(1, ROUNDS + 1))


def test_an_entry_number_taken_despite_the_lock_is_not_taken_twice(store, contenders):
    """The primary key decides even between writers that do not share the lock."""
    rogue = {"operation": "promote", "actor": "x", "reason": "x", "at": sa.func.current_timestamp()}
    before = promotions.head

    def head_then_rogue(connection):
        found = before(connection)
        connection.execute(promotion_log.insert().values(seq=1, to_model=contenders[1], **rogue))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "head", head_then_rogue)
        with pytest.raises(sa.exc.IntegrityError):
            promote(store, contenders[0], None)


def test_the_champion_does_not_replace_itself(store, contenders):
    promote(store, contenders[0], None)
    with pytest.raises(NotPossible, match="it is the champion"):
        promote(store, contenders[0], contenders[0])
    assert sequence(store) == [1]


def test_a_model_that_is_not_registered_is_no_lost_race(store, contenders):
    with pytest.raises(UnknownId, match="m999"):
        promote(store, 999, None)
    assert champion(store) is None


# --- what cannot be taken away --------------------------------------------------------------


@pytest.mark.parametrize("table", [models, blobs], ids=["model", "blob"])
def test_rows_that_the_champion_refers_to_cannot_be_deleted(store, contenders, table):
    promote(store, contenders[0], None)
    with store.read() as connection:
        row = registry.model(connection, contenders[0])
    mine = table.c.id == row.id if table is models else table.c.digest == row.artifact
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        connection.execute(table.delete().where(mine))
    with store.read() as connection:
        assert registry.model(connection, row.id) == row


# --- the way back ---------------------------------------------------------------------------


def play(store, contenders, moves):
    """Letters promote the first, second, ... model; "<" goes back to the previous champion and
    "<b" to a named one."""
    for move in moves:
        if move.startswith("<"):
            model = contenders["abcd".index(move[1])] if move[1:] else previous(store)
            promote(store, model, champion(store), "rollback")
        else:
            promote(store, contenders["abcd".index(move)], champion(store))


@pytest.mark.either_database
@pytest.mark.parametrize(
    ("moves", "now", "back"),
    [
        ("a b", "b", "a"),
        ("a b c", "c", "b"),
        ("a b c <", "b", "a"),
        ("a b c < <", "a", None),
        ("a b < c", "c", "a"),
        ("a b c < d", "d", "b"),
        ("a b c < d <", "b", "a"),
        ("a b c < d < <", "a", None),
        ("a b c <a", "a", None),
        ("a b c <a <c", "c", "a"),
        ("a b c <a <c <", "a", None),
        ("a b c d <b", "b", "a"),
        ("a b c d <b <", "a", None),
        ("a b <a b", "b", "a"),
        ("a b a c <", "a", "b"),
        ("a b a <", "b", "a"),
        ("a", "a", None),
    ],
)
def test_the_previous_champion_is_what_the_current_one_replaced(
    store, contenders, moves, now, back
):
    play(store, contenders, moves.split())
    assert champion(store) == contenders["abcd".index(now)]
    if back is None:
        with pytest.raises(NoRollbackTarget):
            previous(store)
    else:
        assert previous(store) == contenders["abcd".index(back)]
    assert sequence(store) == list(range(1, len(moves.split()) + 1))


def test_two_rollbacks_undo_two_promotions_also_where_a_former_champion_was_promoted_by_hand(
    store, contenders
):
    play(store, contenders, ["a", "b", "c", "b"])
    for expected in (contenders[2], contenders[0]):
        with store.read() as connection:
            undone = promotions.superseded_by_rollback(connection, expected)
        assert previous(store) == expected
        change = registry.Change(
            "rollback", expected, champion(store), "test", "because", block_models=undone
        )
        registry.change_champion(store, change)
    with pytest.raises(NoRollbackTarget):
        previous(store)
    with store.read() as connection:
        assert set(blocks.current(connection).models) == {contenders[1], contenders[2]}


def test_a_model_that_was_promoted_twice_is_undone_and_blocked_once(store, contenders):
    play(store, contenders, ["a", "b", "c", "b"])
    with store.read() as connection:
        undone = promotions.superseded_by_rollback(connection, contenders[0])
    assert undone == (contenders[1], contenders[2])


def test_a_line_that_changes_no_champion_does_not_change_the_way_back(store, contenders):
    play(store, contenders, ["a", "b"])
    blocks.block(store, "m", contenders[3], promotions.Authorship("test", "because"))
    play(store, contenders, ["c"])
    blocks.unblock(store, "m", contenders[3], promotions.Authorship("test", "because"))
    assert previous(store) == contenders[1]
    with store.read() as connection:
        assert promotions.superseded_by_rollback(connection, contenders[0]) == (
            contenders[2],
            contenders[1],
        )


def test_a_rollback_to_a_model_that_never_was_champion_undoes_only_the_current_one(
    store, contenders
):
    play(store, contenders, ["a", "b", "c"])
    with store.read() as connection:
        assert promotions.superseded_by_rollback(connection, contenders[3]) == (contenders[2],)


def test_there_is_no_way_back_before_the_first_promotion(store):
    with pytest.raises(NoRollbackTarget, match="housing history"):
        previous(store)


def test_former_champions_are_listed_once_newest_first(store, contenders):
    play(store, contenders, ["a", "b", "c", "<", "d"])
    with store.read() as connection:
        former = promotions.former_champions(connection)
    a, b, c, d, _ = contenders
    assert former == (d, b, c, a)


def test_history_is_newest_first(store, contenders):
    play(store, contenders, ["a", "b", "c"])
    with store.read() as connection:
        assert [line.seq for line in promotions.history(connection)] == [3, 2, 1]
        assert [line.seq for line in promotions.history(connection, limit=2)] == [3, 2]


def test_the_champion_of_any_instant_is_known(store, contenders):
    play(store, contenders, ["a", "b"])
    with store.read() as connection:
        first, second = (line.at for line in reversed(promotions.history(connection)))
        instants = (first - timedelta(seconds=1), first, second, second + timedelta(days=1))
        found = [promotions.current(connection, at) for at in instants]
    assert first < second
    assert first.utcoffset() == timedelta(0)
    assert [line and line.to_model for line in found] == [None, *contenders[:2], contenders[1]]


def test_an_unknown_id_is_named(store):
    with store.read() as connection:
        with pytest.raises(UnknownId, match="m7"):
            registry.model(connection, 7)
        with pytest.raises(UnknownId, match="e7"):
            registry.evaluation(connection, 7)
        assert registry.model_of_search(connection, 7, 1) is None
        assert registry.evaluation_with_key(connection, "7") is None
        assert registry.newest_evaluation(connection, 7) is None


def test_evaluations_are_found_by_key_and_by_challenger(store, version, contenders, add_evaluation):
    ids = [add_evaluation(store, version, contenders[0]) for _ in range(3)]
    add_evaluation(store, version, contenders[1])
    with store.read() as connection:
        assert registry.newest_evaluation(connection, contenders[0]).id == ids[-1]
        row = registry.evaluation(connection, ids[0])
        assert registry.evaluation_with_key(connection, row.key) == row
        assert len(registry.newest_evaluations(connection, 2)) == 2
