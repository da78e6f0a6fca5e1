from __future__ import annotations

import pytest
import torch

from data.errors import InputError
from model.precision import arithmetic, choose_device, choose_precision

CPU = torch.device("cpu")


def test_devices_that_are_not_here_are_refused():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda")
    for name in ("toaster", "cuda:99", ""):
        with pytest.raises(InputError, match=rf"device '{name}' cannot be used here .* try cpu"):
            choose_device(name)


def test_unknown_precision_lists_the_known_ones():
    with pytest.raises(InputError, match=r"precision 'fp16' is not known; choose from auto, fp32, bf16"):
        choose_precision("fp16", CPU)


@pytest.mark.parametrize(("supported", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_automatic_precision_is_bf16_where_the_processor_has_units_for_it(monkeypatch, supported, chosen):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported)
    assert choose_precision("auto", CPU) == chosen
    assert choose_precision("auto", torch.device("cuda")) == "fp32"
    assert choose_precision("fp32", CPU) == "fp32"


def test_bf16_is_in_the_lstms_products_only(network):
    noisy = torch.randn(1, 2, 257, 3, dtype=torch.complex64)
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with arithmetic(precision, CPU):
            out = network()(noisy)
        assert out.t_lstm.dtype == kind
        assert out.mask.dtype == torch.complex64
    assert all(parameter.dtype == torch.float32 for parameter in network().parameters())
