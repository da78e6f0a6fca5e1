from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch

from model.export import export_onnx
from model.ftjnf import FTJNF, Size
from model.proof import probe_frames, run_onnx
from model.quantise import quantise


def test_int8_weights_make_the_file_smaller_and_the_output_slightly_different(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_onnx(FTJNF(Size(48, 16)).eval(), tmp_path / "fp32.onnx")
    quantise(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 0.6 * (tmp_path / "fp32.onnx").stat().st_size
    made = onnx.load(tmp_path / "int8.onnx")
    types = {tensor.data_type for tensor in made.graph.initializer}
    assert onnx.TensorProto.INT8 in types
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("DynamicQuantizeLSTM") == 2
    assert {entry.key for entry in made.metadata_props} >= {"size", "window"}
    probe = probe_frames(5, 20)
    exact, coarse = (run_onnx(tmp_path / f"{name}.onnx", probe).enhanced for name in ("fp32", "int8"))
    assert 0 < np.linalg.norm(coarse - exact) < 0.05 * np.linalg.norm(exact)
