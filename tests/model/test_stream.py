from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import InputError
from model.stream import Stream

SAMPLES = 2900
"""Eleven hops and a part of one."""


def noise(samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((2, samples), dtype=np.float32)


def streamed(stream: Stream, signal: np.ndarray, sizes: Iterable[int]) -> np.ndarray:
    """The whole output, the signal fed in blocks of these sizes and the rest of it as one."""
    parts, first = [], 0
    for size in sizes:
        parts.append(stream.feed(signal[:, first : first + size]))
        first += size
    return np.concatenate([*parts, stream.feed(signal[:, first:]), stream.flush()])


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_no_bit_of_the_output_depends_on_the_block_size(engine, student_folder: Path) -> None:
    stream, signal = Stream.load(student_folder, engine), noise()
    whole = streamed(stream, signal, [])
    assert whole.dtype == np.float32
    random = np.random.default_rng(1).integers(0, 400, 12)
    for sizes in ([1] * SAMPLES, [37] * 78, [256] * 11, [1000] * 2, [0, 255, 0, 1, 257, 0], random):
        assert np.array_equal(streamed(stream, signal, sizes), whole)


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 512, SAMPLES])
def test_batch_torch_stream_and_onnx_stream_agree(samples: int, student_folder: Path, network) -> None:
    signal = noise(samples)
    with torch.no_grad():
        batch = network().enhance(torch.from_numpy(signal)[None])[0].numpy()
    for stream in (Stream(network()), Stream.load(student_folder, "torch"), Stream.load(student_folder, "onnx")):
        out = streamed(stream, signal, [100, 300])
        assert out.shape == (samples,)
        np.testing.assert_allclose(out, batch, atol=1e-4)
    assert np.abs(batch).max() > 1e-2


def test_the_output_is_aligned_with_the_input(through) -> None:
    signal = noise()
    np.testing.assert_allclose(streamed(Stream(through), signal, [700]), signal[0], atol=1e-6)


def test_a_sample_comes_out_once_the_latency_has_been_fed(through) -> None:
    stream, given = Stream(through), 0
    assert stream.latency == 512
    for fed in range(1, 1200):
        given += len(stream.feed(noise(1)))
        assert fed - stream.latency < given <= max(0, fed - 256)
    assert given == (1199 // 256 - 1) * 256


def test_nothing_fed_is_nothing_out(network) -> None:
    stream = Stream(network())
    assert stream.feed(np.zeros((2, 0), np.float32)).shape == (0,)
    assert stream.flush().shape == (0,)


def test_flush_and_reset_begin_another_signal(network) -> None:
    stream, signal = Stream(network()), noise()
    first = streamed(stream, signal, [])
    assert np.array_equal(streamed(stream, signal, []), first)
    stream.feed(noise(1000, seed=5))
    stream.reset()
    assert np.array_equal(streamed(stream, signal, []), first)


def test_a_snapshot_goes_on_where_it_was_taken(network) -> None:
    stream, signal = Stream(network()), noise()
    head = stream.feed(signal[:, :1111])
    state = stream.state
    rest = streamed(stream, signal[:, 1111:], [])
    assert len(head) + len(rest) == SAMPLES
    other = Stream(network())
    other.feed(noise(600, seed=3))
    for _ in range(2):
        other.state = state
        assert np.array_equal(streamed(other, signal[:, 1111:], [50]), rest)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [(bad, kind) for bad in (np.nan, np.inf, -np.inf) for kind in (np.float16, np.float32, np.float64)]
    + [(1e35, np.float32), (1e35, np.float64), (1e300, np.float64)],
)
def test_a_sample_that_is_not_finite_is_named_and_changes_nothing(bad: float, kind: type, network) -> None:
    stream, signal = Stream(network()), noise()
    spoilt = signal[:, 700:1800].astype(kind)
    spoilt[1, 345] = bad
    parts = [stream.feed(signal[:, :700])]
    with pytest.raises(InputError, match=r"sample 1045 of channel 1 .* is (nan|-?inf|1\S*e\+35|1e\+300)"):
        stream.feed(spoilt)
    parts += [stream.feed(signal[:, 700:]), stream.flush()]
    assert np.array_equal(np.concatenate(parts), streamed(Stream(network()), signal, []))


def test_loud_and_silent_samples_give_finite_ones(network) -> None:
    stream = Stream(network())
    for block in (np.full((2, 700), 1e30), np.zeros((2, 700)), np.full((2, 700), 1e-42), noise(700)):
        assert np.isfinite(stream.feed(block)).all()
    assert np.isfinite(stream.flush()).all()


def test_samples_of_another_shape_or_type_are_input_errors(network) -> None:
    stream = Stream(network())
    with pytest.raises(InputError, match=r"2 microphones in the shape \(2, n\), got \(5, 300\)$"):
        stream.feed(np.zeros((5, 300)))
    with pytest.raises(InputError, match="transpose it"):
        stream.feed(np.zeros((300, 2)))
    with pytest.raises(InputError, match=r"got \(300,\)"):
        stream.feed(np.zeros(300))
    with pytest.raises(InputError, match="got int16; divide"):
        stream.feed(np.zeros((2, 300), np.int16))
