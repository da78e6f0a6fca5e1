"""The students that a search will propose, as far as that is known before they are trained."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from search.certainty import is_repeat
from search.clock import FRONT
from search.config import SearchConfig
from search.ehvi import BEGIN
from search.proposals import Proposals
from search.run_folder import JOURNAL
from search.space import Choice, Space
from search.start import START
from search.warm_start import read_warm_start


@dataclass(frozen=True)
class Forecast:
    """What is still to be trained.

    Args:
        first: the students that come first, in their order: those that an earlier session left unfinished or cut short,
            then those that are proposed before any score counts.
        all: as many as the search may still train; where only the scores will decide which, the first ones again.
        repeats: trainings of the front and its near rivals by other seeds, at the end. Which they will be, the scores
            decide: the first students stand for them, as they have all costs. There are as many as for `FRONT` members,
            but for no more than a third of the students.
    """

    first: list[Choice]
    all: list[Choice]
    repeats: list[Choice] = field(default_factory=list)


def forecast(config: SearchConfig, space: Space) -> Forecast:
    """Asks a copy of the study in the run folder, or a new one of the same seed, so that it says what the search does.

    Raises:
        InputError: the journal in the run folder cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        journal, copy = config.folder / JOURNAL, Path(folder) / JOURNAL
        if journal.exists():
            shutil.copyfile(journal, copy)
        proposals = Proposals(space, copy, config.seed, config.sampler, read_warm_start(config.folder, space))
        known = proposals.trials()
        waiting = [one.choice for one in known if one.state == "RUNNING" or one.cut]
        begun = [one for one in known if not is_repeat(one.choice, space)]
        failed = min(sum(one.state == "FAIL" for one in begun), config.trials)
        new = max(0, min(config.trials - (len(begun) - failed), space.count() - len(begun)))
        first = list(waiting)
        # what depends on no score is known to the end
        before_scores = {"tpe": START, "ehvi": BEGIN}.get(config.sampler)
        ahead = len(known) + new if before_scores is None else max(before_scores, len(known) + 1)
        for number in range(len(known), min(len(known) + new, ahead)):
            choice = proposals.propose(number)
            if choice is not None:
                first.append(choice)
    members = min(FRONT, max(1, config.trials // 3))
    stand_in = [*(one.choice for one in begun), *first][:members]
    missing = max(0, config.repeat_front * len(stand_in) - (len(known) - len(begun)))
    repeats = list(islice(cycle(stand_in), missing))
    return Forecast(first, list(islice(cycle(first), len(waiting) + new)), repeats)
