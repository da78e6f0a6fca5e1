"""The network: what it computes, that it is causal, and that a stream is a batch."""

from __future__ import annotations

import pytest
import torch

from data.errors import InputError
from model.ftjnf import FTJNF, TABLE_1, Activations, Size, apply_mask, at_positions
from model.stft import BINS, stft

LAYERS = ("f_lstm", "t_lstm", "linear", "mask")


def noisy_stft(batch: int = 2, length: int = 7, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 2, BINS, length, dtype=torch.complex64, generator=generator)


@pytest.mark.parametrize("bi_freq", [False, True])
def test_activations_have_their_shapes(network, bi_freq):
    out = network(6, 4, bi_freq=bi_freq)(noisy_stft())
    assert out.f_lstm.shape == (2, 257, 7, 12 if bi_freq else 6)
    assert out.t_lstm.shape == (2, 257, 7, 4)
    assert out.linear.shape == (2, 257, 7, 2)
    assert out.mask.shape == (2, 257, 7)
    assert out.mask.is_complex()
    assert [part.shape for part in out.state] == [(1, 2 * 257, 4)] * 2


@pytest.mark.parametrize("upto", LAYERS)
def test_forward_stops_at_the_layer_asked_for(network, upto):
    net = network()
    whole, part = net(noisy_stft()), net(noisy_stft(), upto=upto)
    reached = LAYERS.index(upto) + 1
    for layer in LAYERS[:reached]:
        assert torch.equal(getattr(part, layer), getattr(whole, layer))
    assert all(getattr(part, layer) is None for layer in LAYERS[reached:])


@pytest.mark.parametrize("bi_freq", [False, True])
@pytest.mark.parametrize("upto", LAYERS)
def test_layers_at_positions_are_those_of_the_whole_layer_with_the_same_gradients(network, bi_freq, upto):
    positions = torch.tensor([[0, 8, 9, 1798], [3, 100, 1000, 1700]])  # of 257 * 7
    gradients = []
    for tapped in (False, True):
        net = network(6, 4, bi_freq=bi_freq)
        out = net(noisy_stft(), upto=upto, positions=positions if tapped else None)
        assert out.f_lstm.shape == ((2, 4, 12 if bi_freq else 6) if tapped else (2, 257, 7, 12 if bi_freq else 6))
        heard = [layer for layer in (out.f_lstm, out.t_lstm) if layer is not None]
        heard = heard if tapped else [at_positions(layer, positions) for layer in heard]
        loss = sum(layer.square().sum() for layer in heard)
        if out.linear is not None:
            loss = loss + out.linear.abs().sum()
        loss.backward()
        gradients.append(
            (loss.detach(), [parameter.grad for parameter in net.parameters() if parameter.grad is not None])
        )
    (plain, without), (same, with_tap) = gradients
    torch.testing.assert_close(same, plain)
    assert len(with_tap) == len(without)
    for one, other in zip(with_tap, without, strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
@pytest.mark.parametrize("bi_freq", [False, True])
def test_layers_are_those_of_figure_1(network, bi_freq):
    net, noisy = network(bi_freq=bi_freq), noisy_stft()
    out = net(noisy)
    features = torch.cat([noisy.real, noisy.imag], dim=1)  # (B, 2M, K, L)
    for frame in (0, 6):  # each frame is a sequence over frequency
        expected, _ = net.f_lstm(features[1, :, :, frame].T[None])
        torch.testing.assert_close(out.f_lstm[1, :, frame], expected[0])
    for bin_ in (0, 100):  # each bin is a sequence over time
        expected, _ = net.t_lstm(out.f_lstm[1, bin_][None])
        torch.testing.assert_close(out.t_lstm[1, bin_], expected[0])
    torch.testing.assert_close(out.linear, net.linear(out.t_lstm))
    torch.testing.assert_close(out.mask.real, torch.tanh(out.linear[..., 0]))
    torch.testing.assert_close(out.mask.imag, torch.tanh(out.linear[..., 1]))


@torch.no_grad()
@pytest.mark.parametrize("bi_freq", [False, True])
def test_future_frames_change_no_past_mask(network, bi_freq):
    net, noisy = network(bi_freq=bi_freq), noisy_stft(length=9)
    other = noisy.clone()
    other[..., 5:] = noisy_stft(length=4, seed=1)
    one, two = net(noisy).mask, net(other).mask
    torch.testing.assert_close(one[..., :5], two[..., :5], atol=1e-6, rtol=0)
    assert (one[..., 5:] - two[..., 5:]).abs().min(dim=-1).values.max() > 1e-3


@torch.no_grad()
def test_future_samples_change_nothing_but_the_hop_they_are_in_and_what_follows(network):
    net = network()
    signal = torch.randn(1, 2, 3000, generator=torch.Generator().manual_seed(0))
    other = signal.clone()
    other[..., 2000:] = 0
    one, two = net.enhance(signal), net.enhance(other)
    unchanged = 2000 // 256 * 256 - 256  # the frame that holds sample 2000 begins one hop before its hop
    torch.testing.assert_close(one[:, :unchanged], two[:, :unchanged], atol=1e-6, rtol=0)
    assert (one - two)[:, unchanged:].abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("bi_freq", [False, True])
@pytest.mark.parametrize("chunks", [[1] * 9, [4, 1, 4]])
def test_stream_gives_what_a_batch_gives(network, bi_freq, chunks):
    net, noisy = network(bi_freq=bi_freq), noisy_stft(length=9)
    whole, state, masks = net(noisy), None, []
    for chunk in noisy.split(chunks, dim=-1):
        out = net(chunk, state)
        masks.append(out.mask)
        state = out.state
    torch.testing.assert_close(torch.cat(masks, dim=-1), whole.mask, atol=1e-5, rtol=0)
    for streamed, expected in zip(state, whole.state, strict=True):
        torch.testing.assert_close(streamed, expected, atol=1e-5, rtol=0)


def test_state_matters_to_what_follows(network):
    net, noisy = network(), noisy_stft()
    state = net(noisy_stft(seed=1)).state
    assert not torch.allclose(net(noisy, state).mask, net(noisy).mask, atol=1e-3)


def test_mask_is_applied_to_the_reference_microphone():
    signal = torch.randn(2, 2, 1500, generator=torch.Generator().manual_seed(0))
    spectrum = stft(signal)
    mask = torch.full(spectrum[:, 0].shape, 0.5 + 0j)
    activations = Activations(mask, None, None, torch.empty(0), None)
    torch.testing.assert_close(apply_mask(activations, spectrum, 1500), 0.5 * signal[:, 0], atol=1e-5, rtol=0)


def test_enhancement_keeps_the_length(network):
    for samples in (1, 256, 1000):
        assert network().enhance(torch.randn(3, 2, samples)).shape == (3, samples)


def test_wrong_number_of_microphones_is_refused(network):
    with pytest.raises(ValueError, match="expected 2 microphones, got 3"):
        network()(torch.zeros(1, 3, BINS, 2, dtype=torch.complex64))


def test_one_microphone_is_enough():
    assert FTJNF(Size(3, 2, microphones=1)).enhance(torch.randn(1, 1, 600)).shape == (1, 600)


# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("80/32", Size(80, 32)),
        (" 8 / 4 ", Size(8, 4)),
        ("80/32bi", Size(80, 32, bi_freq=True)),
        ("E", Size(80, 32)),
        ("a", Size(512, 128)),
    ],
)
def test_size_is_read(text, size):
    assert Size.parse(text) == size


@pytest.mark.parametrize("size", [Size(80, 32), Size(7, 5, bi_freq=True), *TABLE_1.values()], ids=str)
def test_size_written_is_read_back(size):
    assert Size.parse(str(size)) == size


def test_size_takes_the_microphones_of_the_array():
    assert Size.parse("G", microphones=3) == Size(64, 16, microphones=3)
    assert Size.parse("64/16", microphones=3) == Size(64, 16, microphones=3)


@pytest.mark.parametrize(
    "text", ["", "Z", "80", "80/", "/32", "80x32", "-80/32", "80/32.5", "80/32tri", "80/32/8", "1e3/4"]
)
def test_size_that_is_not_understood_is_refused(text):
    with pytest.raises(InputError, match=r"size '.*' is not understood; write F/T such as 80/32"):
        Size.parse(text)


@pytest.mark.parametrize("text", ["0/32", "80/0"])
def test_size_without_units_is_refused(text):
    with pytest.raises(InputError, match="_hidden must be at least 1 but is 0"):
        Size.parse(text)
