"""Where a student should start: random weights against slices of a teacher by several rules, at equal steps.

    python benchmarks/start.py [--teacher FILE] [--sizes 32/8,G] [--starts random,product] [--out FILE]
    python benchmarks/start.py --starts leading --lr 5e-4 [--batch 8] [--clip-seconds 1] [--out FILE]

Trains on the demo corpus as the demo preset does (method none), and scores validation PESQ and hard loss before the
first step and after 25 %, 50 % and 100 % of the epochs. Every training's result is a line of `--out`; what stands there
already is not trained again, so that the study can be stopped, continued and extended. Baseline: `random`; the ratios
are mean losses over the baseline's, at the same size and share of the training. With other settings an
epoch has as many seconds of sound, and PESQ is of the same clips.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Report, show
from benchmarks.measure import parser as benchmark_parser
from data.errors import run_command
from data.files import file_digest
from data.plan import DataPlan, Sets, prepare
from model.allocator import keep_freed_memory
from model.ftjnf import FTJNF, Size
from model.losses import hard_loss
from model.pesq_pool import PesqPool
from model.precision import choose_precision
from model.score import network_enhancer, score
from model.slicing import RULES, cut, importance, rule_for
from model.teacher import PACKAGED
from model.train import Training
from model.train_config import TrainConfig
from model.weights import load_network
from search.preset import PRESETS

SHARES = (0.0, 0.25, 0.5, 1.0)
CPU = torch.device("cpu")


def main() -> None:
    """The command line."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument("--teacher", type=Path, default=PACKAGED, help="weights to cut from (default: the packaged)")
    parser.add_argument("--sizes", default="32/8,G", help="of the students (default: %(default)s)")
    parser.add_argument("--starts", help=f"of random, {', '.join(RULES)} (default: random and the teacher's own rule)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=12, help="of the demo's set (default: %(default)s)")
    parser.add_argument("--lr", type=float, help="learning rate (default: the demo preset's)")
    parser.add_argument("--batch", type=int, help="examples a step (default: the demo preset's)")
    parser.add_argument("--clip-seconds", type=float, help="of the training crops (default: the demo preset's)")
    parser.add_argument("--out", type=Path, default=Path("start.jsonl"), help="results (default: %(default)s)")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    preset = PRESETS["demo"]
    train = replace(preset.train, epochs=arguments.epochs, precision=choose_precision("auto", CPU))
    train = replace(train, lr=arguments.lr or train.lr, batch=arguments.batch or train.batch)
    plan = with_clips_of(preset.data, arguments.clip_seconds or preset.data.clip_seconds)
    sets = prepare(plan)
    teacher, recipe = load_network(arguments.teacher)
    starts = arguments.starts.split(",") if arguments.starts else ["random", rule_for(recipe)]
    lines = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    shared = {"teacher": file_digest(arguments.teacher)[:16], "epochs": train.epochs, "lr": train.lr,
              "batch": train.batch, "clip_seconds": plan.clip_seconds}  # fmt: skip
    for seed in range(arguments.seeds):
        for size in arguments.sizes.split(","):
            for start in starts:
                wanted = {**shared, "size": size, "start": start, "seed": seed}
                if any(all(line.get(key) == value for key, value in wanted.items()) for line in lines):
                    continue
                line = wanted | {"shares": one(teacher, replace(train, size=Size.parse(size), seed=seed), start, sets)}
                lines.append(line)
                with open(arguments.out, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    mine = [line for line in lines if all(line.get(key) == value for key, value in shared.items())]
    ratios, table = {}, {}
    for size in arguments.sizes.split(","):
        for start in starts:
            chosen = [line for line in mine if (line["size"], line["start"]) == (size, start)]
            base = [line for line in mine if (line["size"], line["start"]) == (size, "random")]
            for i, share in enumerate(SHARES):
                values = [line["shares"][i] for line in chosen]
                name = f"{size}_{start}_{100 * share:.0f}%"
                table[name] = {
                    "pesq": statistics.mean(value["pesq"] for value in values),
                    "pesq_range": [min(value["pesq"] for value in values), max(value["pesq"] for value in values)],
                    "loss": statistics.mean(value["loss"] for value in values),
                }
                if base and start != "random":
                    ratios[name] = table[name]["loss"] / statistics.mean(line["shares"][i]["loss"] for line in base)
    baselines = dict.fromkeys(ratios, "validation loss from random weights, at equal steps")
    show(Report("start", ratios, baselines, {}, {"found": table}), as_json=arguments.json)


def with_clips_of(plan: DataPlan, seconds: float) -> DataPlan:
    """The plan with other training crops, as many as have the same seconds of sound together."""
    return replace(plan, clip_seconds=seconds, train_clips=round(plan.train_clips * plan.clip_seconds / seconds))


def one(teacher: FTJNF, train: TrainConfig, start: str, sets: Sets) -> list[dict[str, float]]:
    """PESQ and hard loss of one training at `SHARES`."""
    config = replace(train, init="random" if start == "random" else "slice")
    torch.manual_seed(config.seed)
    if start == "random":
        net = FTJNF(config.size)
    else:
        net = cut(teacher, config.size, importance(teacher, start, *sets.val.batch(range(8))))
    marks = {round(share * config.epochs) for share in SHARES}
    with tempfile.TemporaryDirectory() as folder, PesqPool(0) as pool:
        found = [judge(net, sets, pool)]
        for record in Training(config, net, sets.train, sets.val, None, None, Path(folder), CPU):
            if record.epoch in marks:
                found.append(judge(net, sets, pool))
    return found


@torch.no_grad()
def judge(net: FTJNF, sets: Sets, pool: PesqPool) -> dict[str, float]:
    """Validation PESQ and hard loss of a network as it stands."""
    losses: list[Any] = []
    net.eval()
    for first in range(0, len(sets.val), 8):
        noisy, clean = sets.val.batch(range(first, min(first + 8, len(sets.val))))
        losses += [float(hard_loss(net.enhance(noisy), clean))] * len(noisy)
    return {"pesq": score(network_enhancer(net), sets.score_val, pool).mean, "loss": statistics.mean(losses)}


if __name__ == "__main__":
    run_command(main)
