"""One student from its configuration to its validation score. Knows no Ray: the trial around it does."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from data.errors import InputError
from data.examples import ExampleSet, FreshScenes
from data.files import drop_torn_line, file_digest, plain, read_json, write_json
from data.plan import DataPlan, open_sets
from model.distill import METHODS
from model.epoch import EpochRecord
from model.ftjnf import FTJNF
from model.precision import choose_device
from model.score import Scores
from model.slicing import cut, importance, rule_for
from model.target_plan import WHOLE, TargetPlan
from model.train import Training
from model.train_config import TrainConfig
from model.weights import load_network
from search.history import read_history
from search.judge import Judge
from search.space import Choice
from search.standing import drop_standing, goes_on, keep_standing
from search.stored import teachers
from search.timing import write_span


@dataclass(frozen=True)
class StudentJob:
    """What all students of a search share.

    Args:
        students: folder of the students' folders.
        cache: root of the cache, for example sets and targets.
        data: the data plan.
        sets: `Sets.folders`.
        train: settings of every training.
        teacher: its weights file, or None.
        score_every: epochs between two scores on the way.
        gpu: whether to train on the GPU that Ray gave the trial.
        stored: what of the teacher's outputs is stored for all students.
        deadline: `time.time()` after which a student ends with its epoch; None for no limit.
        rungs: epochs of a stage after which a student is scored and reports a `rung`, see `search.halving`.
        pesq_workers: processes of each student that score it beside its training, see `search.judge`. Its epochs are
            reported one later then, but for the rungs. A kill can lose the PESQ of the epoch that is being scored, in
            the curve alone: rungs are waited for, and the kept weights are scored in the end in any case.
    """

    students: Path
    cache: Path
    data: DataPlan
    sets: dict[str, str]
    train: TrainConfig
    teacher: Path | None
    score_every: int
    gpu: bool
    stored: TargetPlan = WHOLE
    deadline: float | None = None
    rungs: tuple[int, ...] = ()
    pesq_workers: int = 0

    def folder(self, number: int) -> Path:
        """Of one student."""
        return self.students / f"{number:04d}"


def train_config(job: StudentJob, number: int, choice: Choice) -> TrainConfig:
    """The training of one student: the search's settings, the choice, and a seed of its own."""
    return replace(choice.training(job.train), seed=job.train.seed + number)


def rungs_of(rungs: Sequence[int], config: TrainConfig) -> dict[tuple[str, int], int]:
    """Where a training passes the rungs: the index of each by the stage's name and the epoch in it, from 1.

    They lie in the first stage that trains the output; before it, PESQ means nothing. In a stage that is shorter or
    longer than others they keep their shares of it.

    Args:
        rungs: epochs, as of a stage of `config.epochs`.
        config: of the training.
    """
    trains_output = METHODS[config.method].trains_output
    place, stage = next((i, one) for i, one in enumerate(config.stages) if not one.only_soft or trains_output)
    share = config.stage_epochs[place] / config.epochs
    return {(stage.name, max(1, round(share * epoch))): rung for rung, epoch in enumerate(rungs)}


def start_network(config: TrainConfig, teacher: FTJNF | None, rule: str, val: ExampleSet) -> FTJNF:
    """A slice of the teacher, or random weights; from the student's seed.

    Args:
        config: of the student's training.
        teacher: to be cut, on the CPU.
        rule: which units are kept, see `model.slicing.RULES`.
        val: examples on which units are measured.

    Raises:
        InputError: a slice without a teacher.
    """
    torch.manual_seed(config.seed)
    if config.init == "random":
        return FTJNF(config.size)
    if teacher is None:
        raise InputError("a student cannot be a slice of a teacher that is not there; pass --init random")
    noisy, clean = val.batch(range(min(4, len(val))))
    return cut(teacher, config.size, importance(teacher, rule, noisy, clean))


def run_student(
    job: StudentJob, number: int, choice: Choice, report: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Trains one student to the end, or goes on where an earlier run of it stopped, and scores its best epoch.

    Args:
        job: what all students share.
        number: of the student.
        choice: its configuration.
        report: called with a flat dict of metrics after every epoch and once at the end.

    Returns:
        The last report: `state` is COMPLETE, PRUNED where the time ended before the last stage began, or FAIL where
        PESQ could not score its output. Where `stopped` is "time" another run with more time goes on.

    Raises:
        ArithmeticError: the training diverged.
    """
    folder = job.folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "result.json").exists():
        result: dict[str, Any] = read_json(folder / "result.json")
        # who waited to the end of a session has been promoted; who was cut short goes on in one that has time, and so
        # does who was killed as it went on: its result is of before
        in_time = job.deadline is None or time.time() < job.deadline
        halved, cut_short = (result.get("stopped") == reason for reason in ("halved", "time"))
        if not (halved or (cut_short and (in_time or goes_on(folder)))):
            report(result)  # a driver that died before it heard of this
            return result
        keep_standing(folder)
    began = time.time()
    config = train_config(job, number, choice)
    write_json(folder / "config.json", {"number": number, "choice": asdict(choice), "train": config.to_dict()})
    sets = open_sets(job.data, job.sets, job.cache)
    train = sets.train.cycling(job.stored.cycle) if isinstance(sets.train, FreshScenes) else sets.train
    net, made = load_network(job.teacher) if job.teacher is not None else (None, {})
    device = choose_device("auto" if job.gpu else "cpu")
    start = start_network(config, net, rule_for(made), sets.val)  # a slice is cut on the CPU, before the teacher moves
    train_targets, val_targets = teachers(job.stored, config, net, sets, job.cache, job.train.seed, device)
    recipe = {"choice": asdict(choice), "number": number, "data": job.data.to_dict(), "sets": sets.digests}
    recipe |= job.stored.shapes(config.method) if net is not None else {}
    training = Training(config, start, train, sets.val, train_targets, val_targets, folder, device, recipe)
    seconds = 0.0
    drop_torn_line(folder / "history.jsonl")
    told = read_history(folder / "history.jsonl")
    if told:
        report(told[max(told)])  # whoever stopped the earlier run may not have heard it
    # the earlier run may have ended between an epoch's checkpoint and its report: the network is as it was then
    unscored = [one for one in training.history[-1:] if one.epoch not in told and training.progress.steps == 0]
    for record in training.history[: len(training.history) - len(unscored)]:
        _check_loss(number, record)
        seconds += record.seconds
        if record.epoch not in told:
            _tell(folder, epoch_metrics(record, seconds), report)
    rungs = rungs_of(job.rungs, config)
    before = seconds + sum(one.seconds for one in unscored)
    scored: tuple[int, Scores] | None = None
    waiting: tuple[EpochRecord, dict[str, Any], Callable[[], Scores] | None] | None = None
    stopped = ""
    with Judge(sets.score_val, device, job.pesq_workers) as judge:

        def tell() -> None:
            nonlocal scored, waiting
            if waiting is None:
                return
            (record, line, ready), waiting = waiting, None
            if ready is not None:
                scores = ready()
                if record.best:
                    scored = (record.epoch, scores)
                line |= score_metrics(scores)
            if "rung" in line:
                write_span(folder, began, seconds - before, judge.seconds)  # it may end with this report
            _tell(folder, line, report)

        for record in chain(unscored, () if training.finished else training):
            tell()  # of the epoch before, which was scored beside this one
            seconds += record.seconds
            _check_loss(number, record)
            line = epoch_metrics(record, seconds)
            rung = rungs.get((record.stage, record.epoch_in_stage))
            due = record.epoch_in_stage % job.score_every == 0 or rung is not None
            ready = judge.begin(_snapshot(training)) if record.output_trained and due and not record.done else None
            late = job.deadline is not None and time.time() > job.deadline and not record.done
            # who is stopped by the time shall not wait for another decision: it is scored as it is
            if rung is not None and not record.done and not late:
                line["rung"] = rung
            waiting = (record, line, ready)
            if ready is None or late or "rung" in line or not judge.beside:
                tell()
            if late:
                stopped = "time"
                break
        tell()
        last = training.history[-1]
        in_last_stage = last.stage == config.stages[-1].name  # only its best epoch is kept as best.safetensors
        best_epoch = max((r.epoch for r in training.history if r.best and r.stage == last.stage), default=0)
        if in_last_stage and best_epoch > 0:
            scores = scored[1] if scored is not None and scored[0] == best_epoch else judge(training.best_network())
            state = "COMPLETE" if math.isfinite(scores.mean) else "FAIL"
            result = score_metrics(scores) | {"state": state, "unscored": scores.unscored}
            digest = file_digest(folder / "best.safetensors")  # the weights themselves may be removed
            table = {"val": scores.summary(), "val_table": scores.pesq.tolist(), "weights_sha256": digest}
            write_json(folder / "scores.json", plain(table))
        else:
            result = {"state": "PRUNED"}
    result |= {"epoch": last.epoch, "best_epoch": best_epoch, "seconds": seconds, "final": True, "stopped": stopped}
    write_json(folder / "result.json", plain(result))
    drop_standing(folder)
    write_span(folder, began, seconds - before, judge.seconds)
    report(result)
    return result


def leave_halved(folder: Path) -> dict[str, Any]:
    """Says how a student stands that waits at a rung as the search ends: writes its `result.json` and returns it.

    `pesq` is the best score on its way and `best_epoch` the epoch that has it. It is no result of its configuration,
    and if the student is run again it goes on from its checkpoint.

    Args:
        folder: of the student.
    """
    told = read_history(folder / "history.jsonl")
    scored = {epoch: line["pesq"] for epoch, line in told.items() if line.get("pesq") is not None}
    best = max(scored, key=lambda epoch: (scored[epoch], -epoch), default=0)
    result = {
        "pesq": scored.get(best),
        "state": "PRUNED",
        "epoch": max(told, default=0),
        "best_epoch": best,
        "seconds": told[max(told)]["seconds"] if told else 0.0,
        "final": True,
        "stopped": "halved",
    }
    write_json(folder / "result.json", plain(result))
    return result


def _check_loss(number: int, record: EpochRecord) -> None:
    """Also of epochs from a checkpoint: a training that diverged stays so, however often it is started again."""
    if not math.isfinite(record.loss_train):
        raise ArithmeticError(f"the loss of student {number} is {record.loss_train} in epoch {record.epoch}")


def epoch_metrics(record: EpochRecord, seconds: float) -> dict[str, Any]:
    """What is reported and logged of an epoch."""
    return {
        "epoch": record.epoch,
        "stage": record.stage,
        "alpha": record.alpha,
        "lr": record.lr,
        "loss_train": record.loss_train,
        "loss_train_hard": record.loss_train_hard,
        "loss_train_soft": record.loss_train_soft,
        "loss_val_hard": record.loss_val_hard,
        "loss_val_soft": record.loss_val_soft,
        "epoch_seconds": record.seconds,
        "seconds": seconds,
    } | {f"scale_{layer}": value for layer, value in record.scales.items()}


def score_metrics(scores: Scores) -> dict[str, Any]:
    """What is reported and logged of scores; names that MLflow allows."""
    by_snr = {f"pesq_{snr.replace('-', 'minus_')}_db": value for snr, value in scores.by_snr.items()}
    return {"pesq": scores.mean} | by_snr


def _snapshot(training: Training) -> FTJNF:
    net = FTJNF(training.config.size)
    net.load_state_dict({name: tensor.cpu() for name, tensor in training.net.state_dict().items()})
    return net


def _tell(folder: Path, line: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> None:
    with open(folder / "history.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(plain(line)) + "\n")
    report(line)
