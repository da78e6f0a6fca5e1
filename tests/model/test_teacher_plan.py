"""The plan of a teacher's training: goes on as it began, or says what differs."""

from __future__ import annotations

import pytest

from data.errors import InputError
from data.files import write_json
from model.teacher_plan import decided_epochs, write_plan

ASKED = {"train": {"epochs": 9, "size": {"f_hidden": 4}}, "array": {"positions_m": ((0.0, 0.0),)}, "seconds": None}


@pytest.fixture
def state(tmp_path):
    """The folder of a training of seven epochs that has got as far as a checkpoint."""
    write_plan(tmp_path, ASKED, 7)
    (tmp_path / "last.pt").touch()
    return tmp_path


def test_epochs_are_those_decided_first(state):
    assert decided_epochs(state, ASKED) == 7


def test_without_a_checkpoint_or_a_plan_they_are_decided_anew(state):
    (state / "last.pt").unlink()
    assert decided_epochs(state, ASKED | {"seconds": 60.0}) is None
    (state / "last.pt").touch()
    (state / "plan.json").unlink()
    assert decided_epochs(state, ASKED) is None


def test_difference_is_named_with_both_values(state):
    with pytest.raises(InputError, match=r"holds a training with train\.epochs 9 instead of 10; pass the same flags"):
        decided_epochs(state, ASKED | {"train": {"epochs": 10, "size": {"f_hidden": 4}}})
    other = {"train": {"epochs": 10, "size": {"f_hidden": 5}, "lr": 1.0}, "seconds": 60.0}
    with pytest.raises(InputError) as caught:
        decided_epochs(state, other)
    for part in ("train.epochs 9 instead of 10", "train.size.f_hidden 4 instead of 5", "and 2 more differences"):
        assert part in str(caught.value)


@pytest.mark.parametrize("plan", [[], {"epochs": 3}, {"epochs": "many", "asked": {}}, {"epochs": 3, "asked": []}])
def test_broken_plan_is_refused_by_name(state, plan):
    write_json(state / "plan.json", plan)
    with pytest.raises(InputError, match=r"plan\.json is not whole, or of another version; delete"):
        decided_epochs(state, ASKED)
