"""Enhances a wav file frame by frame: `python run_frame.py in.wav out.wav`. Needs numpy and onnxruntime."""

import struct
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def read(path: str) -> tuple[np.ndarray, int]:
    """Samples (N, channels) of a wav file of integers of 16, 24 or 32 bits or of floats, and the rate in Hz."""
    content, at = Path(path).read_bytes(), 12
    chunks: dict[bytes, bytes] = {}
    while at + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, at)
        chunks.setdefault(name, content[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    head = chunks.get(b"fmt ", b"")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head) if len(head) >= 16 else [0] * 6
    kind = struct.unpack_from("<H", head, 24)[0] if kind == 0xFFFE and len(head) >= 26 else kind
    if content[:4] != b"RIFF" or channels == 0 or b"data" not in chunks:
        sys.exit(f"error: {path} is no wav file; convert it to one")
    if (kind, bits) not in ((1, 16), (1, 24), (1, 32), (3, 32)):
        sys.exit(f"error: {path} has samples of {bits} bits, format {kind}; convert it to integers of 16, 24 or 32 "
                 "bits or to floats of 32")  # fmt: skip
    data = np.frombuffer(chunks[b"data"], np.uint8)
    data = data[: len(data) // (channels * bits // 8) * (channels * bits // 8)].reshape(-1, bits // 8)
    if kind == 1:  # integers become the upper bytes of 32 bits
        data = np.pad(data, ((0, 0), (4 - bits // 8, 0)))
    samples = data.view("<f4") if kind == 3 else data.view("<i4").astype(np.float32) / 2**31
    return samples.reshape(-1, channels), rate


def write(path: str, samples: np.ndarray) -> None:
    """One channel of floats at 16 kHz."""
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVEfmt ", 16, 3, 1, 16000, 64000, 4, 32,
                       b"data", len(data))  # fmt: skip
    Path(path).write_bytes(head + data)


def main(source: str, target: str) -> None:
    """A wav file of all microphones in, one of the enhanced speech out."""
    student = onnxruntime.InferenceSession(Path(__file__).with_name("student.onnx"), providers=["CPUExecutionProvider"])
    shapes = {node.name: node.shape for node in student.get_inputs()}
    samples, rate = read(source)
    if (samples.shape[1], rate) != (shapes["noisy"][1], 16000):
        sys.exit(f"error: {source} has {samples.shape[1]} channels at {rate} Hz; the student needs "
                 f"{shapes['noisy'][1]} at 16000 Hz")  # fmt: skip
    if len(samples) == 0 or not np.isfinite(samples).all():
        sys.exit(f"error: {source} is empty or holds samples that are no numbers; record it anew")
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512))
    h = c = np.zeros(shapes["h"], np.float32)
    last, tail, out = np.zeros((256, samples.shape[1])), np.zeros(256), []
    for hop in np.split(np.pad(samples, ((0, -len(samples) % 256 + 256), (0, 0))), -(-len(samples) // 256) + 1):
        spectrum = np.fft.rfft(np.concatenate((last, hop)).T * window)
        noisy = np.stack((spectrum.real, spectrum.imag), axis=-1)[None].astype(np.float32)
        enhanced, h, c = student.run(None, {"noisy": noisy, "h": h, "c": c})
        frame = np.fft.irfft(enhanced[0, :, 0] + 1j * enhanced[0, :, 1]) * window
        out.append(tail + frame[:256])
        last, tail = hop, frame[256:]
    write(target, np.concatenate(out)[256 : 256 + len(samples)])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python run_frame.py in.wav out.wav")
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"error: {error}")
