from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from analysis.front import hypervolume
from model.macs import Budget, paper_gmac
from search.dimensions import Dimension
from search.ehvi import BEGIN, Ehvi, _Model
from search.proposal import Proposal
from search.proposals import Proposals
from search.space import Choice, Space


def space(**settings) -> Space:
    defaults = {"methods": ("none", "linear", "t-lstm"), "schedules": ("two-stage", "cosine"), "inits": ("slice",)}
    return Space(Budget.parse("1.0GMAC"), **{**defaults, **settings})


def pesq_of(choice: Choice) -> float:
    """A made-up score: better with more MACs and the paper's split, and for one method."""
    split = choice.f_hidden / (choice.f_hidden + choice.t_hidden)
    return 1.5 + 0.2 * math.log(paper_gmac(choice.size)) - (split - 0.75) ** 2 + 0.05 * (choice.kd_method == "t-lstm")


def run(sampler: str, n: int, seed: int = 0, of: Space | None = None, workers: int = 1) -> list[Choice]:
    """A search of n students, each told when `workers` later ones have been proposed."""
    proposals = Proposals(of or space(), None, seed, sampler)
    noise = 0.01 * np.random.default_rng(seed).standard_normal(n)
    choices: list[Choice] = []
    for number in range(n):
        choice = proposals.propose(number)
        assert choice is not None
        choices.append(choice)
        told = number - workers + 1
        if told >= 0:
            proposals.tell(told, pesq_of(choices[told]) + noise[told])
    return choices


def volume(choices: list[Choice]) -> float:
    costs = [math.log10(paper_gmac(choice.size)) for choice in choices]
    return hypervolume(costs, [pesq_of(choice) for choice in choices], 0.0, 0.5, -1.7)


def trial(number: int, choice: Choice, state: str = "COMPLETE") -> Proposal:
    return Proposal(number, choice, state, pesq_of(choice) if state in ("COMPLETE", "PAUSED") else None)  # type: ignore[arg-type]


def first(sampler: Ehvi, trials: list[Proposal], number: int | None = None) -> Choice:
    return next(sampler.candidates(len(trials) if number is None else number, trials))


@pytest.mark.parametrize("workers", [1, 8])
def test_nothing_over_budget_nothing_twice_and_a_larger_front_than_by_chance(workers: int) -> None:
    choices = run("ehvi", 25, workers=workers)
    assert all(space().budget.allows(choice.size) for choice in choices)
    assert len(set(choices)) == 25
    assert volume(choices) > volume(run("random", 50))


def test_it_learns_which_method_is_better() -> None:
    late = run("ehvi", 24)[BEGIN + 4 :]
    assert sum(choice.kd_method == "t-lstm" for choice in late) > 0.7 * len(late)


def test_priors_decide_while_scores_say_nothing_and_fade() -> None:
    """All methods score alike: below size F the priors are for none, and for slices."""
    some = {"methods": ("none", "f-lstm"), "inits": ("slice", "random"), "schedules": ("two-stage",)}
    below_f = Budget.parse("0.5GMAC")

    def proposed(priors: str, scored: int) -> list[Choice]:
        of = replace(space(**some, priors=priors), budget=below_f)
        every = list(of.configurations())
        told = [every[i] for i in np.random.default_rng(0).permutation(len(every))[:scored]]
        level = [1.5 + 0.05 * math.log(paper_gmac(one.size)) for one in told]
        trials = [Proposal(i, one, "COMPLETE", pesq) for i, (one, pesq) in enumerate(zip(told, level, strict=True))]
        return list(islice(Ehvi(of, 0).candidates(scored, trials), 20))

    def liked(choices: list[Choice]) -> int:
        return sum(choice.kd_method == "none" and choice.init == "slice" for choice in choices)

    assert liked(proposed("paper", BEGIN)) > 12
    assert liked(proposed("none", BEGIN)) < 8
    assert abs(liked(proposed("paper", 60)) - liked(proposed("none", 60))) <= 2


def test_priors_do_not_prefer_sizes() -> None:
    """A method that is thought little of below F and much from there on is the only one."""
    spaces = [space(methods=("t-lstm",), schedules=("two-stage",), priors=priors) for priors in ("paper", "none")]
    runs = [[choice.size for choice in run("ehvi", 12, of=one)] for one in spaces]
    assert runs[0] == runs[1]


def test_the_improvement_is_what_the_hypervolume_gains_where_the_score_is_certain() -> None:
    """The integral over log-MAC against the plain difference of two areas."""
    some = space(methods=("none",))
    sizes = some.feasible()
    trained = [Choice.of(size, "none", "none", "slice") for size in sizes[::15]]
    trials = [trial(i, choice) for i, choice in enumerate(trained)]
    recipes = [trained[0]]
    model = _Model(some, trials, recipes, 0.0)
    places = np.arange(len(sizes))
    gains = model.improvement(places, np.zeros(len(sizes), int))
    means = [
        float(model._process.predict(model._of([Choice.of(size, "none", "none", "slice")]))[0][0]) for size in sizes
    ]
    costs = [math.log10(paper_gmac(size)) for size in sizes]
    known = [sizes.index(choice.size) for choice in trained]
    least = min(means[i] for i in known)

    def area(members: list[int]) -> float:
        return hypervolume([costs[i] for i in members], [means[i] for i in members], 0.0, least)

    certain = np.array([area([*known, i]) - area(known) for i in range(len(sizes))])
    assert (gains >= certain - 1e-6).all()  # what is uncertain can only gain more
    assert certain[int(np.argmax(gains))] > 0.5 * certain.max()


def test_the_same_seed_number_and_trials_give_the_same_answers_whatever_was_asked_before() -> None:
    trials = [trial(i, choice) for i, choice in enumerate(run("random", 12))]
    asked = Ehvi(space(), 3)
    first(asked, trials[:8])
    answers = [list(islice(one.candidates(12, trials), 5)) for one in (asked, Ehvi(space(), 3))]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("scored", [0, 1, 2, 3])
def test_few_scores_are_enough_to_go_on(scored: int) -> None:
    choices = run("random", 14)
    states = ["COMPLETE"] * scored + ["FAIL", "PRUNED", "RUNNING", "PAUSED"] * 4
    trials = [trial(i, choice, state) for i, (choice, state) in enumerate(zip(choices, states, strict=False))]
    found = list(islice(Ehvi(space(), 0).candidates(14, trials), 5))
    assert found
    assert all(space().budget.allows(choice.size) for choice in found)


def test_equal_scores_are_no_trouble() -> None:
    trials = [Proposal(i, choice, "COMPLETE", 1.2) for i, choice in enumerate(run("random", 8))]
    assert first(Ehvi(space(), 0), trials) is not None


def test_students_in_training_keep_others_away() -> None:
    choices = run("random", 10)
    trials = [trial(i, choice) for i, choice in enumerate(choices)]
    sampler = Ehvi(space(), 0)
    best = first(sampler, trials)
    beside = first(sampler, [*trials, trial(10, best, "RUNNING")])
    assert beside.size != best.size


def test_a_student_that_waits_or_was_stopped_counts_as_behind_the_front() -> None:
    choices = run("random", 10)
    trials = [trial(i, choice) for i, choice in enumerate(choices)]
    sampler = Ehvi(space(), 0)
    best = first(sampler, trials)
    for state in ("PAUSED", "PRUNED"):
        model = _Model(space(), [*trials, trial(10, best, state)], [best], 0.0)
        expected = model._process.predict(model._of([best]))[0]
        before = _Model(space(), trials, [best], 0.0)
        assert expected < before._process.predict(before._of([best]))[0]


@pytest.mark.parametrize("state", ["PRUNED", "COMPLETE"])
def test_student_that_the_time_cut_short_counts_as_one_in_training(state: str) -> None:
    trials = [trial(i, choice) for i, choice in enumerate(run("ehvi", 10))]
    best = first(Ehvi(space(), 0), trials)
    cut = replace(trial(10, best, state), pesq=0.5 if state == "COMPLETE" else None, cut=True)
    models = [_Model(space(), [*trials, one], [best], 0.0) for one in (cut, trial(10, best, "RUNNING"))]
    means = [model._process.predict(model._of([best]))[0] for model in models]
    assert means[0] == pytest.approx(means[1])
    assert first(Ehvi(space(), 0), [*trials, cut]) != best


def test_fewer_students_are_proposed_where_students_fail() -> None:
    good = [trial(i, choice) for i, choice in enumerate(run("random", 12)) if choice.kd_method != "linear"]
    failed = [
        replace(trial(0, Choice.of(size, "linear", "two-stage", "slice"), "FAIL"), number=20 + i)
        for i, size in enumerate(space().feasible()[::20])
    ]

    def share(trials: list[Proposal]) -> float:
        found = list(islice(Ehvi(space(), 0).candidates(30, trials), 40))
        return sum(choice.kd_method == "linear" for choice in found) / len(found)

    assert share([*good, *failed]) <= share(good)


def test_an_earlier_search_stands_for_the_start_and_informs_the_first_proposal() -> None:
    earlier = [replace(trial(0, choice), number=-1 - i) for i, choice in enumerate(run("ehvi", 20))]
    proposed = [first(Ehvi(space(), seed), earlier, number=0) for seed in range(3)]
    assert all(choice.kd_method == "t-lstm" for choice in proposed)


def test_scores_by_other_settings_inform_whatever_their_level() -> None:
    earlier = [replace(trial(0, choice), number=-1 - i) for i, choice in enumerate(run("ehvi", 20))]
    own = [trial(i, choice) for i, choice in enumerate(run("random", 3, seed=5))]
    shifted = [replace(one, pesq=one.pesq + 0.5, elsewhere=True) for one in earlier if one.pesq is not None]
    assert first(Ehvi(space(), 0), [*shifted, *own], number=3).kd_method == "t-lstm"


def test_a_large_space_is_sampled_and_dimensions_are_learnt() -> None:
    large = space(
        methods=("none", "mask", "linear", "t-lstm", "multi"),
        schedules=("two-stage", "cosine", "constant"),
        inits=("slice", "random"),
        dimensions=(Dimension("lr", (1e-4, 3e-4, 1e-3, 3e-3)), Dimension("alpha", (0.1, 0.3, 0.5, 0.7))),
    )
    choices = run("ehvi", 14, of=large)
    assert len(set(choices)) == 14
    assert all(large.budget.allows(choice.size) for choice in choices)


def test_a_space_with_fewer_configurations_than_the_start_is_gone_through() -> None:
    few = space(sizes=tuple(space().feasible()[:2]), methods=("none", "linear"), schedules=("cosine",))
    proposals = Proposals(few, None, 0, "ehvi")
    found = []
    while (choice := proposals.propose(len(found))) is not None:
        proposals.tell(len(found), pesq_of(choice))
        found.append(choice)
    assert len(found) == few.count() == 4
