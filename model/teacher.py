"""The teacher: `python -m model.teacher train` trains one of any size on any corpus, `score` scores one.

The packaged teacher of the demo was trained by this very command; its recipe and scores lie beside it.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from data.array import Array
from data.cores import usable_cores
from data.errors import InputError, run_command
from data.examples import Examples, JoinedExamples
from data.files import check_target, file_digest, plain, write_json
from data.flags import CommandParser, add_data_arguments, data_plan
from data.plan import DataPlan, Sets, prepare, shortages
from data.units import duration, parse_duration
from model.allocator import keep_freed_memory
from model.epoch import EpochRecord
from model.ftjnf import FTJNF, Size
from model.macs import paper_gmac
from model.pace import epoch_seconds, time_step
from model.pesq_pool import PesqPool
from model.precision import choose_device, choose_precision
from model.score import Scores, delay_and_sum, network_enhancer, score, unprocessed
from model.slicing import DEFAULT_RULE, importance, in_order, rule_for
from model.targets import network_digest
from model.teacher_plan import decided_epochs, write_plan
from model.train import Training
from model.train_config import TrainConfig
from model.weights import load_network, save_network

PACKAGED = Path(__file__).parent / "packaged" / "teacher.safetensors"
"""The teacher of the demo corpus, with `teacher.json` beside it: recipe, seed, scores."""


NESTED_COST = 1.6
"""A step with a leading slice of random widths, in steps without."""


@dataclass(frozen=True)
class TeacherRecipe:
    """All that decides what a teacher becomes.

    Args:
        data: what it learns from.
        train: how; always the method "none".
        and_demo: from as many scenes of the demo corpus as well.
        sets: digests of the example sets by name: folders may stay and what is in them change.
        start: digest of the network it begins from, see `model.targets.network_digest`; None for random weights.
        in_order: whether its units are in order of importance, as this training or one before it was nested.
    """

    data: DataPlan
    train: TrainConfig
    and_demo: bool = False
    sets: Mapping[str, str] = field(default_factory=dict)
    start: str | None = None
    in_order: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable values; with the places of the microphones, the plan has the array's name alone."""
        return {
            "data": self.data.to_dict(),
            "array": Array.parse(self.data.array).to_dict(),
            "train": self.train.to_dict(),
            "and_demo": self.and_demo,
            "sets": dict(self.sets),
            "start": self.start,
        } | ({"in_order": True} if self.in_order else {})


def train_teacher(
    recipe: TeacherRecipe,
    train: Examples,
    val: Examples,
    out: Path,
    device: torch.device,
    *,
    start: FTJNF | None = None,
    deadline: float | None = None,
    splits: Mapping[str, Any] | None = None,
    tell: Any = print,
) -> FTJNF:
    """Trains a teacher, or goes on where an earlier run of the same recipe stopped.

    Args:
        recipe: what it is.
        train, val: made as the recipe says.
        out: the safetensors file; the state lies in `OUT.state/` until the end and stays there.
        device: where to train.
        start: weights to begin from; None for a random start from the seed.
        deadline: `time.monotonic()` at which the training ends with the epoch it is in; None for no limit.
        splits: `Sets.splits` by the name of the file in `OUT.state/` that will hold it.
        tell: called with a line after each epoch.

    Returns:
        The network of the best epoch, which is written to `out`.

    Raises:
        InputError: the training diverged, or `OUT.state/` is of another one.
    """
    config = recipe.train
    torch.manual_seed(config.seed)
    net = start if start is not None else FTJNF(config.size)
    state = state_of(out)
    training = Training(config, net, train, val, None, None, state, device, recipe.to_dict())
    for name, files in (splits or {}).items():  # now that the state is known to be of these sounds
        write_json(state / name, files)
    if training.history or training.progress.steps:
        within = f" and {training.progress.steps} steps" if training.progress.steps else ""
        tell(f"going on after epoch {len(training.history)}{within} of an earlier run")
    for record in training.history:
        _check_loss(record, state)
    for record in training:
        _check_loss(record, state)
        left = record.seconds * (config.epochs - record.epoch)
        tell(
            f"epoch {record.epoch}/{config.epochs}  loss {record.loss_train:.4f}  validation {record.loss_val_hard:.4f}"
            f"{' best' if record.best else '     '}  lr {record.lr:.1e}  {duration(record.seconds)} an epoch, "
            f"at most {duration(left)} left"
        )
        if deadline is not None and time.monotonic() + record.seconds > deadline and not record.done:
            tell("time is up")
            break
    if not any(math.isfinite(record.loss_val_hard) for record in training.history):
        raise InputError("the teacher's validation loss is not a number; try a smaller --lr or --clip-norm 5")
    best = training.best_network()
    save_network(best, out, recipe.to_dict() | {"epochs_run": len(training.history)})
    return best


def state_of(out: Path) -> Path:
    """The folder with the state of the training that ends in the file `out`."""
    return out.with_name(out.name + ".state")


def _check_loss(record: EpochRecord, state: Path) -> None:
    """Also of epochs from a checkpoint: a training that diverged stays so, however often it is started again."""
    if not math.isfinite(record.loss_train):
        raise InputError(
            f"the teacher diverged: its training loss is {record.loss_train} in epoch {record.epoch}; "
            f"delete {state} and try a smaller --lr or --clip-norm 5"
        )


def score_teacher(net: FTJNF, sets: Sets, array: Array, workers: int, device: torch.device) -> dict[str, Scores]:
    """Test scores of a network, of the unprocessed reference microphone and of delay-and-sum, on the same clips."""
    enhancers = {
        "unprocessed": unprocessed,
        "delay-and-sum": delay_and_sum(array),
        "teacher": network_enhancer(net.to(device)),
    }
    with PesqPool(workers) as pool:
        return {
            name: score(enhancer, sets.score_test, pool, device=device if name == "teacher" else "cpu", more=True)
            for name, enhancer in enhancers.items()
        }


def print_scores(scores: dict[str, Scores]) -> None:
    """A table of median PESQ by SNR."""
    first = next(iter(scores.values()))
    print(f"{'':16}{'PESQ':>6}  " + "".join(f"{snr + ' dB':>8}" for snr in first.by_snr) + "   SI-SDR   ESTOI")
    for name, one in scores.items():
        summary = one.summary()
        row = "".join(f"{value:8.2f}" for value in one.by_snr.values())
        print(f"{name:16}{one.mean:6.2f}  {row}{summary['si_sdr']:9.1f}{summary['estoi']:8.2f}", end="")
        print(f"   ({one.unscored} unscored)" if one.unscored else "")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m model.teacher", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a teacher; stopped and started again it goes on where it was")
    train.add_argument(
        "--out", type=Path, default=Path("teacher.safetensors"), help="the weights (default: %(default)s)"
    )
    train.add_argument("--size", default="C", help="F/T hidden units or a row of Table 1 (default: %(default)s)")
    train.add_argument("--epochs", type=int, default=100, help="at most (default: %(default)s, as in the paper)")
    train.add_argument("--time", metavar="90min", help="as many epochs as fit into that time, up to --epochs")
    train.add_argument("--lr", type=float, default=5e-4, help="learning rate (default: %(default)s, as in the paper)")
    train.add_argument("--lr-schedule", default="plateau", choices=("plateau", "cosine"))
    train.add_argument("--batch", type=int, default=4, help="examples a step (default: %(default)s, as in the paper)")
    train.add_argument("--clip-norm", type=float, help="largest norm of the gradient (default: no limit)")
    train.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (default: %(default)s)")
    train.add_argument(
        "--and-demo", action="store_true", help="learn from as many scenes of the demo corpus, beside those of --speech"
    )
    train.add_argument(
        "--nested",
        action="store_true",
        help="also train leading slices, so that students cut from it begin well; "
        "then finish the whole: --start with its weights, without this",
    )
    train.add_argument("--start", type=Path, metavar="FILE", help="weights to begin from (default: random)")
    judge = commands.add_parser("score", help="score a teacher on the test split")
    judge.add_argument("weights", type=Path)
    for command in (train, judge):
        add_data_arguments(command)
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--device", default="auto")
        command.add_argument("--threads", type=int, default=0, help="torch threads (default: torch's choice)")
        command.add_argument("--json", type=Path, metavar="FILE", help="also write recipe and scores there")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = _parser().parse_args(argv)
    keep_freed_memory()
    if arguments.threads < 0:
        raise InputError(f"--threads must be at least 1, or 0 for torch's choice, but is {arguments.threads}")
    if arguments.threads > 0:
        torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    plan = data_plan(arguments, DataPlan())
    array = Array.parse(plan.array)
    if arguments.json:
        check_target("--json", arguments.json)
    if arguments.command == "score":
        net, recipe = load_network(arguments.weights, array.microphones)
        sets = prepare(plan, progress=progress_line)
    else:
        check_target("--out", arguments.out)
        state = state_of(arguments.out)
        check_target("--out", state / "last.pt")
        seconds = parse_duration(arguments.time) if arguments.time else None
        if arguments.and_demo and plan.demo:
            raise InputError("--and-demo adds the demo corpus to one of your own; give --speech, --noise and --rirs")
        size = Size.parse(arguments.size, array.microphones)
        config = TrainConfig(
            size, epochs=arguments.epochs, batch=arguments.batch, lr=arguments.lr, lr_schedule=arguments.lr_schedule,
            clip_norm=arguments.clip_norm, precision=choose_precision(arguments.precision, device),
            nested=arguments.nested, init="weights" if arguments.start else "random", seed=arguments.seed,
        )  # fmt: skip
        start, made = load_network(arguments.start, array.microphones) if arguments.start else (None, {})
        if start is not None and start.size != size:
            raise InputError(f"--start {arguments.start} has size {start.size}, not {size}; pass --size {start.size}")
        digest = None if start is None else network_digest(start)
        ordered = config.nested or rule_for(made) == "leading"
        asked = TeacherRecipe(plan, config, arguments.and_demo, start=digest, in_order=ordered).to_dict()
        asked |= {"seconds": seconds}
        epochs = decided_epochs(state, asked)
        sets = prepare(plan, progress=progress_line)
        splits = {"splits.json": sets.splits}
        for line in shortages(plan, sets.manifest):
            print(line, flush=True)
        train: Examples = sets.train
        val: Examples = sets.val
        digests = sets.digests
        if arguments.and_demo:
            demo = prepare(plan.of_demo(), progress=progress_line)
            splits["splits-demo.json"] = demo.splits
            train, val = JoinedExamples(sets.train, demo.train), JoinedExamples(sets.val, demo.val)
            digests |= {f"demo {name}": digest for name, digest in demo.digests.items()}
        if start is not None and config.nested and rule_for(made) != "leading":  # what matters most must lead
            start = in_order(start, importance(start, DEFAULT_RULE, *val.batch(range(min(8, len(val))))))
        if epochs is None:
            epochs = config.epochs if seconds is None else _epochs(seconds, config, train, val, device)
            write_plan(state, asked, epochs)
        config = replace(config, epochs=epochs)
        deadline = None if seconds is None else time.monotonic() + 1.1 * seconds
        print(
            f"teacher {size}: {paper_gmac(size):.3g} GMAC (paper's axis), {config.epochs} epochs of "
            f"{len(train)} examples, {config.precision} on {device}",
            flush=True,
        )
        whole = TeacherRecipe(plan, config, arguments.and_demo, digests, digest, ordered)
        recipe = whole.to_dict()
        net = train_teacher(whole, train, val, arguments.out, device, start=start, deadline=deadline,
                            splits=splits, tell=lambda line: print(line, flush=True))  # fmt: skip
        print(f"weights: {arguments.out}")
    for line in shortages(plan, sets.manifest) if arguments.command == "score" else ():
        print(line)
    scores = score_teacher(net, sets, array, usable_cores(), device)
    print_scores(scores)
    if arguments.json:
        weights = arguments.out if arguments.command == "train" else arguments.weights
        corpus = {key: value for key, value in sets.manifest.items() if key != "folders"}  # other machines have others
        write_json(arguments.json, {
            "weights_sha256": file_digest(weights), "size": str(net.size), "recipe": recipe, "corpus": corpus,
            "test": plain({name: one.summary() for name, one in scores.items()}),
        })  # fmt: skip


def _epochs(seconds: float, config: TrainConfig, train: Examples, val: Examples, device: torch.device) -> int:
    """As many epochs as fit into some seconds here, up to the configuration's."""
    step = time_step(config.size, val, config.batch, config.precision, device)
    step *= NESTED_COST if config.nested else 1.0
    started = time.perf_counter()
    train.batch([i % len(train) for i in range(config.batch)])  # fresh scenes take a part of each step
    step += time.perf_counter() - started
    return max(1, min(config.epochs, int(seconds / epoch_seconds(step, len(train), len(val), config.batch))))


def progress_line(what: str, share: float) -> None:
    """Progress of making the data, on one line of a terminal; silent elsewhere."""
    if sys.stderr.isatty():
        print(f"\r{what}: {100 * share:3.0f} %", end="\n" if share >= 1 else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_command(main)
