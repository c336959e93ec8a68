"""The best layout for a goal, by successive halving (Jamieson and Talwalkar, AISTATS 2016).

Every shape is estimated; the most promising are simulated on the beginning of the workload; the
best of those on all of it; and the best of them is changed by a worker or two for as long as that
helps. The best of all layouts whose workers do everything, and the best of those whose workers
differ, come that far in any case: a plan says what splitting brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..scheduler.stage import role_of
from .demand import Demand
from .goals import Goal, Guess, changed
from .shapes import Shape
from .trials import Trial, Trials

OF_FAMILY = 2  # shapes that are simulated at least
SHORTLIST = 12  # shapes that are simulated at all
FINALISTS = 4  # on all of the workload


class NoPlan(Exception):
    """Nothing that was looked at does it; one sentence."""


@dataclass(frozen=True, slots=True)
class Change:
    """One worker of a role more, or fewer."""

    role: str
    by: int
    trial: Trial | None  # None: it holds at no rate


@dataclass(frozen=True, slots=True)
class Plan:
    best: Trial
    others: Sequence[Trial]  # that were tried on all of the workload, the best first
    changes: Sequence[Change]
    whole: Trial | None  # the best whose workers are alike
    split: Trial | None  # the best whose workers differ


def plan(goal: Goal, demand: Demand, found: Sequence[Shape], short: Trials, full: Trials) -> Plan:
    """Raises NoPlan. `short` has the beginning of the workload that `full` has."""
    try:
        demand.check_fits()
    except ValueError as error:
        raise NoPlan(str(error)) from error
    guesses = _possible(goal, demand, found, full.attainment)
    tried = [(one, goal.reach(short, one.shape, one)) for one in _shortlist(guesses)]
    held = [(guess.shape, trial) for guess, trial in tried if trial is not None]
    finals = [
        trial
        for shape, near in _finalists(goal, held)
        if (trial := goal.reach(full, shape, near)) is not None
    ]
    if not finals:
        raise NoPlan(_nowhere(full.attainment, len(tried)))
    whole = _improved(goal, full, [one for one in finals if not one.splits])
    split = _improved(goal, full, [one for one in finals if one.splits])
    return _plan(goal, full, finals, whole, split)


def _plan(
    goal: Goal, full: Trials, finals: Sequence[Trial], whole: Trial | None, split: Trial | None
) -> Plan:
    improved = [one for one in (whole, split) if one is not None]
    ranked = sorted({one.layout: one for one in (*finals, *improved)}.values(), key=goal.order)
    best = ranked[0]
    return Plan(best, ranked[1:], _changes(goal, full, best), whole, split)


def _possible(goal: Goal, demand: Demand, found: Sequence[Shape], attainment: float) -> list[Guess]:
    if not found:
        raise NoPlan(f"expected room for the KV of {demand.spec.name}'s requests, got none")
    guesses = [guess for shape in found if (guess := goal.guess(shape)) is not None]
    if not guesses:
        raise NoPlan(goal.lacking(found))
    kept = {guess: demand.kept_alone(guess.layout) for guess in guesses}
    if (most := max(kept.values())) < attainment:
        raise NoPlan(
            f"expected an SLO that an idle cluster keeps for {attainment:.1%} of the requests, "
            f"got one that it keeps for {most:.1%}"
        )
    return [guess for guess in guesses if kept[guess] >= attainment]


def _shortlist(guesses: Iterable[Guess]) -> list[Guess]:
    """The cheapest of each family, and the cheapest of the rest."""
    ranked = sorted(guesses, key=lambda one: one.cost)
    families: dict[tuple[str, ...], list[Guess]] = {}
    for guess in ranked:
        families.setdefault(guess.shape.family, []).append(guess)
    first = [one for family in families.values() for one in family[:OF_FAMILY]]
    rest = [one for one in ranked if one not in first]
    return [*first, *rest][: max(SHORTLIST, len(first))]


def _finalists(goal: Goal, held: Sequence[tuple[Shape, Trial]]) -> list[tuple[Shape, Trial]]:
    ranked = sorted(held, key=lambda one: goal.order(one[1]))
    chosen = ranked[:FINALISTS]
    for splits in (False, True):
        alike = [one for one in ranked if one[1].splits is splits]
        if not any(one[1].splits is splits for one in chosen):
            chosen += alike[:1]
    return chosen


def _improved(goal: Goal, full: Trials, trials: Sequence[Trial]) -> Trial | None:
    if not trials:
        return None
    best = min(trials, key=goal.order)
    while (better := goal.step(full, best)) is not None:
        best = better
    return best


def _changes(goal: Goal, full: Trials, best: Trial) -> list[Change]:
    return [
        Change(role_of(part.stages), by, goal.beside(full, best, layout))
        for place, part in enumerate(best.layout)
        for by in (-1, 1)
        if (layout := changed(best.layout, place, by)) is not None
    ]


def _nowhere(attainment: float, tried: int) -> str:
    return (
        f"expected a layout that serves {attainment:.1%} of the requests as promised, "
        f"got none among the {tried} most promising"
    )
