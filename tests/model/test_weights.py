"""Weights on disk: they come back whole, or the reader says what is wrong with the file."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from data.errors import InputError
from model.ftjnf import FTJNF
from model.stft import stft
from model.weights import load_network, save_network


def mask(net: FTJNF) -> torch.Tensor:
    with torch.no_grad():
        value = net(stft(torch.randn(1, 2, 800, generator=torch.Generator().manual_seed(0)))).mask
    assert value is not None
    return value


@pytest.mark.parametrize("bi_freq", [False, True])
def test_network_and_recipe_come_back(network, tmp_path, bi_freq):
    net = network(bi_freq=bi_freq).train()
    recipe = {"seed": 3, "corpus": "größer", "train": {"lr": 5e-4, "clip_norm": None}}
    save_network(net, tmp_path / "a.safetensors", recipe)
    back, told = load_network(tmp_path / "a.safetensors")
    assert torch.equal(mask(back), mask(net))
    assert back.size == net.size
    assert told == recipe
    assert not back.training
    assert net.training, "saving changes nothing"


def test_equal_networks_become_equal_files(network, tmp_path):
    for take in range(20):
        save_network(network(), tmp_path / f"{take}.safetensors", {"seed": 1, "corpus": "größer"})
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "gone.safetensors", tmp_path):
        with pytest.raises(InputError, match=rf"no weights at {path}"):
            load_network(path)


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "flipped header"])
def test_broken_file_is_refused_by_name(network, tmp_path, damage):
    path = tmp_path / "a.safetensors"
    save_network(network(), path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"not weights at all",
            "truncated": whole[: len(whole) // 2],
            "flipped header": whole.replace(b'"F32"', b'"Q99"'),
        }[damage]
    )
    with pytest.raises(InputError, match=r"a\.safetensors does not hold FT-JNF weights \(.+\); give a file"):
        load_network(path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"size": "80/32"},
        {"size": '{"f_hidden": 6}'},
        {"size": '{"f_hidden": 60, "t_hidden": 4}'},
        {"size": '{"f_hidden": 6, "t_hidden": 4, "microphones": 2, "depth": 9}'},
        {"size": "[6, 4]"},
        {"size": '{"f_hidden": 6, "t_hidden": 4, "microphones": 2}', "recipe": "{"},
        {"size": '{"f_hidden": 6, "t_hidden": 4, "microphones": 2}', "recipe": "[]"},
    ],
)
def test_file_of_another_kind_is_refused_by_name(network, tmp_path, metadata):
    save_file(network().state_dict(), tmp_path / "a.safetensors", metadata)
    with pytest.raises(InputError, match=r"a\.safetensors does not hold FT-JNF weights"):
        load_network(tmp_path / "a.safetensors")


def test_network_for_another_number_of_microphones_is_refused(network, tmp_path):
    save_network(network(), tmp_path / "a.safetensors")
    assert load_network(tmp_path / "a.safetensors", microphones=2)[0].size.microphones == 2
    with pytest.raises(InputError, match=r"a\.safetensors is a network for 2 microphones but the array has 5; train"):
        load_network(tmp_path / "a.safetensors", microphones=5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged_are_refused(network, tmp_path, value):
    net = network()
    with torch.no_grad():
        net.t_lstm.weight_hh_l0[3, 1] = value
    save_network(net, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"a\.safetensors holds weights that are not finite: its training diverged"):
        load_network(tmp_path / "a.safetensors")


class Malicious:
    """Makes a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_pickle_is_refused_without_being_run(tmp_path):
    marker, path = tmp_path / "was-run", tmp_path / "a.safetensors"
    for write in (lambda evil: path.write_bytes(pickle.dumps(evil)), lambda evil: torch.save(evil, path)):
        write(Malicious(marker))
        with pytest.raises(InputError, match="does not hold FT-JNF weights"):
            load_network(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Malicious(marker)))
    assert marker.exists(), "the trap itself works"
