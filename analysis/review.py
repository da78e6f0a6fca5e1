"""The review of a search as one page that needs no network: `python analysis/review.py [RUN FOLDER]`.

The page is made from plain values (`analysis.evidence`) and the templates in `analysis/page/`. A session of a search
makes it at its end; the command makes it anew for a finished search.
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.choice import latest_search
from analysis.evidence import Evidence, gather
from analysis.importance import FEW
from analysis.listening import listening
from analysis.origin import search_clips
from analysis.registry import put_beside_search
from analysis.series import FAINT_INK, STYLES, TEACHER_COLOUR
from data.errors import InputError, run_command
from data.examples import ExampleSet
from data.files import read_json, write_atomic
from data.flags import CommandParser

PAGE = Path(__file__).parent / "page"
NAME = "review.html"


def write_review(folder: Path, evidence: Evidence) -> Path:
    """Writes `review.html` into a run folder, whole or not at all. Returns its path."""
    path = folder / NAME
    write_atomic(path, page(evidence))
    return path


def page(evidence: Evidence) -> str:
    """The page as HTML, with its script, style, sounds and pictures within."""
    students = evidence["students"]
    front = [student for student in students if student["front"]]
    several = any(student["seeds"]["val"] > 1 for student in students)
    shown = {key: value for key, value in evidence.items() if key != "scenes"}  # they stand in the page itself
    script = (PAGE / "charts.js").read_text(encoding="utf-8") + (PAGE / "review.js").read_text(encoding="utf-8")
    parts = {
        "title": _text(f"{evidence['name']}: review of a search"),
        "heading": _text(f"Search {evidence['name']}"),
        "summary": _text(f"{len(students)} students under {evidence['budget']}, {len(front)} of them on the Pareto "
                         f"front of PESQ and cost; {evidence['data']}."),
        "style": _colours() + (PAGE / "page.css").read_text(encoding="utf-8"),
        "bars": _text(_about_bars(several)),
        "quartiles": _text(_about_quartiles(several)),
        "click": _text(_about_click(evidence["tracking"])),
        "filters": _filters(students),
        "table": _table(evidence, front),
        "remarks": _list(evidence["remarks"]),
        "listening": listening(evidence),
        "time": _text(_about_time(evidence)),
        "figure3": _text("PESQ over SNR by KD method, " + (f"size {evidence['figure3']['size']}"
                         if evidence["figure3"]["size"] else "each method's best student")),
        "figure4": _text(f"PESQ at {evidence['figure4']['snr_db']:g} dB over cost by KD method"),
        "importance": _importance(evidence["importance"]),
        "footer": _text("PESQ is wide-band PESQ (ITU-T P.862.2), the mean over -5, 0, 5, 10 and 15 dB of the median "
                        "over clips; PESQ of a single clip stands at its sound."),
        "evidence": json.dumps(shown, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        "script": script,
    }  # fmt: skip
    text = (PAGE / "page.html").read_text(encoding="utf-8")
    pieces = text.split("{{")
    return pieces[0] + "".join(parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:]))


def _text(value: object) -> str:
    return html.escape(str(value))


def _colours() -> str:
    """The colours of the figures as properties that the style sheet may set anew for a dark screen."""
    colours = {name: style.colour for name, style in STYLES.items()}
    colours |= {"teacher": TEACHER_COLOUR, "unprocessed": FAINT_INK}
    return ":root {" + " ".join(f"--m-{name}: {colour};" for name, colour in colours.items()) + "}\n"


def _filters(students: Sequence[Mapping[str, Any]]) -> str:
    names = {student["method"]: student["method_name"] for student in students}
    boxes = [
        f'<label><input type="checkbox" name="method" value="{_text(method)}" checked>'
        f'<span class="swatch" style="background:var(--m-{_text(method)}, var(--ink))"></span>{_text(name)}</label>'
        for method, name in sorted(
            names.items(), key=lambda pair: list(STYLES).index(pair[0]) if pair[0] in STYLES else 9
        )
    ]
    for name, words in (("dominated", "dominated students"), ("log", "log axis")):
        boxes.append(f'<label><input type="checkbox" name="{name}" checked>{words}</label>')
    return "".join(boxes)


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>" if lines else ""


_COLUMNS = ("trial", "size", "method", "seeds", "PESQ val", "95 %", "PESQ test", "95 %", "below the input", "GMAC",
            "GMAC/s", "MMAC/frame", "ms/frame", "parameters", "schedule", "start")  # fmt: skip
_WORDS = ("size", "method", "schedule", "start")


def _table(evidence: Evidence, front: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    below = evidence["below_input"]
    for student in front:
        number = str(student["trial"])
        count = below.get("students", {}).get(number)
        scenes = "" if count is None else f"{count} of {below['of']}"
        parameters = f"{student['parameters']:,}".replace(",", "\u202f")
        cells = [number, student["size"], student["method_name"], _seeds(student),
                 _pesq(student["pesq_val"]), _ends(student["pesq_val_interval"]), _pesq(student["pesq_test"]),
                 _ends(student["pesq_test_interval"]), scenes, f"{student['gmac']:.3f}",
                 f"{student['gmac_per_s']:.3f}", f"{student['mmac_per_frame']:.2f}", _ms(evidence, number),
                 parameters, student["schedule"], student["start"]]  # fmt: skip
        rows.append(_row(cells))
    for name in ("teacher", "delay-and-sum", "unprocessed"):
        if name in evidence["beside"]:
            costs = ["", "", "", ""]
            shown = name
            if name == "teacher" and evidence["teacher"] is not None:
                teacher = evidence["teacher"]
                shown = teacher["name"]
                if teacher["gmac"] is not None:
                    costs = [f"{teacher['gmac']:.3f}", f"{teacher['gmac_per_s']:.3f}",
                             f"{teacher['mmac_per_frame']:.2f}", _ms(evidence, "teacher")]  # fmt: skip
            scores = evidence["beside"][name]
            cells = ["", shown, "", "", _pesq(scores["val"]), "", _pesq(scores["test"]), "", "", *costs, "", "", ""]
            rows.append(_row(cells, "beside"))
    head = "".join(f'<th scope="col"{_kind(name)}>{_text(name)}</th>' for name in _COLUMNS)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(cells: Sequence[str], kind: str = "") -> str:
    found = "".join(f"<td{_kind(name)}>{_text(cell)}</td>" for name, cell in zip(_COLUMNS, cells, strict=True))
    return f'<tr class="{kind}">{found}</tr>' if kind else f"<tr>{found}</tr>"


def _kind(column: str) -> str:
    return ' class="word"' if column in _WORDS else ""


def _pesq(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _ends(ends: Sequence[float] | None) -> str:
    return f"{ends[0]:.2f}..{ends[1]:.2f}" if ends else ""


def _seeds(student: Mapping[str, Any]) -> str:
    """Trainings that a student's scores are means of; on test clips those alone whose weights were still there."""
    val, test = student["seeds"]["val"], student["seeds"]["test"]
    return f"{val}, test {test}" if student["pesq_test"] is not None and test != val else str(val)


def _ms(evidence: Evidence, name: str) -> str:
    return f"{evidence['frames'][name]['p50']:.2f}" if name in evidence["frames"] else ""


def _about_click(tracking: Mapping[str, Any]) -> str:
    if not tracking["runs"]:
        return "A click shows the student's MLflow run and how to open it."
    where = ", once MLflow runs on this machine (a click tells the command)" if tracking["command"] else ""
    return f"A click opens the student's MLflow run{where}."


def _about_bars(several: bool) -> str:
    """What the bars of the first chart are; `several`: whether a student was trained by several seeds."""
    said = "bars are 95 % bootstrap intervals over clips"
    if several:
        said += (
            "; where a student was trained by several seeds its point is the mean over them, and its bar is over clips "
            "and seeds"
        )
    return f"{said}."


def _about_quartiles(several: bool) -> str:
    """What points and bars of the paper's figures are."""
    means = ", both as means over the seeds where a student was trained by several" if several else ""
    return f"Medians over validation clips, bars are quartiles{means}."


def _about_time(evidence: Evidence) -> str:
    said = (
        "Milliseconds of the network alone for a frame, run frame by frame in torch on one thread of the machine that "
        f"made this page, the median of a few dozen; a new frame comes every {evidence['frame_ms']:g} ms. Other "
        "programs on the machine slow it down. MACs are not time: the 257 steps over frequency, one after the other, "
        "weigh more than the width of a small network."
    )
    teacher = evidence["frames"].get("teacher")
    return said + (f" The teacher takes {teacher['p50']:.2f} ms." if teacher else "")


def _importance(found: Mapping[str, Any]) -> str:
    if found["why_not"]:
        return f"<p>{_text(found['why_not'][0].upper() + found['why_not'][1:])}.</p>"
    words = [
        "fANOVA (Hutter et al. 2014, as Optuna computes it): shares of the variance of validation PESQ that a forest "
        "of regression trees puts down to each dimension alone."
    ]
    if found["students"] < FEW:
        words.append(f"With {found['students']} students this means little: the shares are mostly chance.")
    parts = [f'<p class="hint">{_text(" ".join(words))}</p>', "<h3>Of PESQ as it stands</h3>", _bars(found["pesq"])]
    if found["beyond_cost"]:
        line = (
            f"A straight line over log10 GMAC explains {100 * found['explained']:.0f} % of the variance of PESQ. These "
            "are shares of the rest, in which a cheap student and a dear one can be compared."
        )
        parts += ["<h3>Of PESQ beyond what the cost explains</h3>", f'<p class="hint">{_text(line)}</p>']
        parts.append(_bars(found["beyond_cost"]))
    return "".join(parts)


def _bars(shares: Mapping[str, float]) -> str:
    rows = [
        f'<span>{_text(name)}</span><span class="bar"><span style="width:{100 * share:.1f}%"></span></span>'
        f'<span class="share">{100 * share:.0f} %</span>'
        for name, share in shares.items()
    ]
    return f'<div class="bars">{"".join(rows)}</div>'


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python analysis/review.py",
        description="Makes review.html of a finished search anew: its front, figures and sounds on one page.",
        epilog="example: python analysis/review.py runs/headset",
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="RUN", help="run folder (default: latest in ./runs)")
    parser.add_argument("--no-sound", action="store_true", help="leave out the test scenes, which need the corpora")
    return parser


def scenes_of_test(folder: Path) -> tuple[ExampleSet | None, str]:
    """The test scenes of a search, from the cache or made anew from its corpora; or None, and why not."""
    path = folder / "search.json"
    clips = search_clips(folder, read_json(path) if path.is_file() else None)
    return clips.test, "" if clips.test is not None else f"The test scenes are not to be had here: {clips.why}."


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else list(argv))
    folder = latest_search() if arguments.folder is None else arguments.folder
    if not (folder / "students.json").is_file():
        raise InputError(
            f"{folder} holds no students.json; give the run folder of a search that has finished a student"
        )
    examples, silent = (None, "Made without sound.") if arguments.no_sound else scenes_of_test(folder)
    path = write_review(folder, gather(folder, examples, silent))
    print(f"written: {path}, {path.stat().st_size / 1e6:.1f} MB" + (f"; {silent}" if silent else ""))
    try:
        put_beside_search(folder, path)
    except InputError as error:
        print(f"not put into MLflow: {error}")


if __name__ == "__main__":
    run_command(main)
