"""A promotion that waits for a person: every way in which it can end."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from housing.errors import ModelBlocked, NotPossible, UnknownId
from housing.pipeline import approval, notifications, promote
from housing.pipeline.evaluate import JudgedEvaluation, judge_against
from housing.pipeline.result import nothing_new, of_verdict
from housing.pipeline.run_context import NightlyParameters, RunContext, finish_run, start_run
from housing.pipeline.skip_check import existing_verdict, what_next
from housing.settings import Settings, load_settings
from housing.store import queries
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import approvals, evaluations, promotion_log
from housing.store.models import blocks, registry
from housing.store.models import promotion_log as promotions
from housing.store.models.promotion_log import Authorship
from housing.store.runs import lease, outbox
from tests.fixtures import dataset_operations
from tests.housing.conftest import Land
from tests.housing.pipeline.test_runs import (
    Ran,
    champion,
    count,
    must_be_in_the_backup,
    run_pipeline,
)
from tests.housing.test_notify import Receiver, over_webhook
from tests.housing.test_notify import receiver as receiver

pytestmark = pytest.mark.either_database


@pytest.fixture
def asked(store: Store, run: RunContext, land: Land, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """A first run whose promotion waits."""
    monkeypatch.setenv("HOUSING_GATE__APPROVAL", "true")
    land("a.csv")
    ran = run_pipeline(store, run, promoting=False)
    assert ran.judged.outcome == "promote", ran.judged.message
    waits = approval.request_approval(store, run.id, ran.judged, load_settings())
    assert waits.outcome == "awaiting approval"
    finish_run(store, run, of_verdict(run.id, ran.version, waits, dry_run=False))
    return ran


def status(store: Store) -> dict[str, Any]:
    with store.read() as connection:
        row = connection.execute(sa.select(approvals)).one()
    return dict(row._mapping)


def needs(store: Store) -> list[str]:
    with store.read() as connection:
        found = queries.status(connection)["needs_a_person"]
    return [
        " ".join([need["message"], *(f"`{one}`" for one in need["commands"])]) for need in found
    ]


def late(store: Store) -> None:
    """As if the time to decide were over."""
    with store.write() as connection:
        connection.execute(approvals.update().values(expires_at=approvals.c.requested_at))


def test_a_challenger_awaiting_approval_is_not_promoted_otherwise(
    store: Store, run: RunContext, asked: Ran
) -> None:
    assert champion(store) is None
    assert "does nothing" in what_next(store, load_settings())
    stands = existing_verdict(store, asked.version, load_settings())
    assert stands is not None
    assert (stands.evaluation, stands.outcome) == (asked.judged.evaluation, "awaiting approval")
    with store.read() as connection:
        (need,) = queries.status(connection)["needs_a_person"]
        shown = queries.show_run(connection, run.id)
    commands = [f"housing approve r{run.id}", f'housing reject r{run.id} --reason "..."']
    assert need["commands"] == commands
    assert shown["outcome"] == "awaiting approval"
    assert shown["approval"]["status"] == "pending"


def test_asking_twice_asks_once(store: Store, run: RunContext, asked: Ran) -> None:
    approval.request_approval(store, run.id, asked.judged, load_settings())
    assert count(store, approvals) == 1


def test_a_model_has_one_open_request(store: Store, run: RunContext, asked: Ran) -> None:
    settings = load_settings()
    lease.release(store, run.token)
    with start_run("nightly", NightlyParameters()) as second:
        judged = judge_against(
            store, second.id, asked.version, asked.challenger, settings, again=True
        )
        approval.request_approval(store, second.id, judged, settings)
        finish_run(store, second, of_verdict(second.id, asked.version, judged, dry_run=False))
    (need,) = needs(store)
    assert need.startswith(f"r{second.id} would promote m{asked.challenger}")
    decided = approval.decision_of(store, run.id)
    assert decided is not None
    assert (decided.outcome, decided.message) == (
        "superseded",
        f"m{asked.challenger} is not promoted, superseded by r{second.id}: it asks for the same "
        "model.",
    )
    with pytest.raises(NotPossible, match=f"superseded by r{second.id}"):
        approval.approve(store, settings, run.id, "go")
    assert approval.approve(store, settings, second.id, "go").outcome == "approved"


def test_approving_promotes_and_is_recorded(store: Store, run: RunContext, asked: Ran) -> None:
    decided = approval.approve(store, load_settings(), run.id, "looks right")
    assert (decided.outcome, decided.champion) == ("approved", asked.challenger)
    assert champion(store) == asked.challenger
    with store.read() as connection:
        line = promotions.history(connection)[0]
        assert queries.status(connection)["needs_a_person"] == []
    assert "approved: looks right" in line.reason
    assert (line.run, line.evaluation) == (run.id, asked.judged.evaluation)
    assert status(store)["decided_by"]
    with pytest.raises(NotPossible, match="it was approved by"):
        approval.approve(store, load_settings(), run.id, "again")
    with pytest.raises(NotPossible, match="it was approved by"):
        approval.reject(store, load_settings(), run.id, "too late")
    assert count(store, promotion_log) == 1


def test_rejecting_keeps_the_champion_and_the_next_run_requests_nothing(
    store: Store, run: RunContext, asked: Ran
) -> None:
    assert approval.reject(store, load_settings(), run.id, "not now").outcome == "rejected"
    assert champion(store) is None
    stands = existing_verdict(store, asked.version, load_settings())
    assert stands is not None
    assert "(m1, rejected)" in nothing_new(run.id, asked.version, stands).message
    with pytest.raises(NotPossible, match=r"it was rejected by .* \(not now\)"):
        approval.approve(store, load_settings(), run.id, "after all")


def test_an_undecided_request_expires_and_the_champion_stays(
    store: Store, run: RunContext, asked: Ran
) -> None:
    assert notifications.expire_approvals(store) == []
    late(store)
    with pytest.raises(NotPossible, match="it was expired"):
        approval.approve(store, load_settings(), run.id, "overslept")
    assert champion(store) is None
    assert existing_verdict(store, asked.version, load_settings()) is not None
    assert notifications.expire_approvals(store) == []  # found by the refusal already


def test_expiry_names_the_runs(store: Store, run: RunContext, asked: Ran) -> None:
    late(store)
    assert notifications.expire_approvals(store) == [run.id]
    assert status(store)["status"] == "expired"
    with store.read() as connection:
        shown = queries.show_run(connection, run.id)
    assert shown["outcome"] == "kept"
    assert shown["message"].startswith("Approval request of r")


def test_the_next_run_expires_an_undecided_request(small: Settings, land: Land) -> None:
    """Without a server and its watch too: runs from cron are enough."""
    with open_store(small) as store:
        land("a.csv")
        with start_run("nightly", NightlyParameters()) as first:
            ran = run_pipeline(store, first, promoting=False)
            waits = approval.request_approval(store, first.id, ran.judged, small)
            finish_run(store, first, of_verdict(first.id, ran.version, waits, dry_run=False))
        with start_run("nightly", NightlyParameters()):
            assert status(store)["status"] == "pending"
        late(store)
        with start_run("nightly", NightlyParameters()):
            assert status(store)["status"] == "expired"
        assert champion(store) is None
        with store.read() as connection:
            assert queries.show_run(connection, first.id)["outcome"] == "kept"


@pytest.mark.parametrize(("decision", "outcome"), [("approve", "promoted"), ("reject", "kept")])
def test_the_run_that_requested_approval_shows_the_decision(
    store: Store, run: RunContext, asked: Ran, decision: str, outcome: str
) -> None:
    getattr(approval, decision)(store, load_settings(), run.id, "seen")
    with store.read() as connection:
        shown = queries.show_run(connection, run.id)
    assert shown["outcome"] == outcome
    assert shown["champion"] == ("m1" if decision == "approve" else None)


@pytest.mark.parametrize(
    ("way", "event", "words"),
    [
        ("approve", "promoted", "is promoted, approved by"),
        ("reject", "kept", "is not promoted, rejected by"),
        ("expire", "kept", "Approval request of r"),
    ],
)
def test_a_decision_is_reported_once(
    store: Store, run: RunContext, asked: Ran, receiver: Receiver, way: str, event: str, words: str
) -> None:
    store = over_webhook(store, receiver)
    if way == "expire":
        late(store)
        notifications.expire_approvals(store)
    else:
        getattr(approval, way)(store, load_settings(), run.id, "looks right")
    notifications.expire_approvals(store)
    for _ in range(2):
        outbox.deliver(store)
    (got,) = receiver.got
    assert (got["event"], got["subject"]) == (event, f"r{run.id}")
    assert words in got["text"]


def test_a_run_that_asked_nothing_or_is_not_there(
    store: Store, run: RunContext, small: Settings
) -> None:
    with pytest.raises(NotPossible, match="requested no approval"):
        approval.approve(store, small, run.id, "why not")
    with pytest.raises(UnknownId, match="r99"):
        approval.reject(store, small, 99, "why not")


@pytest.mark.parametrize("decide", [approval.approve, approval.reject])
def test_a_decision_takes_a_reason(store: Store, run: RunContext, asked: Ran, decide: Any) -> None:
    with pytest.raises(NotPossible, match="needs a reason"):
        decide(store, load_settings(), run.id, "  ")
    assert status(store)["status"] == "pending"


def test_a_blocked_challenger_keeps_its_open_request(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    first = run_pipeline(store, run)
    land("b.csv", seed=1)
    second = run_pipeline(store, run, promoting=False)
    with store.write() as connection:  # whatever the gate says: this is about what follows
        connection.execute(evaluations.update().values(outcome="promote"))
    approval.request_approval(store, run.id, second.judged, load_settings())
    blocks.block(store, "m", second.challenger, Authorship("test", "looks odd"))
    (need,) = needs(store)
    assert f"`housing unblock m{second.challenger}`" in need
    assert f"`housing reject r{run.id} --reason" in need
    assert "housing approve" not in need
    with pytest.raises(ModelBlocked, match="looks odd"):
        approval.approve(store, load_settings(), run.id, "go")
    assert (status(store)["status"], champion(store)) == ("pending", first.challenger)
    blocks.unblock(store, "m", second.challenger, Authorship("test", "it was right"))
    assert f"`housing approve r{run.id}`" in needs(store)[0]
    assert approval.approve(store, load_settings(), run.id, "go").outcome == "approved"
    assert champion(store) == second.challenger


@pytest.mark.system
def test_after_a_change_of_champion_the_comparison_is_repeated(
    store: Store, run: RunContext, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("a.csv")
    first = run_pipeline(store, run)
    land("b.csv", seed=1)
    second = run_pipeline(store, run, promoting=False)
    asked = JudgedEvaluation(
        second.judged.evaluation, second.challenger, first.challenger, "promote", "Yes."
    )
    approval.request_approval(store, run.id, asked, load_settings())
    land("c.csv", seed=2)
    third = run_pipeline(store, run, promoting=False)
    registry.change_champion(
        store, registry.Change("promote", third.challenger, first.challenger, "test", "meanwhile")
    )
    before = count(store, evaluations)
    decided = approval.approve(store, load_settings(), run.id, "go")
    assert count(store, evaluations) == before + 1
    row = status(store)
    with store.read() as connection:
        again = registry.evaluation(connection, row["reevaluation"])
    assert (again.challenger, again.champion) == (second.challenger, third.challenger)
    if again.outcome == "promote":
        assert (decided.outcome, champion(store)) == ("approved", second.challenger)
    else:
        assert (decided.outcome, champion(store)) == ("superseded", third.challenger)
        assert "the champion has changed since" in decided.message


def test_an_approval_that_was_cut_off_before_its_promotion_is_still_open(
    store: Store, run: RunContext, asked: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "change_champion_in", dies)
        with pytest.raises(KeyboardInterrupt):
            approval.approve(store, load_settings(), run.id, "go")
    assert (status(store)["status"], champion(store)) == ("pending", None)
    assert f"`housing approve r{run.id}`" in needs(store)[0]
    approval.approve(store, load_settings(), run.id, "go on")
    assert champion(store) == asked.challenger


def test_of_two_simultaneous_decisions_only_one_succeeds(
    store: Store, run: RunContext, asked: Ran
) -> None:
    ends: list[str] = []
    ready = threading.Barrier(2)

    def decide(how: Any, why: str) -> None:
        ready.wait()
        try:
            ends.append(how(store, load_settings(), run.id, why).outcome)
        except NotPossible:
            ends.append("refused")

    threads = [
        threading.Thread(target=decide, args=(how, why))
        for how, why in ((approval.approve, "yes"), (approval.reject, "no"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) in (["approved", "refused"], ["refused", "rejected"])
    assert champion(store) == (asked.challenger if "approved" in ends else None)


def test_an_approved_challenger_is_backed_up_before_its_promotion(
    store: Store, run: RunContext, asked: Ran
) -> None:
    """Model, golden rows, segments, sides and calibration can be read from the backup alone."""
    approval.approve(store, load_settings(), run.id, "go")
    must_be_in_the_backup(store, asked.challenger)


def test_a_rollback_while_an_approval_waits_compares_with_the_champion_in_force(
    store: Store, run: RunContext, land: Land
) -> None:
    made = []
    for number, name in enumerate("abc"):
        land(f"{name}.csv", seed=number)
        made.append(run_pipeline(store, run, promoting=False))
        if number < 2:
            expected = champion(store)
            change = registry.Change("promote", made[-1].challenger, expected, "test", "forced")
            registry.change_champion(store, change)
    third = made[-1]
    asked = JudgedEvaluation(
        third.judged.evaluation, third.challenger, made[1].challenger, "promote", "Yes."
    )
    approval.request_approval(store, run.id, asked, load_settings())
    promote.roll_back(store, None, "worse in the field")
    decided = approval.approve(store, load_settings(), run.id, "go")
    with store.read() as connection:
        again = registry.evaluation(connection, status(store)["reevaluation"])
    assert (again.challenger, again.champion) == (third.challenger, made[0].challenger)
    expected = third.challenger if again.outcome == "promote" else made[0].challenger
    assert (decided.champion, champion(store)) == (expected, expected)
    stands = existing_verdict(store, third.version, load_settings())
    assert stands is not None  # no run asks again
    assert stands.evaluation == again.id


def test_a_batch_that_was_withdrawn_is_not_approved(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    first = run_pipeline(store, run)
    land("b.csv", seed=1)
    second = run_pipeline(store, run, promoting=False)
    waits = JudgedEvaluation(
        second.judged.evaluation, second.challenger, first.challenger, "promote", "Yes."
    )
    approval.request_approval(store, run.id, waits, load_settings())
    dataset_operations.withdraw(store, 2, reason="wrong unit")
    with pytest.raises(NotPossible, match=r"trained on b2, taken out .* dataset restore b2"):
        approval.approve(store, load_settings(), run.id, "go")
    assert champion(store) == first.challenger
    (need,) = needs(store)
    assert "but it was trained on b2, taken out of the dataset since; " in need
    assert "`housing dataset restore b2 --reason" in need
    assert "housing approve" not in need
    datasets.restore(store, 2, reason="it was right")
    assert "housing approve" in needs(store)[0]
    assert approval.approve(store, load_settings(), run.id, "go").outcome == "approved"


def test_a_run_that_promotes_answers_what_was_asked_before(
    store: Store, run: RunContext, asked: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_GATE__APPROVAL", "false")
    approval.promote_or_request(store, run, asked.judged, load_settings())
    assert (champion(store), status(store)["status"]) == (asked.challenger, "approved")
    with store.read() as connection:
        assert queries.status(connection)["needs_a_person"] == []


def test_approving_a_model_that_is_champion_already_changes_nothing(
    store: Store, run: RunContext, asked: Ran
) -> None:
    """Promoted without a question meanwhile, e.g. because the policy asks no longer."""
    change = registry.Change("promote", asked.challenger, None, "test", "meanwhile")
    registry.change_champion(store, change)
    decided = approval.approve(store, load_settings(), run.id, "go")
    assert (decided.outcome, champion(store)) == ("superseded", asked.challenger)
    assert "is the champion already" in decided.message
    assert count(store, promotion_log) == 1
