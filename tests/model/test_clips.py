from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import InputError
from model.clips import Clips, check_pesq, judge_int8, onnx_enhancer, progress_lines, same_pesq
from model.export import ExportError, export_onnx, export_student
from model.ftjnf import FTJNF
from model.pesq_pool import PesqPool
from model.quantise import quantise
from model.score import score


def test_the_export_enhances_whole_signals_as_the_network_does(network: Callable[..., FTJNF], tmp_path: Path) -> None:
    net = network().eval()
    export_onnx(net, tmp_path / "student.onnx")
    noisy = torch.randn(2, 2, 3000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net.enhance(noisy)
    torch.testing.assert_close(onnx_enhancer(tmp_path / "student.onnx")(noisy), expected, atol=1e-5, rtol=0)


def test_pesq_of_network_and_export_is_the_same_and_of_another_network_is_not(
    network: Callable[..., FTJNF], tiny_sets, tmp_path: Path
) -> None:
    net, clips = network().eval(), Clips(None, tiny_sets.score)
    export_onnx(net, tmp_path / "student.onnx")
    found = same_pesq(net, tmp_path / "student.onnx", clips)
    assert found["clips"] == 2
    assert found["network"] > 1
    check_pesq(found, InputError)
    export_onnx(network(seed=3).eval(), tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"PESQ differs .* on a test clip"):
        check_pesq(same_pesq(net, tmp_path / "other.onnx", clips), InputError)


def test_scores_that_the_search_has_are_not_computed_again_unless_they_are_others(
    network: Callable[..., FTJNF], tiny_sets, tmp_path: Path
) -> None:
    net = network().eval()
    export_onnx(net, tmp_path / "student.onnx")
    with PesqPool(0) as pool:
        known = score(net.enhance, tiny_sets.score, pool).pesq
    for network_pesq, told in (
        (None, 2), (known, 1), (known + 0.01, 2), (np.full_like(known, np.nan), 2), (known[:1], 2),
    ):  # fmt: skip
        lines: list[str] = []
        found = same_pesq(
            net, tmp_path / "student.onnx", Clips(None, tiny_sets.score, network=network_pesq), lines.append
        )
        assert found["largest_difference"] <= 0.005
        assert found["network"] == pytest.approx(known.mean(), abs=1e-6)
        assert lines == [f"PESQ of {what} on 2 test clips at 5 SNRs" for what in ("student.onnx", "the network")][:told]


def test_long_scores_say_how_far_they_are_and_what_is_left() -> None:
    lines: list[str] = []
    times = iter([0.0, 5.0, 20.0, 24.0, 40.0, 80.0])
    progress = progress_lines(lines.append, "PESQ", lambda: next(times))
    for share in (0.05, 0.25, 0.3, 0.5, 1.0):
        progress(share)
    assert lines == ["PESQ: 25 %, 1 min 00 s left for that", "PESQ: 50 %, 40 s left for that"]


def test_int8_is_judged_by_validation_pesq(
    network: Callable[..., FTJNF], tiny_sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = tmp_path / "student.onnx", tmp_path / "student.int8.onnx"
    export_onnx(network().eval(), paths[0])
    quantise(*paths)
    clips = Clips(tiny_sets.score, None)
    monkeypatch.setattr("model.clips.ALLOWED_LOSS", 1.0)
    found = judge_int8(*paths, clips)
    assert found["kept"]
    assert np.isclose(found["loss"], found["pesq_fp32"] - found["pesq_int8"])
    monkeypatch.setattr("model.clips.ALLOWED_LOSS", found["loss"] - 1e-6)
    refused = judge_int8(*paths, clips)
    assert not refused["kept"]
    assert f"{refused['pesq_int8']:.3f} against {refused['pesq_fp32']:.3f}" in refused["why"]
    unheard = judge_int8(*paths, Clips(None, None, "the corpora are elsewhere"))
    assert (unheard["kept"], unheard["why"]) == (False, "not measured, as the corpora are elsewhere")


def test_a_folder_has_int8_only_where_it_was_allowed_and_says_why_not(
    network: Callable[..., FTJNF], tiny_sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = Clips(tiny_sets.score, tiny_sets.score)
    for allowed, kept in ((1.0, True), (-1.0, False)):
        monkeypatch.setattr("model.clips.ALLOWED_LOSS", allowed)
        folder = tmp_path / str(kept)
        export_student(network().eval(), {}, folder, clips=clips)
        card = (folder / "CARD.md").read_text()
        assert (folder / "student.int8.onnx").is_file() is kept
        assert ("was left out: validation PESQ" in card) is not kept
        assert "On the search's 2 test clips at 5 SNRs" in card


def test_a_pesq_that_differs_leaves_no_folder(
    network: Callable[..., FTJNF], tiny_sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.clips.SAME_PESQ", -1.0)
    with pytest.raises(ExportError, match="PESQ differs"):
        export_student(network().eval(), {}, tmp_path / "student", clips=Clips(None, tiny_sets.score))
    assert list(tmp_path.iterdir()) == []
