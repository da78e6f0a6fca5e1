from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from model.c_source import c_compiler, write_c
from model.export import export_onnx
from model.frame_time import engines, frame_times, onnx_frame, summary, torch_frame
from model.ftjnf import FTJNF
from model.proof import probe_frames, run_stream


def test_what_is_timed_is_the_student_with_its_state_carried_on(network: Callable[..., FTJNF], tmp_path: Path) -> None:
    net, probe = network().eval(), probe_frames(2, 10)
    export_onnx(net, tmp_path / "student.onnx")
    expected = run_stream(net, probe).enhanced
    onnx, torch_ = onnx_frame(tmp_path / "student.onnx"), torch_frame(net)
    for frame, want in zip(probe, expected, strict=True):
        np.testing.assert_allclose(np.asarray(onnx(frame))[0], want, atol=1e-5)
        got = torch_(frame)
        assert isinstance(got, torch.Tensor)
        np.testing.assert_allclose(torch.view_as_real(got)[0, :, 0].numpy(), want, atol=1e-5)


def test_every_engine_that_is_there_is_timed_with_one_thread(network: Callable[..., FTJNF], tmp_path: Path) -> None:
    net = network().eval()
    export_onnx(net, tmp_path / "student.onnx")
    write_c(net, tmp_path)
    runs = engines(net, tmp_path)
    assert set(runs) == {"torch", "onnx"} | ({"c"} if c_compiler() else set())
    threads = torch.get_num_threads()
    seen: list[int] = []
    runs["watch"] = lambda frame: seen.append(torch.get_num_threads())
    told = summary(frame_times(runs, probe_frames(2, 6), rounds=2, warm_up=1))
    assert set(seen) == {1}
    assert torch.get_num_threads() == threads
    assert told["frames"] == 12
    for values in told["engines"].values():
        assert 0 < values["p50_ms"] <= values["p99_ms"]
        assert np.isclose(values["share_of_hop"], values["p50_ms"] / 16)


@pytest.mark.skipif(c_compiler() is None, reason="no C compiler is here")
def test_a_compiler_that_does_not_know_this_machine_builds_c_for_any(
    network: Callable[..., FTJNF], tmp_path: Path
) -> None:
    export_onnx(network().eval(), tmp_path / "student.onnx")
    write_c(network().eval(), tmp_path)
    assert set(engines(network().eval(), tmp_path, {"c": ("-march=none",)})) == {"torch", "onnx", "c_portable"}
    (tmp_path / "student.c").write_text("no C")
    assert set(engines(network().eval(), tmp_path)) == {"torch", "onnx"}
