"""Random and grid search: candidates scored in parallel, pruned, and recorded fold by fold.

With `prune_margin` 0 and no limit of wall time, candidates and scores are those of scikit-learn's
RandomizedSearchCV over the union of the families' spaces, or of GridSearchCV. Beyond them, scores
are handed over at once, a search resumes, features are computed once a fold, and each worker has
one thread.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.array_types import Floats
from housing.errors import SearchFailed
from housing.records import Candidate, Score, Trial
from housing.training.candidates import FAMILIES
from housing.training.ensemble import POOL, EnsembleSelection, choose
from housing.training.families import ModelFamily
from housing.training.pruning import prune
from housing.training.sampling import Fold, Rows, folds, sample, sample_candidates, sample_forever
from housing.training.scoring import FoldData, FoldScore, Task, feature_key, prepare, score
from housing.training.search_config import SearchPlan
from housing.training.workers import in_parallel

OnScore = Callable[[Score], object]
OnTrial = Callable[[Trial], object]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The result of a search."""

    trials: tuple[Trial, ...]  # in order of their candidates
    choice: EnsembleSelection  # of candidates for the challenger
    rows: Rows  # numbers of the rows that were scored, ascending; `choice.predicted` is theirs


def run_search(
    X: pd.DataFrame,
    y: npt.ArrayLike,
    plan: SearchPlan,
    *,
    warm_starts: Sequence[Candidate] = (),
    done: Iterable[Score] = (),
    on_score: OnScore = lambda _score: None,
    on_trial: OnTrial = lambda _trial: None,
    families: Mapping[str, ModelFamily] = FAMILIES,
    dask: str = "",
) -> SearchResult:
    """Score the plan's candidates, and those of `warm_starts`, by cross-validation.

    X has shape (n, features), y (n,). Scores in `done`, of an earlier call with the same arguments,
    are not computed again; `on_score` is called with each new one, and `on_trial` with each trial,
    at once, in the calling process. A candidate that fails is a trial with an error.

    Raises SearchFailed where all trials failed, ValueError where a score of `done` belongs to
    none. A worker that is killed from outside ends the search; scores handed over stay.
    """
    rows = sample(len(X), plan)
    whole = len(rows) == len(X)
    labels = np.asarray(y, dtype=np.float64)
    search = _Search(
        X if whole else X.iloc[rows], labels if whole else labels[rows], plan, families, dask,
        on_score, on_trial,
    )  # fmt: skip
    search.take(done)
    began = time.monotonic() - search.spent
    for batch in _batches(plan, families, warm_starts):
        search.run(batch)
        took = time.monotonic() - began
        # No batch starts that would end too late: one of the same size takes as long.
        late = plan.seconds is None or took + took / search.batches > plan.seconds
        if late and not search.knows_beyond(batch):
            break
    trials = tuple(search.trials[index] for index in sorted(search.trials))
    if all(trial.error for trial in trials):
        raise SearchFailed(trials=len(trials), first=trials[0].error.rstrip("."))
    return SearchResult(trials, search.chosen(), rows)


def best(trials: Iterable[Trial]) -> Trial:
    """The trial with the lowest mean error; of equals, the first drawn."""
    return min(trials, key=lambda trial: (trial.cv_error, trial.candidate.index))


def _batches(
    plan: SearchPlan, families: Mapping[str, ModelFamily], warm_starts: Sequence[Candidate]
) -> Iterator[tuple[Candidate, ...]]:
    """Candidates that are pruned by each other; one batch, unless wall time is the limit."""
    first = sample_candidates(plan, families, warm_starts)
    yield first
    if plan.seconds is None:
        return
    more = islice(sample_forever(plan, families), plan.n_trials, None)
    shift = len(first) - plan.n_trials
    while batch := tuple(islice(more, plan.n_trials)):
        yield tuple(Candidate(d.index + shift, d.family, d.parameters) for d in batch)


@dataclass(eq=False)
class _Search:
    X: pd.DataFrame
    y: Floats
    plan: SearchPlan
    families: Mapping[str, ModelFamily]
    dask: str
    on_score: OnScore
    on_trial: OnTrial
    scores: dict[tuple[int, int], Score] = field(default_factory=dict)
    predicted: dict[tuple[int, int], Floats] = field(default_factory=dict)
    trials: dict[int, Trial] = field(default_factory=dict)
    batches: int = 0

    def __post_init__(self) -> None:
        self.folds: tuple[Fold, ...] = folds(len(self.X), self.plan)
        self.labels = [(self.y[train], self.y[test]) for train, test in self.folds]
        self.sides: dict[tuple[str, int], FoldData] = {}

    def take(self, done: Iterable[Score]) -> None:
        """Scores of an earlier call."""
        self.scores = {(each.candidate, each.fold): each for each in done}

    @property
    def spent(self) -> float:
        """Estimated seconds of wall time that the scores so far took."""
        return sum(each.seconds for each in self.scores.values()) / self.plan.workers

    def knows_beyond(self, batch: Sequence[Candidate]) -> bool:
        """Whether an earlier call has scores of a later batch."""
        return any(index > batch[-1].index for index, _ in self.scores)

    def run(self, batch: Sequence[Candidate]) -> None:
        """Score candidates, pruned by each other and by the best so far; each becomes a trial."""
        self.batches += 1
        unknown = {index for index, _ in self.scores} - {candidate.index for candidate in batch}
        if self.plan.seconds is None and unknown:
            raise ValueError(f"there is no candidate {min(unknown)} in this search")
        alive = {candidate.index: candidate for candidate in batch}
        every = range(self.plan.folds)
        rounds = [[fold] for fold in every] if self.plan.prune_margin else [list(every)]
        # Each fold's features are needed whichever candidates are left: all are computed at once.
        pairs = [(candidate, fold) for candidate in alive.values() for fold in every]
        self._prepare([self._task(*each) for each in pairs if self._lacks(*each)])
        for number, which in enumerate(rounds, start=1):
            self._score(
                [(candidate, fold) for candidate in alive.values() for fold in which], alive
            )
            if number < len(rounds):
                alive = self._going_on(alive, number)
        for candidate in alive.values():
            self._end(candidate)

    def _going_on(self, alive: Mapping[int, Candidate], count: int) -> dict[int, Candidate]:
        """The candidates that are left after `count` folds: near the best, or a family's best."""
        others = [t.candidate.index for t in self.trials.values() if not t.error and not t.stopped]
        sums = {
            index: sum(self.scores[index, fold].value for fold in range(count))
            for index in (*alive, *others)
        }
        going = {*prune(sums, self.plan.prune_margin), *self._best_of_families(alive, sums)}
        for index, candidate in alive.items():
            if index not in going:
                self._end(candidate)
        return {index: candidate for index, candidate in alive.items() if index in going}

    def _best_of_families(
        self, alive: Mapping[int, Candidate], sums: Mapping[int, float]
    ) -> Iterator[int]:
        """The best candidate of each family that has no whole trial yet, so that none is hidden."""
        whole = {t.candidate.family for t in self.trials.values() if not t.error and not t.stopped}
        for family in {candidate.family for candidate in alive.values()} - whole:
            its = [index for index, candidate in alive.items() if candidate.family == family]
            yield min(its, key=lambda index: (sums[index], index))

    def _end(self, candidate: Candidate) -> None:
        """Turn a candidate into a trial."""
        if candidate.index in self.trials:
            return
        its = [self.scores[candidate.index, f] for f in range(self.plan.folds)
               if (candidate.index, f) in self.scores]  # fmt: skip
        error = next((each.error for each in its if each.error), "")
        trial = Trial(
            candidate=candidate,
            fold_errors=() if error else tuple(each.value for each in its),
            seconds=sum(each.seconds for each in its),
            error=error,
            fold_train_errors=tuple(s.train_error for s in its if s.train_error is not None),
            stopped=not error and len(its) < self.plan.folds,
        )
        self.trials[candidate.index] = trial
        self.on_trial(trial)

    def _score(
        self, wanted: Sequence[tuple[Candidate, int]], alive: Mapping[int, Candidate]
    ) -> None:
        """Score candidates on folds unless that is done; a candidate with all scores is a trial."""
        missing = [each for each in wanted if self._lacks(*each)]
        for candidate in alive.values():
            self._end_if_whole(candidate)
        with closing(self._scored(missing)) as results:
            for result in results:
                index, fold = result.score.candidate, result.score.fold
                self.scores[index, fold] = result.score
                self.predicted[index, fold] = result.predicted
                self.on_score(result.score)
                self._end_if_whole(alive[index])

    def _lacks(self, candidate: Candidate, fold: int) -> bool:
        return (candidate.index, fold) not in self.scores

    def _end_if_whole(self, candidate: Candidate) -> None:
        if all((candidate.index, fold) in self.scores for fold in range(self.plan.folds)):
            self._end(candidate)

    def _scored(self, wanted: Sequence[tuple[Candidate, int]]) -> Any:
        """Results in order of completion. The longest start first, so that workers end together."""
        tasks = [self._task(candidate, fold) for candidate, fold in wanted]
        tasks.sort(
            key=lambda task: -self.families[task.candidate.family].cost(task.candidate.parameters)
        )
        self._prepare(tasks)
        arguments = [(task, *self._data(task)) for task in tasks]
        return in_parallel(score, arguments, self.plan.workers, self.dask)

    def _task(self, candidate: Candidate, fold: int) -> Task:
        family = self.families[candidate.family]
        task = Task(
            candidate, fold, self.plan.seed, self.plan.exclude_features, family.build,
            with_training_error=self.plan.compares_families, metric=self.plan.metric,
            most_rows=family.most_rows,
        )  # fmt: skip
        # Features that no parameter changes are the same for a whole family: computed once.
        return replace(task, key=feature_key(task))

    def _prepare(self, tasks: Sequence[Task]) -> None:
        """Compute the features that several tasks share."""
        new = {(t.key, t.fold): t for t in tasks if t.key and (t.key, t.fold) not in self.sides}
        arguments = [(task, self.X, self.y, self.folds[task.fold]) for task in new.values()]
        with closing(in_parallel(prepare, arguments, self.plan.workers, self.dask)) as results:
            for key, fold, sides in results:
                self.sides[key, fold] = sides

    def _data(self, task: Task) -> tuple[Any, ...]:
        """A fold's features where they are shared, or else its rows, and its labels."""
        place = task.key, task.fold
        if place not in self.sides:
            train, test = self.folds[task.fold]
            self.sides[place] = FoldData(self.X.iloc[train], self.X.iloc[test])
        return self.sides[place], *self.labels[task.fold]

    def chosen(self) -> EnsembleSelection:
        """Members of the challenger; predictions of scores from an earlier call are repeated."""
        plan = self.plan
        complete = [t for t in self.trials.values() if t.cv_error < float("inf")]
        complete.sort(key=lambda trial: (trial.cv_error, trial.candidate.index))
        pool = complete[: POOL if plan.ensemble and plan.ensemble_size > 1 else 1]
        missing = [
            (t.candidate, f) for t in pool for f in range(plan.folds)
            if (t.candidate.index, f) not in self.predicted
        ]  # fmt: skip
        with closing(self._scored(missing)) as results:
            for result in results:
                self._check(result)
                self.predicted[result.score.candidate, result.score.fold] = result.predicted
        tests = [test for _, test in self.folds]
        whole = {}
        for trial in pool:
            values = np.empty(len(self.y))
            for fold, test in enumerate(tests):
                values[test] = self.predicted[trial.candidate.index, fold]
            whole[trial.candidate.index] = values
        return choose(whole, self.y, tests, plan.ensemble_size, plan.metric)

    def _check(self, again: FoldScore) -> None:
        first = self.scores[again.score.candidate, again.score.fold]
        if again.score.error:
            raise SearchFailed(trials=1, first=again.score.error.rstrip("."))
        if not np.isclose(first.value, again.score.value, rtol=1e-6, atol=0):
            why = (
                f"candidate {first.candidate} scored {first.value:,.6g} before and "
                f"{again.score.value:,.6g} now"
            )
            raise SearchFailed(trials=1, first=f"{why}: the data or the libraries have changed")
