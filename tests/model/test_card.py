from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from model.export import export_student
from model.ftjnf import FTJNF, Size


def test_the_program_on_the_card_enhances_as_the_network_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    net = FTJNF(Size(8, 4, microphones=3)).eval()
    export_student(net, {}, tmp_path / "student")
    monkeypatch.chdir(tmp_path / "student")
    program = re.search(r"```python\n(.*?)```", Path("CARD.md").read_text(), re.DOTALL)
    assert program is not None
    names: dict[str, object] = {}
    exec(program[1], names)
    samples = np.random.default_rng(0).standard_normal((3, 20 * 256)).astype(np.float32) * 0.1
    hops = [*np.split(samples, 20, axis=1), np.zeros((3, 256), np.float32)]
    streamed = np.concatenate(list(names["enhance"](hops)))[256:]  # type: ignore[operator]
    with torch.no_grad():
        whole = net.enhance(torch.from_numpy(samples)[None])[0].numpy()
    assert np.abs(whole).max() > 1e-3
    np.testing.assert_allclose(streamed, whole, atol=1e-5)


def test_the_card_tells_size_cost_latency_and_scores(tmp_path: Path) -> None:
    recipe = {"data": {"speech": None, "array": "cross"}}
    export_student(FTJNF(Size(8, 4, bi_freq=True, microphones=2)), recipe, tmp_path / "student", notes=["PESQ 1.50."])
    card = (tmp_path / "student" / "CARD.md").read_text()
    assert "does was not measured: nobody asked for it." in card
    for words in ("Student 8/4bi", "2 microphones", "both directions", "- PESQ 1.50.", "demo corpus", "array: cross",
                  "512 samples = 32 ms", " GMAC |", "GMAC/s = ", "MMAC/frame (16 ms)", "(1, 2, 257, 2)"):  # fmt: skip
        assert words in card


def test_the_card_tells_lineage_times_limits_and_what_was_left_out(tmp_path: Path) -> None:
    scores = {"5": {"val": 1.234, "val_interval": [1.1, 1.3], "test": 1.5, "test_interval": [1.4, 1.6]}}
    origin = {
        "teacher_sha256": "abc123",
        "trained_with": [{"package": "0.1", "git_commit": "f00"}],
        "command": "python search/run.py --budget 1.0GMAC",
        "scores": scores,
        "space": {"t_hidden": [8, 16]},
    }
    net = FTJNF(Size(8, 4, microphones=2))
    export_student(net, {"train": {"seed": 17}}, tmp_path / "student", origin=origin, sturdiness="| level | PESQ |")
    card = (tmp_path / "student" / "CARD.md").read_text()
    for words in ("abc123", "| seed | 17 |", "| trained with | ftjnf-students 0.1, commit f00 |", "| exported with | ",
                  "--budget 1.0GMAC", '{"t_hidden": [8, 16]}', "| 5 | 1.23 | 1.10 to 1.30 | 1.50 | 1.40 to 1.60 |",
                  "| level | PESQ |", "`student.int8.onnx` was left out: not measured, as no clips were given.",
                  "99th percentile", "student_hop(&state, input, output)", "## Licences", "## Limits"):  # fmt: skip
        assert words in card
