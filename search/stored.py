"""The teacher's outputs for all students of a search: what of them is stored, told and made before the first one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from data.examples import ExampleSet
from data.plan import Sets
from data.units import amount
from model.distill import METHODS
from model.fresh_targets import FreshTargets, fresh_folder
from model.ftjnf import FTJNF, Size
from model.schedule import SCHEDULES
from model.stft import frames
from model.target_plan import POSITION_SETS, TargetPlan, layers_of, plan_targets
from model.target_room import drop_oldest, in_use
from model.targets import Teacher, TeacherBeside, build_targets, targets_folder
from model.train_config import TrainConfig
from search.config import SearchConfig


def plan_of(config: SearchConfig, teacher: Size | None, sets: Sets) -> TargetPlan:
    """What of the teacher's outputs is stored: the same in every session of a search, as no speed decides on it.

    Args:
        config: of the search.
        teacher: its size; None without one.
        sets: of the search.
    """
    if teacher is None or not _stores(config):
        return TargetPlan(())
    epochs = max(len(SCHEDULES[name].stages) for name in config.schedules) * config.train.epochs
    return plan_targets(
        teacher, config.methods, config.train.gram.positions, frames(int(sets.val.lengths[0])), len(sets.train),
        len(sets.val), config.cache_size, fresh_epochs=None if isinstance(sets.train, ExampleSet) else epochs,
    )  # fmt: skip


def _stores(config: SearchConfig) -> bool:
    """Whether any student may read stored outputs: those of the other Gram forms have the teacher beside them."""
    forms = {one.name: one.options for one in config.dimensions}.get("gram_form", ())
    return config.train.gram.form == "positions" or "positions" in forms


def in_words(config: SearchConfig, plan: TargetPlan) -> str | None:
    """A line on what is stored; None where no student learns from a teacher's stored outputs."""
    learning = [name for name in config.methods if METHODS[name].layers]
    without = [name for name in learning if not plan.holds(name)]
    if not learning or not _stores(config):
        return None
    bounds = []
    if plan.cycle is not None:
        turns = "one epoch come again" if plan.cycle == 1 else f"{plan.cycle} epochs take turns"
        bounds.append(f"the scenes of {turns} in all of a student's epochs")
    if plan.position_sets < POSITION_SETS:
        bounds.append(f"a clip has {plan.position_sets} of {POSITION_SETS} sets of positions")
    if without:
        bounds.append(
            f"the teacher runs in every step of the students with {', '.join(without)}, which takes several times as "
            "long"
        )
    what = "Teacher's outputs"
    if plan.layers:
        what += f": {amount(plan.bytes)} on disk, computed once for all students"
    if not bounds:
        return f"{what}."
    return (
        f"{what}; as --cache-size is {amount(config.cache_size)}, {'; '.join(bounds)}. A larger --cache-size or fewer "
        "--train-clips change that."
    )


def make_targets(
    config: SearchConfig, plan: TargetPlan, net: FTJNF, sets: Sets, cache: Path, device: torch.device
) -> ExitStack:
    """Makes room for the teacher's outputs, and computes those of fixed sets while this machine's cores are free.

    On a cluster the students compute them, as those of fresh scenes everywhere.

    Args:
        config: of the search.
        plan: what is stored.
        net: the teacher.
        sets: of the search.
        cache: root of the caches.
        device: where the teacher runs.

    Returns:
        What keeps other searches from dropping them, until it is closed or forgotten.
    """
    held = ExitStack()
    if not plan.layers:
        return held
    gram, seed, precision = replace(config.train.gram, form="positions"), config.train.seed, config.train.precision
    folder = cache / "targets"
    fixed = [(sets.val, 1)]
    mine: set[Path] = set()
    if isinstance(sets.train, ExampleSet):
        fixed.append((sets.train, plan.position_sets))
    else:
        mine.add(fresh_folder(net, sets.train, plan.layers, gram, seed, precision, folder, plan.cycle))
    for examples, position_sets in fixed:
        mine.add(
            targets_folder(
                net, examples, plan.layers, gram, folder, seed=seed, precision=precision, position_sets=position_sets
            )[0]
        )
    for one in mine:
        held.enter_context(in_use(one))
    drop_oldest(folder, plan.bytes, config.cache_size, mine)
    if config.address is None:
        for examples, position_sets in fixed:
            build_targets(
                net, examples, plan.layers, gram, folder, seed=seed, precision=precision, device=device,
                position_sets=position_sets,
            )  # fmt: skip
    return held


def teachers(
    plan: TargetPlan, config: TrainConfig, net: FTJNF | None, sets: Sets, cache: Path, seed: int, device: torch.device
) -> tuple[Teacher | None, Teacher | None]:
    """Where a student's training and validation get their targets: stored ones are computed by whoever comes first.

    Only for what is not stored, and for the Gram forms that need whole layers, the teacher runs beside each step.

    Args:
        plan: what is stored.
        config: of the student's training.
        net: the teacher; None without one.
        sets: of the search.
        cache: root of the caches.
        seed: of the search; the positions are the same for all students.
        device: where the teacher runs.
    """
    layers = layers_of([config.method])
    if net is None or not layers:
        return None, None
    net = net.to(device)
    if config.gram.form != "positions" or not plan.holds(config.method):
        beside = TeacherBeside(net, layers, config.gram, seed, config.precision)
        return beside, beside
    folder = cache / "targets"

    def cached(examples: ExampleSet, position_sets: int) -> Teacher:
        return build_targets(
            net, examples, plan.layers, config.gram, folder, seed=seed, precision=config.precision, device=device,
            position_sets=position_sets,
        ).only(layers)  # fmt: skip

    val = cached(sets.val, 1)
    if isinstance(sets.train, ExampleSet):
        return cached(sets.train, plan.position_sets), val
    store = fresh_folder(net, sets.train, plan.layers, config.gram, seed, config.precision, folder, plan.cycle)
    fresh = FreshTargets(net, plan.layers, config.gram, seed, config.precision, store, plan.cycle)
    return fresh.only(layers), val
