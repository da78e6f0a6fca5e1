"""Checkpoints: whole, harmless, and refused by name where they cannot be used."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from data.errors import InputError
from model.checkpoint import read_checkpoint, write_checkpoint

STATE = {"epoch": 3, "net": {"weight": torch.arange(6.0).view(2, 3)}, "history": [{"loss": 0.5, "best": True}]}


def test_state_comes_back_and_nothing_else_is_left_in_the_folder(tmp_path):
    write_checkpoint(tmp_path / "last.pt", {"epoch": 2})
    write_checkpoint(tmp_path / "last.pt", STATE)
    state = read_checkpoint(tmp_path / "last.pt", lambda state: state["epoch"] == 3)
    assert torch.equal(state["net"]["weight"], STATE["net"]["weight"])
    assert {key: state[key] for key in ("epoch", "history")} == {key: STATE[key] for key in ("epoch", "history")}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_checkpoint_of_another_training_is_refused(tmp_path):
    write_checkpoint(tmp_path / "last.pt", STATE)
    with pytest.raises(InputError, match=r"last\.pt is the checkpoint of other settings or other data"):
        read_checkpoint(tmp_path / "last.pt", lambda state: state["epoch"] == 4)


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "pickle", "other content"])
def test_broken_checkpoint_is_refused_by_name(tmp_path, damage):
    path = tmp_path / "last.pt"
    write_checkpoint(path, STATE)
    if damage == "other content":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        whole = path.read_bytes()
        evil = pickle.dumps(Malicious(tmp_path / "was-run"))
        path.write_bytes(
            {"empty": b"", "text": b"checkpoint", "truncated": whole[: len(whole) // 2], "pickle": evil}[damage]
        )
    with pytest.raises(InputError, match=r"last\.pt cannot be read as a checkpoint \(.+\); delete it to train anew"):
        read_checkpoint(path, lambda state: state["epoch"] == 3)
    assert not (tmp_path / "was-run").exists()
