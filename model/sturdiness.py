"""How sturdy a student is: `python -m model.sturdiness STUDENT` measures what odd input does to its output.

The test scenes are heard as they are and then disturbed in one way after the other: level, clipping, broken, swapped
and displaced microphones. PESQ is compared on the same clips; for clean speech, quiet and silence the level matters.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.array import Array
from data.cores import usable_cores
from data.errors import InputError, run_command
from data.examples import SetSpec, scenes_of_clip
from data.files import check_target, plain, write_json
from data.flags import CommandParser
from data.plan import DataPlan, scenes_for_test
from data.scene import SNRS_DB, Scene, SceneSource, render
from model.disturbances import CONDITIONS, UNDISTURBED, Clip
from model.ftjnf import REFERENCE
from model.pesq_pool import PesqPool
from model.score import Enhancer, Scores, network_enhancer
from model.teacher import progress_line
from model.weights import load_network

CLIPS = 12
"""Clips that are measured unless more are asked for, each at five SNRs."""
RESAMPLES = 1000
"""Of the bootstrap."""


class _Record:
    """What one condition has given so far."""

    def __init__(self) -> None:
        self.pesq: list[list[float]] = []  # (clips, 5)
        self.powers: list[tuple[float, float]] = []  # of output and input, a clip
        self.finite = True

    def add(self, heard: Tensor, estimate: NDArray[np.float32]) -> None:
        """Notes the power of (B, M, N) input at the reference and of (B, N) output."""
        self.finite &= bool(np.isfinite(estimate).all())
        reference = heard[:, REFERENCE].double().square().mean()
        self.powers.append((float(np.square(estimate, dtype=np.float64).mean()), float(reference)))

    def levels(self) -> dict[str, float | None]:
        """Level of the output in dBFS, and against the input in dB; None where one is silent or not finite."""
        out, heard = np.mean(self.powers, axis=0)
        audible = out > 0 and math.isfinite(out)
        return {
            "level_dbfs": 10 * math.log10(out) if audible else None,
            "level_change_db": 10 * math.log10(out / heard) if audible and heard > 0 else None,
        }


def measure(
    enhancer: Enhancer,
    source: SceneSource,
    spec: SetSpec,
    pool: PesqPool,
    *,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Measures what each condition does.

    Args:
        enhancer: (B, M, N) -> (B, N), such as a network's `enhance`.
        source, spec: of a "score" set, see `data.plan.scenes_for_test`; all clips of the spec are measured.
        pool: where PESQ runs.
        progress: called with the share that is done.

    Returns:
        JSON-serialisable: `clips`, `finite` (whether every sample of every output is) and `conditions`, by name:
        `told`; `finite`; `level_dbfs` of the output, None if silent, and `level_change_db` against the input at the
        reference microphone. Where somebody talks also `pesq`, the mean over SNRs of the median over clips, and the
        number of `unscored` examples; where that can be compared `change`, against the undisturbed scenes on the
        examples that both have a score for, and its `interval`, 95 %, paired bootstrap over clips. What cannot be had
        is None, never NaN.
    """
    microphones = source.array.microphones
    conditions = {name: one for name, one in CONDITIONS.items() if one.least <= microphones}
    records = {name: _Record() for name in conditions}
    for number in range(spec.clips):

        def redrawn(array: Array, number: int = number) -> list[Scene]:
            other = SceneSource(source.speech, source.noise, source.rirs, array)
            return list(scenes_of_clip(other, spec, number))

        scenes = redrawn(source.array)
        noisy, clean = render(scenes)
        clip, reference = Clip(noisy, scenes, redrawn, source.array), clean[0].numpy()
        for place, (name, condition) in enumerate(conditions.items()):
            heard = condition.hear(clip, np.random.default_rng([spec.seed, 3, number, place]))
            with torch.inference_mode():
                estimate = enhancer(heard).cpu().numpy()
            records[name].add(heard, estimate)
            if condition.speech:
                scores = pool.scores([(reference, one) for one in estimate])
                records[name].pesq.append(scores * (len(SNRS_DB) // len(scores)))
            if progress is not None:
                progress((number + (place + 1) / len(conditions)) / spec.clips)
    tables = {name: np.asarray(record.pesq, np.float64) for name, record in records.items() if record.pesq}
    told: dict[str, dict[str, Any]] = {}
    for name, record in records.items():
        told[name] = {"told": conditions[name].told, "finite": record.finite} | record.levels()
        if name in tables:
            own = Scores(tables[name])
            told[name] |= {"pesq": own.mean, "unscored": own.unscored}
            if conditions[name].compared and name != UNDISTURBED:
                told[name] |= _compared(tables[name], tables[UNDISTURBED])
    return plain({
        "clips": spec.clips,
        "finite": all(record.finite for record in records.values()),
        "conditions": told,
    })  # fmt: skip


def _compared(scores: NDArray[np.float64], undisturbed: NDArray[np.float64]) -> dict[str, Any]:
    """Change of PESQ between (clips, 5) scores of the same clips; NaN where there is none."""
    missing = np.isnan(scores) | np.isnan(undisturbed)
    both = [np.where(missing, np.nan, table) for table in (scores, undisturbed)]
    draws = np.random.default_rng(0).integers(0, len(scores), (RESAMPLES, len(scores)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an SNR without any scored clip is NaN, and says so itself
        changed, before = (np.nanmedian(table[draws], axis=1).mean(axis=1) for table in both)
        interval = np.nanpercentile(changed - before, [2.5, 97.5])
    return {
        "change": Scores(both[0]).mean - Scores(both[1]).mean,
        "interval": [float(end) for end in interval],
    }


def sturdiness_table(values: Mapping[str, Any]) -> str:
    """What `measure` returns as a Markdown table with a line on how to read it, for `CARD.md`."""
    lines = ["| input | PESQ | change | 95 % | level out against in |", "|---|---|---|---|---|"]
    for one in values["conditions"].values():
        interval = one.get("interval") or [None, None]
        change, low, high = (_signed(value) for value in (one.get("change"), *interval))
        pesq = f"{one['pesq']:.2f}" if one.get("pesq") is not None else "none" if "pesq" in one else ""
        level = "silent" if one["level_dbfs"] is None else ""
        if one["level_change_db"] is not None:
            level = f"{one['level_change_db']:+.1f} dB"
        if not one["finite"]:
            level = "NOT FINITE"
        lines.append(f"| {one['told']} | {pesq} | {change} | {f'{low}..{high}' if low else ''} | {level} |")
    finite = "All samples of all outputs are finite." if values["finite"] else "SOME OUTPUTS ARE NOT FINITE."
    return "\n".join([
        *lines,
        "",
        f"PESQ is the mean over five SNRs of the median over {values['clips']} clips, the change that against the test "
        f"scenes as they are, with a paired bootstrap interval. Microphones are counted from 0. {finite}",
        "",
    ])  # fmt: skip


def _signed(change: float | None) -> str:
    return "" if change is None else f"{round(change, 2) + 0.0:+.2f}"  # no -0.00


def plan_of(recipe: Mapping[str, Any], demo: bool = False) -> DataPlan:
    """The data that a student was made for, as its recipe tells; the demo corpus where it tells nothing.

    Args:
        recipe: as in the metadata of its weights.
        demo: the demo corpus instead, with the student's array.

    Raises:
        InputError: the recipe is of another version, or one of its folders is not here.
    """
    told = dict(recipe.get("data") or {})
    try:
        hours = told.get("hours")
        plan = DataPlan(**(told | {"hours": tuple(hours) if hours else None, "remix": False}))
    except TypeError as error:
        raise InputError(f"the student's recipe is of another version ({error}); choose and export it anew") from None
    if demo:
        return plan.of_demo()
    gone = [str(folder) for folder in (plan.speech, plan.noise, plan.rirs) if folder and not Path(folder).is_dir()]
    if gone:
        raise InputError(
            f"the student's corpora are not here ({', '.join(gone)}); bring them back, or take the demo corpus by "
            "`python -m model.sturdiness STUDENT --demo`"
        )
    return plan


def read_flags(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's flags.

    Raises:
        InputError: no clips are asked for.
    """
    parser = CommandParser(prog="python -m model.sturdiness", description="Measures what odd input does to a student.")
    parser.add_argument("student", type=Path, help="a folder that `python analysis/choose.py` wrote")
    parser.add_argument("--clips", type=int, default=CLIPS, help="test clips, each at 5 SNRs (default: %(default)s)")
    parser.add_argument("--demo", action="store_true", help="on the demo corpus, whatever the student was trained on")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    flags = parser.parse_args(argv)
    if flags.clips < 1:
        raise InputError(f"--clips must be at least 1 but is {flags.clips}")
    return flags


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = read_flags(argv)
    if flags.json:
        check_target("--json", flags.json)
    weights = flags.student / "student.safetensors" if flags.student.is_dir() else flags.student
    net, recipe = load_network(weights)
    plan = plan_of(recipe, flags.demo)
    source, spec, _ = scenes_for_test(plan, progress=progress_line)
    if source.array.microphones != net.size.microphones:
        raise InputError(
            f"{weights} is a network for {net.size.microphones} microphones but the array {plan.array} has "
            f"{source.array.microphones}; give a student whose recipe names its array"
        )
    spec = replace(spec, clips=min(flags.clips, spec.clips))
    with PesqPool(usable_cores()) as pool:
        values = measure(network_enhancer(net), source, spec, pool, progress=partial(progress_line, "sturdiness"))
    print(sturdiness_table(values), end="")
    if flags.json:
        write_json(flags.json, values)


if __name__ == "__main__":
    run_command(main)
