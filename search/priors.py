"""What to begin with, by what is known from the paper and from recorded trainings: weights of options by size, as data
with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from model.ftjnf import TABLE_1, Size
from model.macs import paper_gmac

PriorsName = Literal["paper", "none"]
"""What `--priors` takes: `none` makes all options equally likely."""

KD_HELPS = paper_gmac(TABLE_1["F"])
"""GMAC from which KD beat training without it in the paper, 0.85."""


@dataclass(frozen=True)
class Finding:
    """What something found out says about one field of a configuration.

    Args:
        field: of `search.space.Choice`.
        weights: how likely an option is to be worth a training, against the others; 1 for those not named.
        source: where it comes from, in words.
        low, high: the sizes that it holds for, in GMAC of the paper's axis: from `low` to below `high`.
    """

    field: str
    weights: Mapping[str, float]
    source: str
    low: float = 0.0
    high: float = float("inf")


FINDINGS = (
    Finding(
        "kd_method",
        {"none": 1.0, "linear": 0.5, "t-lstm": 0.5, "multi": 0.5, "mask": 0.25, "f-lstm": 0.125},
        "section 6.2, Figure 4 (0 dB): students below size F that learned by KD have no advantage over those without",
        high=KD_HELPS,
    ),
    Finding(
        "kd_method",
        {"linear": 1.0, "t-lstm": 1.0, "multi": 1.0, "none": 0.5, "mask": 0.25, "f-lstm": 0.125},
        "section 6.2, Figure 4 (0 dB): from size F onwards linear, t-lstm and multi beat training without KD, with "
        "little difference; section 6.1, Figure 3 (size E): mask is like training without KD, f-lstm is worse",
        low=KD_HELPS,
    ),
    Finding(
        "alpha_schedule",
        {"constant": 0.5, "linear": 0.5, "cosine": 0.5},
        "section 5.2: all its students learned in two stages; nothing is known of other schedules",
    ),
    Finding(
        "gram_normalise",
        {"cosine": 0.5},
        "eq. 7 has plain inner products; nothing is known of cosines",
    ),
    Finding(
        "gram_form",
        {"frame": 0.5, "bin": 0.5},
        "eq. 7 compares all positions: `exact` is that, `positions` estimates it, frame and bin see a part",
    ),
    Finding(
        "init",
        {"slice": 1.0, "random": 0.25},
        "docs/methods.md, where a student starts: a slice ends 0.03 to 0.07 above a random start, told apart from "
        "32/12 upwards; that is in 5 epochs, and long trainings may make up for some of it",
    ),
)
"""Learning rate, alpha, ramp and the stages' shares have no entry: the paper has one of each or none, and what was
recorded does not tell them apart."""

BOUNDS = tuple(sorted({end for one in FINDINGS for end in (one.low, one.high) if 0 < end < float("inf")}))
"""GMAC at which weights change."""


def weight(field: str, option: object, size: Size) -> float:
    """How likely an option of one field is to be worth a training of this size, against the field's other options.

    Args:
        field: of `search.space.Choice`.
        option: its value.
        size: of the student.
    """
    cost = paper_gmac(size)
    product = 1.0
    for finding in FINDINGS:
        if finding.field == field and finding.low <= cost < finding.high:
            product *= finding.weights.get(str(option), 1.0)
    return product


def band(size: Size) -> int:
    """How many of `BOUNDS` a size has reached: all sizes of one band have the same weights."""
    return sum(paper_gmac(size) >= bound for bound in BOUNDS)


FIELDS = tuple(dict.fromkeys(finding.field for finding in FINDINGS))
"""The fields that something is known about."""
