"""Wide-band PESQ: real scores, and NaN where there is none."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data import RATE
from model.pesq_pool import PesqPool, wideband_pesq


@pytest.fixture(scope="module")
def speech(tiny_source) -> np.ndarray:
    return tiny_source().speech.samples(0)


def noise(like: np.ndarray, gain: float) -> np.ndarray:
    return (gain * np.random.default_rng(0).normal(size=len(like))).astype(np.float32)


def test_more_noise_scores_lower_and_none_at_the_ceiling(speech):
    scores = [wideband_pesq(speech, speech + noise(speech, gain)) for gain in (0, 1e-3, 3e-2)]
    assert scores[0] == pytest.approx(4.644, abs=1e-3)
    assert scores[0] > scores[1] > scores[2] >= 1


def test_level_of_the_whole_clip_does_not_matter(speech):
    noisy = speech + noise(speech, 1e-2)
    assert wideband_pesq(0.05 * speech, 0.05 * noisy) == pytest.approx(wideband_pesq(speech, noisy), abs=0.01)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda clean: (clean, 0 * clean),
        lambda clean: (0 * clean, clean),
        lambda clean: (clean[: RATE // 5], clean[: RATE // 5]),
        lambda clean: (clean[:0], clean[:0]),
        lambda clean: (clean, np.where(np.arange(len(clean)) == 5, np.nan, clean)),
        lambda clean: (clean, np.where(np.arange(len(clean)) == 5, np.inf, clean)),
        lambda clean: (np.full_like(clean, np.nan), clean),
    ],
    ids=["silent estimate", "silent reference", "too short", "empty", "NaN", "infinite", "NaN reference"],
)
def test_clip_that_cannot_be_scored_is_nan(speech, spoil: Callable):
    assert math.isnan(wideband_pesq(*spoil(speech)))


def test_pool_gives_the_same_scores_in_order_as_no_pool(speech):
    pairs = [(speech, speech + noise(speech, gain)) for gain in (0, 1e-3, 1e-2)] + [(speech, 0 * speech)]
    with PesqPool(0) as here, PesqPool(1) as elsewhere:
        expected, scores = here.scores(pairs), elsewhere.scores(pairs)
    np.testing.assert_array_equal(scores, expected)
    assert len(set(expected[:3])) == 3
    assert math.isnan(scores[3])


def test_what_is_begun_goes_on_while_others_work_and_is_there_when_asked_for(speech):
    pairs = [(speech, speech + noise(speech, gain)) for gain in (1e-3, 1e-2)]
    with PesqPool(1) as pool:
        first, second = pool.begin(pairs), pool.begin(pairs[:1])
        assert second() == first()[:1]
        assert first() == PesqPool(0).scores(pairs)


def test_workers_do_not_outlive_a_process_that_is_killed(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, time\n"
        "import numpy as np\n"
        "from model.pesq_pool import PesqPool\n"
        "if __name__ == '__main__':\n"
        "    pool = PesqPool(1)\n"
        "    pool.scores([(np.zeros(10, np.float32), np.zeros(10, np.float32))])\n"
        "    print(*[child.pid for child in multiprocessing.active_children()], flush=True)\n"
        "    time.sleep(100)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, str(program)], cwd=root, stdout=subprocess.PIPE, text=True,
                          env=os.environ | {"PYTHONPATH": str(root)}) as process:  # fmt: skip
        assert process.stdout is not None
        (worker,) = map(int, process.stdout.readline().split())
        assert running(worker)
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20
    while running(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not running(worker)


def running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
