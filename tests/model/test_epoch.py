"""The running means of an epoch."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch

from model.epoch import Progress


def test_means_are_over_the_examples_that_a_loss_was_computed_for():
    progress = Progress()
    progress.add((torch.tensor(1.0), torch.tensor(3.0), None), 4)
    progress.add((torch.tensor(4.0), None, None), 2)
    total, hard, soft = progress.means()
    assert (total, hard) == (pytest.approx(2.0), 3.0)
    assert math.isnan(soft)
    assert progress.steps == 2


def test_loss_that_is_not_a_number_spoils_its_mean_alone():
    progress = Progress()
    progress.add((torch.tensor(math.nan), torch.tensor(1.0), None), 4)
    assert math.isnan(progress.means()[0])
    assert progress.means()[1] == 1.0


def test_sums_go_on_from_what_was_saved():
    one = Progress()
    one.add((torch.tensor(0.1), None, torch.tensor(0.7)), 3)
    two = Progress(**asdict(one))
    for progress in (one, two):
        progress.add((torch.tensor(0.3), None, torch.tensor(0.2)), 3)
    assert two.means()[0] == one.means()[0]
    assert asdict(two) == asdict(one)
