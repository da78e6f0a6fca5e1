"""The program that goes with a student, run as its user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model.export import export_student
from model.ftjnf import FTJNF, Size

Folder = tuple[FTJNF, Path]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    torch.manual_seed(1)
    net, folder = FTJNF(Size(8, 4)).eval(), tmp_path_factory.mktemp("exported") / "student"
    export_student(net, {}, folder)
    return net, folder


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    # -S would hide numpy; -I keeps this project's folders out of the path
    command = [sys.executable, "-I", str(folder / "run_frame.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("subtype", "form"),
    [(subtype, form) for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT") for form in ("WAV", "WAVEX")],
)
def test_a_wav_file_comes_out_as_the_network_enhances_it(
    subtype: str, form: str, student: Folder, tmp_path: Path
) -> None:
    net, folder = student
    samples = 0.1 * np.random.default_rng(0).standard_normal((5000, 5))
    soundfile.write(tmp_path / "in.wav", samples, 16000, subtype=subtype, format=form)
    done = run(folder, tmp_path / "in.wav", tmp_path / "out.wav")
    assert done.returncode == 0, done.stderr
    heard, _ = soundfile.read(tmp_path / "in.wav", dtype="float32")
    with torch.no_grad():
        expected = net.enhance(torch.from_numpy(heard.T.copy())[None])[0].numpy()
    enhanced, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert (rate, enhanced.shape) == (16000, (5000,))
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(enhanced, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "rate", "subtype", "says"),
    [
        ((800, 2), 16000, "PCM_16", "has 2 channels at 16000 Hz; the student needs 5 at 16000 Hz"),
        ((800, 5), 48000, "PCM_16", "has 5 channels at 48000 Hz"),
        ((800, 5), 16000, "PCM_U8", "samples of 8 bits, format 1; convert it to integers of 16, 24 or 32 bits"),
        ((800, 5), 16000, "DOUBLE", "samples of 64 bits, format 3"),
        ((0, 5), 16000, "PCM_16", "is empty"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_sentence(
    shape: tuple[int, int], rate: int, subtype: str, says: str, student: Folder, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros(shape), rate, subtype=subtype)
    done = run(student[1], tmp_path / "in.wav", tmp_path / "out.wav")
    assert done.returncode != 0
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("place", "word", "says"),
    [
        (22, b"\x00\x00", "is no wav file"),  # no channels
        (20, b"\xfe\xff", "samples of 16 bits, format 65534"),  # extensible, but the head is too short for that
        (16, b"\x04\x00", "is no wav file"),  # a head of four bytes
    ],
)
def test_a_wav_file_with_a_broken_head_is_refused_in_one_sentence(
    place: int, word: bytes, says: str, student: Folder, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros((800, 5)), 16000, subtype="PCM_16")
    content = bytearray((tmp_path / "in.wav").read_bytes())
    content[place : place + 2] = word
    (tmp_path / "in.wav").write_bytes(content)
    done = run(student[1], tmp_path / "in.wav", tmp_path / "out.wav")
    assert done.returncode != 0
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_no_wav_file_is_refused(student: Folder, tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(b"something else")
    assert "is no wav file" in run(student[1], tmp_path / "in.wav", tmp_path / "out.wav").stderr
    assert "No such file" in run(student[1], tmp_path / "none.wav", tmp_path / "out.wav").stderr


def test_it_needs_numpy_and_onnxruntime_alone(student: Folder) -> None:
    lines = (student[1] / "run_frame.py").read_text().splitlines()
    imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
