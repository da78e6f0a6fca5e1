from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import model.export
from data.errors import InputError
from model.export import ExportError, export_onnx, export_student
from model.ftjnf import FTJNF, Size
from model.macs import paper_gmac, parameters
from model.proof import (
    TOLERANCE,
    Output,
    largest_difference,
    probe_frames,
    prove,
    proved,
    run_batch,
    run_onnx,
    run_stream,
    state_scale,
)
from model.weights import load_network

SIZES = [Size(8, 4), Size(8, 4, bi_freq=True), Size(6, 3, microphones=2), Size(5, 4, bi_freq=True, microphones=1)]


def network(size: Size = SIZES[0]) -> FTJNF:
    torch.manual_seed(1)
    net = FTJNF(size).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)  # the masks of a fresh network hardly depend on its input
    return net


@pytest.mark.parametrize("size", SIZES, ids=repr)
def test_the_exported_file_computes_what_the_network_computes_over_100_frames(size: Size, tmp_path: Path) -> None:
    net = network(size)
    export_onnx(net, tmp_path / "student.onnx")
    assert prove(net, tmp_path / "student.onnx", frames=100) <= TOLERANCE


def test_a_student_of_large_cell_states_is_proved(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = FTJNF(Size(8, 4, bi_freq=True)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(4)
    assert np.abs(run_batch(net, probe_frames(5)).c).max() > 40
    export_onnx(net, tmp_path / "student.onnx")
    assert prove(net, tmp_path / "student.onnx") <= TOLERANCE


def test_differences_of_cell_states_are_relative_and_all_others_are_not() -> None:
    def output(**changed: float) -> Output:
        values = {"enhanced": 50.0, "h": 0.5, "c": 0.5} | changed
        return Output(*(np.array([[[value, 0.0]]], np.float32) for value in values.values()))

    for name in ("enhanced", "h", "c"):
        exact, far = output(), output(**{name: float(getattr(output(), name).max()) + 1e-3})
        assert largest_difference([exact, exact]) == 0
        assert largest_difference([exact, far, exact]) == pytest.approx(1e-3, rel=0.01)
        assert np.isnan(largest_difference([exact, output(**{name: np.nan})]))
        assert np.isnan(largest_difference([output(**{name: np.nan}), exact]))
        assert largest_difference([exact, output(**{name: np.inf})]) == np.inf
    assert largest_difference([output(c=50.0), output(c=50.001)]) == pytest.approx(1e-3 / 50, rel=0.01)
    assert largest_difference([output(c=-50.0), output(c=-50.001)]) == pytest.approx(1e-3 / 50, rel=0.01)
    assert largest_difference([output(c=50.0, h=0.5), output(c=50.0, h=0.501)]) == pytest.approx(1e-3, rel=0.01)


def test_the_proof_compares_signals_that_are_there() -> None:
    frames = probe_frames(5)
    output = run_stream(network(), frames)
    assert frames.shape == (100, 5, 257, 2)
    assert output.enhanced.shape == (100, 257, 2)
    assert np.abs(output.enhanced[-10:]).mean() > 100 * TOLERANCE
    assert np.abs(output.h).mean() > 100 * TOLERANCE
    # the state matters: the same last frame from a fresh start gives something else
    assert np.abs(run_stream(network(), frames[-1:]).enhanced - output.enhanced[-1]).max() > 100 * TOLERANCE


def test_the_batch_is_what_the_network_gives_for_the_whole_signal() -> None:
    net, frames = network(), probe_frames(5, 4)
    noisy = torch.complex(*torch.from_numpy(frames).unbind(-1)).permute(1, 2, 0)[None]
    with torch.no_grad():
        expected = (net(noisy).mask * noisy[:, 0])[0].T.numpy()
    enhanced = run_batch(net, frames).enhanced
    np.testing.assert_allclose(enhanced[..., 0] + 1j * enhanced[..., 1], expected, atol=1e-6)


def test_a_file_of_another_network_is_not_proved(tmp_path: Path) -> None:
    net = network()
    export_onnx(net, tmp_path / "student.onnx")
    with torch.no_grad():
        net.t_lstm.weight_hh_l0.mul_(1.2)  # a difference that only the state carries
    assert prove(net, tmp_path / "student.onnx") > TOLERANCE


def test_the_file_names_its_inputs_outputs_and_framing(tmp_path: Path) -> None:
    path = tmp_path / "student.onnx"
    export_onnx(network(Size(8, 4, microphones=3)), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    state = [1, 257, 4]
    inputs = {node.name: node.shape for node in session.get_inputs()}
    outputs = {node.name: node.shape for node in session.get_outputs()}
    assert inputs == {"noisy": [1, 3, 257, 2], "h": state, "c": state}
    assert outputs == {"enhanced": [1, 257, 2], "h_out": state, "c_out": state}
    exported = onnx.load(path)
    assert exported.opset_import[0].version == 17
    told = {entry.key: json.loads(entry.value) for entry in exported.metadata_props}
    assert told["inputs"] == inputs
    assert told["outputs"] == outputs
    assert (told["frame_samples"], told["hop_samples"], told["latency_samples"]) == (512, 256, 512)
    assert told["sample_rate_hz"] == 16000
    assert told["size"] == {"f_hidden": 8, "t_hidden": 4, "bi_freq": False, "microphones": 3}


def test_export_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    net = network().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    export_onnx(net, tmp_path / "student.onnx")
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_the_folder_holds_the_student_in_every_form(tmp_path: Path) -> None:
    net, folder = network(), tmp_path / "student"
    recipe = {"data": {"speech": None, "array": "cross"}, "train": {"seed": 3}}
    proof = export_student(net, recipe, folder, origin={"trial": 7}, notes=["PESQ 1.50."])
    assert proof["largest_difference"] <= TOLERANCE
    assert {path.name for path in folder.iterdir()} == {
        "student.onnx", "student.safetensors", "student.c", "student.h", "run_frame.py", "config.json", "golden.npz",
        "CARD.md",
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["student"]  # nothing temporary is left beside it
    loaded, told = load_network(folder / "student.safetensors")
    assert told == recipe
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), net.parameters(), strict=True))
    config = json.loads((folder / "config.json").read_text())
    assert config["recipe"] == recipe
    assert config["origin"] == {"trial": 7}
    assert config["cost"]["parameters"] == parameters(net.size)
    assert config["cost"]["paper_gmac"] == paper_gmac(net.size)
    assert config["proof"] == proof
    card = (folder / "CARD.md").read_text()
    for word in ("Student 8/4", "PESQ 1.50.", "demo corpus", "array: cross", "32 ms", "GMAC/s", "MMAC/frame"):
        assert word in card


def test_the_golden_pair_is_what_another_implementation_must_reproduce(tmp_path: Path) -> None:
    export_student(network(), {}, tmp_path / "student")
    with np.load(tmp_path / "student" / "golden.npz", allow_pickle=False) as golden:
        assert golden["noisy"].shape == (100, 5, 257, 2)
        assert not golden["h"].any()
        assert not golden["c"].any()
        output = run_onnx(tmp_path / "student" / "student.onnx", golden["noisy"])
        for part, name in ((output.enhanced, "enhanced"), (output.h, "h_out"), (output.c, "c_out")):
            scale = 1 if name == "enhanced" else state_scale(golden[name])
            np.testing.assert_allclose(part, golden[name], rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("damage", [1.01, float("nan")])
def test_an_export_that_computes_something_else_leaves_nothing(
    damage: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tampered(net: FTJNF, path: Path) -> None:
        export_onnx(net, path)
        exported = onnx.load(path)
        for tensor in exported.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if values.dtype == np.float32:
                tensor.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(damage), tensor.name))
        onnx.save(exported, path)

    monkeypatch.setattr(model.export, "export_onnx", tampered)
    with pytest.raises(ExportError, match="differs from its network"):
        export_student(network(), {}, tmp_path / "student")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.export, "save_network", stop)
    with pytest.raises(KeyboardInterrupt):
        export_student(network(), {}, tmp_path / "student")
    assert list(tmp_path.iterdir()) == []


def test_what_stands_in_the_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("taken", "file"):
        with pytest.raises(InputError, match=rf"{name} is .*--out"):
            export_student(network(), {}, tmp_path / name)
    assert (tmp_path / "taken" / "mine").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export_student(network(), {}, tmp_path / "file" / "student")


def test_c_that_cannot_be_run_here_keeps_nothing_back_and_the_card_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str) -> None:
        raise OSError(f"{path}: failed to map segment from shared object")

    monkeypatch.setattr("model.c_student.ctypes.CDLL", refused)
    told = proved(export_student(network(), {}, tmp_path / "student"))
    assert told.startswith("stream, batch and ONNX agree within")
    assert "student.c was not proved, as" in told
    assert "`student.c` was not proved, as " in (tmp_path / "student" / "CARD.md").read_text()


def test_what_was_proved_is_told_and_no_more(tmp_path: Path) -> None:
    proof = {"largest_difference": 2e-7, "frames": 100, "c": "compiled and compared", "c_hops_largest_difference": 3e-8}
    pesq = {"largest_difference": 1e-4, "clips": 60, "snrs": [-5, 0, 5, 10, 15]}
    assert proved(proof | {"pesq": pesq}) == (
        "stream, batch, ONNX and C agree within 2.0e-07 over 100 frames; C on samples within 3.0e-08 of full scale; "
        "PESQ of ONNX is the network's within 1.0e-04 on 60 test clips at 5 SNRs"
    )
    proof |= {"c": "not proved, as no C compiler is here; install gcc", "c_hops_largest_difference": None}
    assert proved(proof | {"pesq": {"left_out": "no clips were given"}}) == (
        "stream, batch and ONNX agree within 2.0e-07 over 100 frames; student.c was not proved, as no C compiler is "
        "here; install gcc; PESQ was not compared, as no clips were given"
    )


def test_what_is_no_error_of_writing_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError("clips")

    monkeypatch.setattr(model.export, "same_pesq", gone)
    with pytest.raises(FileNotFoundError, match="clips"):
        export_student(network(), {}, tmp_path / "student")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    export_student(network(), {}, tmp_path / "student")
    assert (tmp_path / "student" / "student.onnx").is_file()
