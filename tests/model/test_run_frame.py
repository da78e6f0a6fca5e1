"""The program that goes with a student, run as its user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model.c_source import c_compiler
from model.c_student import CStudent
from model.enhance import main as enhance
from model.export import export_student
from model.ftjnf import FTJNF, Size
from model.proof import probe_signal

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


@pytest.mark.skipif(c_compiler() is None, reason="no C compiler is here")
def test_the_command_the_program_and_the_c_student_enhance_a_recording_alike(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net, folder = FTJNF(Size(8, 4)).eval(), tmp_path / "student"
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)  # the masks of a fresh network hardly depend on its input
    export_student(net, {}, folder)
    soundfile.write(tmp_path / "in.wav", probe_signal(5, 16_100).T, 16_000, subtype="PCM_16")
    heard, _ = soundfile.read(tmp_path / "in.wav", dtype="float32")

    enhance([str(folder), str(tmp_path / "in.wav"), str(tmp_path / "command.wav")])
    by_command, rate = soundfile.read(tmp_path / "command.wav", dtype="float32")
    done = run(folder, tmp_path / "in.wav", tmp_path / "program.wav")
    assert done.returncode == 0, done.stderr
    by_program, _ = soundfile.read(tmp_path / "program.wav", dtype="float32")
    device = CStudent(folder, net.size)
    hops = np.pad(heard, ((0, -len(heard) % 256 + 256), (0, 0))).reshape(-1, 256, 5)
    by_c = np.concatenate([device.hop(hop) for hop in hops])[256 : 256 + len(heard)]

    assert rate == 16_000
    assert by_command.shape == by_program.shape == by_c.shape == (16_100,)
    assert np.abs(by_program).max() > 1e-2
    assert np.abs(by_program - heard[:, 0]).max() > 1e-2
    np.testing.assert_allclose(by_c, by_program, atol=1e-5)
    np.testing.assert_allclose(by_command, by_program, atol=1 / 32768)  # its file is of 16 bits, as the input is


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
