from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from data.errors import InputError
from model.engine import Engine, OnnxEngine, TorchEngine, load_engine
from model.export import export_onnx
from model.proof import probe_frames, run_batch
from model.weights import save_network


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_frames_one_by_one_are_those_of_the_whole_signal(kind, student_folder: Path, network) -> None:
    engine, frames = load_engine(student_folder, kind), probe_frames(2, 12)
    expected = run_batch(network(), frames)
    assert engine.microphones == 2
    for _ in range(2):  # a reset engine begins anew
        enhanced = np.stack([engine.frame(frame) for frame in frames])
        np.testing.assert_allclose(enhanced, expected.enhanced, atol=1e-5)
        assert engine.state is not None
        np.testing.assert_allclose(engine.state[0], expected.h, atol=1e-5)
        engine.reset()
        assert engine.state is None


@pytest.mark.parametrize("giver", ["torch", "onnx"])
@pytest.mark.parametrize("taker", ["torch", "onnx"])
def test_a_state_goes_from_one_engine_to_another(giver, taker, student_folder: Path) -> None:
    first, second, frames = load_engine(student_folder, giver), load_engine(student_folder, taker), probe_frames(2, 8)
    for frame in frames[:6]:
        first.frame(frame)
    second.state = state = first.state
    expected = first.frame(frames[6])
    np.testing.assert_allclose(second.frame(frames[6]), expected, atol=1e-5)
    second.state = state  # the frame between has not changed it
    np.testing.assert_allclose(second.frame(frames[6]), expected, atol=1e-5)
    second.state = None
    assert np.abs(second.frame(frames[6]) - expected).max() > 1e-3


def test_a_folder_is_run_by_onnxruntime_where_it_can_be(student_folder: Path, network, tmp_path: Path) -> None:
    def of(student: Path) -> type[Engine]:
        return type(load_engine(student))

    assert of(student_folder) is of(student_folder / "student.onnx") is OnnxEngine
    assert of(student_folder / "student.safetensors") is TorchEngine
    save_network(network(), tmp_path / "student.safetensors")
    assert of(tmp_path) is TorchEngine


def test_a_student_that_is_not_there_is_an_input_error(student_folder: Path, tmp_path: Path) -> None:
    for missing in (tmp_path / "none", tmp_path / "none.onnx"):
        with pytest.raises(InputError, match="no student at"):
            load_engine(missing)
    with pytest.raises(InputError, match=r"no student\.onnx nor student\.safetensors in the folder"):
        load_engine(tmp_path)
    with pytest.raises(InputError, match=r"no student\.onnx in"):
        load_engine(tmp_path, "onnx")
    with pytest.raises(InputError, match="no file for the engine torch"):
        load_engine(student_folder / "student.onnx", "torch")


def test_a_file_that_is_no_student_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "student.onnx").write_bytes(b"not ONNX")
    with pytest.raises(InputError, match="cannot be read as ONNX"):
        load_engine(tmp_path)
    value = onnx.helper.make_tensor_value_info("noisy", onnx.TensorProto.FLOAT, [1, 2, 257, 2])
    out = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [1, 2, 257, 2])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["noisy"], ["out"])], "g", [value], [out])
    other = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(other, tmp_path / "student.onnx")
    with pytest.raises(InputError, match="no student of this project"):
        load_engine(tmp_path)


def test_weights_that_are_not_finite_are_refused(network, tmp_path: Path) -> None:
    net = network()
    net.linear.bias.data[0] = float("nan")
    export_onnx(net, tmp_path / "student.onnx")
    with pytest.raises(InputError, match="not finite"):
        load_engine(tmp_path)
