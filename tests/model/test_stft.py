"""The framing: what a frame covers, what comes back, and when."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.stft import BINS, FRAME, HOP, LATENCY, frames, istft, stft, window


def signal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_every_length_is_reconstructed():
    for samples in range(1, 1001):
        x = signal(samples)
        torch.testing.assert_close(istft(stft(x), samples), x, atol=1e-5, rtol=0)


def test_batches_and_microphones_are_reconstructed_in_double_precision():
    x = signal(2, 3, 5000).double()
    spectrum = stft(x)
    assert spectrum.shape == (2, 3, BINS, frames(5000))
    torch.testing.assert_close(istft(spectrum, 5000), x, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("samples", "count"), [(1, 2), (256, 2), (257, 3), (512, 3), (64_000, 251)])
def test_frames_cover_the_signal_and_flush_the_last_hop(samples, count):
    assert frames(samples) == count
    assert stft(signal(samples)).shape == (257, count)


def test_frame_is_the_windowed_transform_of_one_hop_before_and_one_hop_after():
    x = signal(1000)
    padded = np.concatenate([np.zeros(256), x.numpy(), np.zeros(512)])
    hann = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512))
    spectrum = stft(x).numpy()
    for frame in range(frames(1000)):
        expected = np.fft.rfft(hann * padded[256 * frame : 256 * frame + 512])
        np.testing.assert_allclose(spectrum[:, frame], expected, atol=1e-4)


def test_sample_reaches_no_frame_before_the_hop_it_arrives_in():
    for at in (0, 255, 256, 700):
        x = torch.zeros(1000)
        x[at] = 1
        touched = stft(x).abs().sum(0).gt(1e-6).nonzero().flatten().tolist()
        assert set(touched) <= {at // HOP, at // HOP + 1}
        assert touched


def test_stream_of_hops_gives_the_same_signal_one_hop_late():
    x = signal(8 * HOP)
    gain = torch.rand(BINS, frames(8 * HOP), generator=torch.Generator().manual_seed(1))
    whole = istft(gain * stft(x), 8 * HOP)
    taper = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512))
    before, overlap, out = np.zeros(HOP), np.zeros(HOP), []
    for number, hop in enumerate([*x.numpy().reshape(8, HOP), np.zeros(HOP)]):
        spectrum = np.fft.rfft(taper * np.concatenate([before, hop]))
        block = taper * np.fft.irfft(gain[:, number].numpy() * spectrum)
        out.append(overlap + block[:HOP])
        before, overlap = hop, block[HOP:]
    streamed = np.concatenate(out[1:])  # the first hop out belongs to the zeros before the signal
    np.testing.assert_allclose(streamed, whole, atol=1e-5)
    assert LATENCY == 2 * HOP, "a sample waits up to a hop for its hop to fill and one hop for the overlap"


def test_squares_of_the_window_add_up_to_one_at_half_overlap():
    squares = window().square()
    torch.testing.assert_close(squares[:HOP] + squares[HOP:], torch.ones(HOP))


def test_too_few_frames_for_a_length_are_refused():
    spectrum = stft(signal(512))
    with pytest.raises(ValueError, match="513 samples need 4 frames, got 3"):
        istft(spectrum, 513)


def test_first_use_while_scoring_does_not_spoil_training():
    window.cache_clear()
    with torch.inference_mode():
        stft(signal(FRAME))
    x = signal(FRAME).requires_grad_()
    stft(x).abs().sum().backward()
    assert x.grad is not None
