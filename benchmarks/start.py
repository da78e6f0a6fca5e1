"""Where a student should start: random weights against slices of a teacher by several rules, at equal steps.

    python benchmarks/start.py [--teacher FILE] [--sizes 32/8,G] [--starts random,product] [--out FILE]

Trains on the demo corpus as the demo preset does (method none), and scores validation PESQ and hard loss before the
first step and after 25 %, 50 % and 100 % of the epochs. Every training's result is a line of `--out`; what stands there
already is not trained again, so that the study can be stopped, continued and extended. Baseline: `random`; the ratios
are mean losses over the baseline's, at the same size and share of the training.
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
from data.plan import Sets, prepare
from model.allocator import keep_freed_memory
from model.ftjnf import FTJNF, Size
from model.losses import hard_loss
from model.pesq_pool import PesqPool
from model.precision import choose_precision
from model.score import network_enhancer, score
from model.slicing import RULES, cut, importance, rule_for
from model.teacher import PACKAGED
from model.train import Training
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
    parser.add_argument("--out", type=Path, default=Path("start.jsonl"), help="results (default: %(default)s)")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    sets = prepare(PRESETS["demo"].data)
    teacher, recipe = load_network(arguments.teacher)
    starts = arguments.starts.split(",") if arguments.starts else ["random", rule_for(recipe)]
    lines = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    keys = ("teacher", "size", "start", "seed", "epochs", "lr")
    lr = arguments.lr or PRESETS["demo"].train.lr
    for seed in range(arguments.seeds):
        for size in arguments.sizes.split(","):
            for start in starts:
                wanted = dict(zip(keys, (arguments.teacher.name, size, start, seed, arguments.epochs, lr), strict=True))
                if any(all(line[key] == value for key, value in wanted.items()) for line in lines):
                    continue
                line = wanted | {"shares": one(teacher, Size.parse(size), start, seed, arguments.epochs, lr, sets)}
                lines.append(line)
                with open(arguments.out, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    mine = [line for line in lines if line["teacher"] == arguments.teacher.name and line["epochs"] == arguments.epochs]
    ratios, table = {}, {}
    for size in arguments.sizes.split(","):
        for start in starts:
            chosen = [line for line in mine if (line["size"], line["start"], line["lr"]) == (size, start, lr)]
            base = [line for line in mine if (line["size"], line["start"], line["lr"]) == (size, "random", lr)]
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


def one(
    teacher: FTJNF, size: Size, start: str, seed: int, epochs: int, lr: float, sets: Sets
) -> list[dict[str, float]]:
    """PESQ and hard loss of one training at `SHARES`."""
    preset = PRESETS["demo"].train
    config = replace(
        preset, size=size, epochs=epochs, lr=lr, precision=choose_precision("auto", CPU), seed=seed,
        init="random" if start == "random" else "slice",
    )  # fmt: skip
    torch.manual_seed(seed)
    if start == "random":
        net = FTJNF(size)
    else:
        net = cut(teacher, size, importance(teacher, start, *sets.val.batch(range(8))))
    marks = {round(share * epochs) for share in SHARES}
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
