"""What a search shows: figures in its folder, the report, and the front as a table."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from analysis.evidence import gather
from analysis.plots import pareto_html, pareto_png, size_figure, snr_figure
from analysis.review import write_review
from analysis.series import SAME, size_name
from data.array import Array
from data.examples import ExampleSet
from data.files import read_json, write_atomic
from data.units import duration
from model.ftjnf import Size
from model.macs import Budget, paper_gmac
from search.beside import Beside
from search.config import SearchConfig
from search.dimensions import SETTINGS
from search.ending import Ending
from search.final import over_seeds
from search.results import Record
from search.standing import was_cut

log = logging.getLogger(__name__)

PAPER_SAYS = (
    "What the paper says of this range: its size E costs 1.11 GMAC, so at a budget of 1.0 GMAC it is out, and KD beat "
    "training without it only from size F (0.85 GMAC) upwards, not below (0 dB, section 6.2)."
)
DEMO_SAYS = (
    "These are demo scores: the speech is synthetic and the trainings last minutes. They show that the search works, "
    "not what a student can do on your data."
)


def draw(
    folder: Path, records: Sequence[Record], beside: Beside, budget: Budget, sizes: Sequence[Size], *, demo: bool
) -> list[Path]:
    """Draws the figures of validation scores; one that cannot be drawn is logged and left out. Returns their paths."""
    lines = beside.lines("validation", budget, demo, sizes)
    drawn = []
    for name, figure in (
        ("pareto.png", pareto_png),
        ("pareto.html", pareto_html),
        ("figure3.png", snr_figure),
        ("figure4.png", size_figure),
    ):
        try:
            figure(list(records), lines, folder / name)
            drawn.append(folder / name)
        except Exception:
            log.exception("%s could not be drawn", name)
    return drawn


def draw_review(folder: Path, examples: ExampleSet) -> tuple[list[Path], dict[int, float]]:
    """Makes the page that a person reviews the search with; if that fails, it is logged and left out.

    Args:
        folder: of an ended search.
        examples: the test scenes.

    Returns:
        Its path, and the median milliseconds a frame of the members of the front by number.
    """
    try:
        evidence = gather(folder, examples)
        times = {int(name): one["p50"] for name, one in evidence["frames"].items() if name.isdigit()}
        return [write_review(folder, evidence)], times
    except Exception:
        log.exception("review.html could not be made; python analysis/review.py %s tries again", folder)
        return [], {}


MARK = SAME
"""Stands behind the test PESQ of a member of the front that cannot be told from a cheaper one."""

COLUMNS = (
    "trial",
    "size",
    "parameters",
    "GMAC",
    "GMAC/s",
    "method",
    "schedule",
    "start",
    "seeds",
    "PESQ val",
    "PESQ test",
    "95 %",
)


def _row(record: Record) -> list[str]:
    ends = record.get("pesq_test_interval")
    return [
        str(record["trial"]),
        size_name(record),
        f"{record['parameters']:,}".replace(",", " "),
        f"{record['paper_gmac']:.3f}",
        f"{record['gmac_per_s']:.3f}",
        record["kd_method"],
        " ".join([record["alpha_schedule"], *_settings(record)]),
        record["init"],
        str(record["seeds"]),
        f"{record['pesq_val']:.3f}",
        f"{record['pesq_test']:.3f}{MARK * (record.get('told_apart_from_cheaper') is False)}"
        if record.get("pesq_test") is not None
        else "",
        f"{ends[0]:.2f}..{ends[1]:.2f}" if ends else "",
    ]


def _settings(record: Record) -> list[str]:
    """What was varied beside method, schedule and start, for the members that have it."""
    own = {name: record[name] for name in SETTINGS if record.get(name) is not None}
    return [f"{name}={value if isinstance(value, str) else f'{value:g}'}" for name, value in own.items()]


def _beside_rows(config: SearchConfig, beside: Beside) -> list[list[str]]:
    rows = []
    for key in ("teacher", "delay-and-sum", "unprocessed"):
        if key in beside.val:
            name, cost = key, ""
            if key == "teacher" and beside.teacher is not None:
                size = Size.parse(beside.teacher, Array.parse(config.data.array).microphones)
                name, cost = f"teacher {size}", f"{paper_gmac(size):.3f}"
            test = beside.test.get(key, {}).get("pesq")
            rows.append(["", name, "", cost, "", "", "", "", "", f"{beside.val[key]['pesq']:.3f}",
                         "" if test is None else f"{test:.3f}", ""])  # fmt: skip
    return rows


def _remarks(config: SearchConfig, records: Sequence[Record], beside: Beside, ending: Ending) -> list[str]:
    remarks = [f"The search ended because {ending.words}."]
    front = [record for record in records if record["front"]]
    noisy = beside.test.get("unprocessed", {}).get("pesq")
    several = [record for record in front if record["seeds"] > 1]
    if several:
        remarks.append(
            f"{len(several)} of the {len(front)} members of the front were trained by several seeds. Their scores are "
            "means over the seeds, and their intervals are over clips and seeds; the trial that is named, whose "
            "weights are deployed, is the seed with the best validation PESQ."
        )
    else:
        remarks.append("Every student was trained by one seed, so the intervals, over clips alone, do not say what "
                       "another seed would give; --repeat-front 2 does.")  # fmt: skip
    same = [record for record in front if record.get("told_apart_from_cheaper") is False]
    drawn = "clips and seeds" if over_seeds(front) else "clips alone"
    if same:
        remarks.append(
            f"{MARK} cannot be told from a cheaper member of the front on the same test clips, as the paired 95 % "
            f"interval over {drawn} holds zero: {_trials(same)}."
        )
    gone = [record for record in front if noisy is not None and record["pesq_test"] is None]
    if gone:
        remarks.append(
            f"{_trials(gone).capitalize()}: only other seeds' scores brought it to the "
            "front, when its weights had been removed; --keep-checkpoints all keeps them."
        )
    if ending.apart is not None:
        gain, low, high = ending.apart
        said = "apart by more than chance" if low > 0 else "NOT apart by more than chance"
        remarks.append(f"Largest and smallest member of the front are {said}: {gain:+.3f} PESQ on the same test clips, "
                       f"95 % paired bootstrap interval over {drawn} {low:+.3f}..{high:+.3f}.")  # fmt: skip
        if several and not over_seeds(front):  # all but one seed's weights are gone
            remarks.append("No member has test scores of several seeds: what another seed would change is not in that "
                           "interval.")  # fmt: skip
    if noisy is not None:
        below = [record for record in front if record["pesq_test"] is not None and record["pesq_test"] <= noisy]
        remarks.append(
            f"Below the unprocessed input: {_trials(below)}."
            if below
            else "Every member of the front is above the unprocessed input."
        )
    teacher = beside.test.get("teacher", {}).get("pesq")
    if teacher is not None:
        above = [record for record in front if record["pesq_test"] is not None and record["pesq_test"] >= teacher]
        said = (
            "As good as the teacher or better on these clips: " + ", ".join(f"trial {r['trial']}" for r in above) + "."
        )
        remarks.append(said if above else "The teacher is above all of them.")
    unscored = sum(record.get("unscored_test") or 0 for record in front)
    if unscored:
        remarks.append(f"{unscored} test clips could not be scored by PESQ and are left out.")
    if ending.cut:
        remarks.append(
            f"{ending.cut} trainings were ended early by the time budget; scores of theirs are of the epochs they had, "
            f"and --resume {config.name} trains them on."
        )
    halved = halved_students(config.folder)
    if halved:
        remarks.append(
            f"{len(halved)} students more were stopped early, as others of at most their cost scored higher after as "
            "many epochs; they have no score here (--halving off trains all to the end)."
        )
    failed = failed_students(config.folder, records)
    if failed:
        remarks.append(
            f"{len(failed)} of {len(failed) + len(records)} students failed (trial {', '.join(map(str, failed))}): "
            f"see their folders in {config.folder / 'students'}, and for what was raised the files error.txt below "
            f"{config.folder / 'ray'}."
        )
    if beside.warning is not None:
        remarks.append(beside.warning)
    remarks.append(PAPER_SAYS)
    if config.data.demo:
        remarks.append(DEMO_SAYS)
    return remarks


def _trials(records: Sequence[Record]) -> str:
    """Students by number: `trial 3, 7`."""
    return f"trial {', '.join(str(record['trial']) for record in records)}"


def halved_students(folder: Path) -> list[int]:
    """The numbers of the students that waited at a rung until the search ended.

    Args:
        folder: the run folder.
    """
    ends = {int(path.parent.name): read_json(path) for path in (folder / "students").glob("*/result.json")}
    return sorted(number for number, end in ends.items() if end.get("stopped") == "halved")


def failed_students(folder: Path, records: Sequence[Record]) -> list[int]:
    """The numbers of the students of an ended search that were begun and came to nothing.

    Args:
        folder: the run folder.
        records: the students with a score. One that the time budget stopped did not fail, whether it could be scored
            or not: beside a whole training of its configuration its score is in no record.
    """
    begun = {int(path.parent.name): path.parent for path in (folder / "students").glob("*/config.json")}
    scored = {number for record in records for number in record["trials"]}

    def was_stopped(student: Path) -> bool:
        result = student / "result.json"
        return was_cut(student) or (result.exists() and read_json(result).get("state") == "PRUNED")

    return sorted(number for number, student in begun.items() if number not in scored and not was_stopped(student))


def print_front(
    console: Console,
    config: SearchConfig,
    records: Sequence[Record],
    beside: Beside,
    ending: Ending,
    page: str,
    started: float,
) -> None:
    """Prints the front, what is to be known of it, and where to go on."""
    table = Table(title=f"Pareto front of {len(records)} students under {config.budget}", box=None, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name[0] in "tpGP9" or name == "seeds" else "left")
    for record in records:
        if record["front"]:
            table.add_row(*_row(record))
    for row in _beside_rows(config, beside):
        table.add_row(*row, style="dim")
    console.print()
    console.print(table)
    for remark in _remarks(config, records, beside, ending):
        console.print("- " + remark)
    console.print(f"\nPlots:   {config.folder / 'pareto.html'} (and .png)")
    console.print(f"MLflow:  {page}")
    console.print(f"Choose:  python analysis/choose.py {shlex.quote(str(config.folder))}")
    console.print(f"It took {duration(time.time() - started)}.")


def write_report(folder: Path, config: SearchConfig, records: Sequence[Record], beside: Beside, ending: Ending) -> Path:
    """Writes `report.md`: the front as a table and what is to be known of it. Returns its path."""
    lines = [f"# Search {config.name}: students under {config.budget}", ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    rows = [_row(record) for record in records if record["front"]] + _beside_rows(config, beside)
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", *[f"- {remark}" for remark in _remarks(config, records, beside, ending)], ""]
    lines += [
        f"{len(records)} configurations have a score; all stand in students.json. PESQ is the mean over -5, 0, 5, 10 "
        "and 15 dB of the median over clips. The front was chosen on validation clips; test clips were scored once.",
        "",
    ]
    path = folder / "report.md"
    write_atomic(path, "\n".join(lines))
    return path
