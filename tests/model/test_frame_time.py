from __future__ import annotations

import itertools

import pytest
import torch

from model.frame_time import FRAME_MS, FrameTime, frame_times
from model.ftjnf import FTJNF, Size


def test_real_time_leaves_sixteen_milliseconds_for_a_frame() -> None:
    assert FRAME_MS == 16.0


def test_the_quantiles_are_those_of_the_timed_frames_alone() -> None:
    # the clock's calls lie 1, 2, 3 ... ms apart; while warming up it is asked once, then twice a frame: 2, 4 and 6 ms
    ticks = itertools.accumulate(0.001 * n for n in itertools.count())
    times = frame_times({"a": FTJNF(Size(2, 2)).eval()}, frames=3, warm_up=1, clock=lambda: next(ticks))
    assert times["a"] == FrameTime(pytest.approx(4.0), pytest.approx(5.6))


def test_networks_go_on_from_their_own_state_and_threads_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, list[object]] = {}
    forward = FTJNF.forward

    def noted(self: FTJNF, noisy: torch.Tensor, state: object = None) -> object:
        assert torch.get_num_threads() == 1
        assert noisy.shape == (1, self.size.microphones, 257, 1)
        seen.setdefault(self.size.f_hidden, []).append(state)
        return forward(self, noisy, state)  # type: ignore[arg-type]

    monkeypatch.setattr(FTJNF, "forward", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        times = frame_times({"s": FTJNF(Size(2, 2)).eval(), "l": FTJNF(Size(3, 2)).eval()}, frames=2, warm_up=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert list(times) == ["s", "l"]
    assert all(0 < one.p50 <= one.p90 for one in times.values())
    for states in seen.values():
        assert states[0] is None
        assert all(state is not None for state in states[1:])
