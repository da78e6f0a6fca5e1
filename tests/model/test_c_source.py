from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from model.c_source import c_compiler, c_constant_bytes, c_source, c_state_bytes, compile_c, write_c
from model.c_student import CStudent
from model.export import export_student
from model.ftjnf import FTJNF, Size
from model.proof import TOLERANCE, largest_difference, probe_frames, prove_hops, run_c, run_stream

needs_compiler = pytest.mark.skipif(c_compiler() is None, reason="no C compiler is here")
SIZES = [Size(8, 4), Size(9, 5, bi_freq=True), Size(6, 3, microphones=2), Size(5, 11, bi_freq=True, microphones=1)]
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
CLEAN = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

GOLDEN = """\
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "student.h"

static student_state state;
static float noisy[STUDENT_MICROPHONES * STUDENT_BINS * 2], expected[STUDENT_BINS * 2], enhanced[STUDENT_BINS * 2];
static float input[STUDENT_HOP * STUDENT_MICROPHONES], output[STUDENT_HOP];

int main(int argc, char **argv)
{
    FILE *in = fopen(argv[argc - 2], "rb"), *want = fopen(argv[argc - 1], "rb");
    float worst = 0.0f, loudest = 0.0f;
    int frames = 0, i;
    student_init(&state);
    while (fread(noisy, sizeof noisy, 1, in) == 1 && fread(expected, sizeof expected, 1, want) == 1) {
        student_frame(&state, noisy, enhanced);
        for (i = 0; i < STUDENT_BINS * 2; i++) {
            if (!(fabsf(enhanced[i] - expected[i]) <= worst))
                worst = fabsf(enhanced[i] - expected[i]);
            if (fabsf(expected[i]) > loudest)
                loudest = fabsf(expected[i]);
        }
        frames++;
    }
    for (i = 0; i < 3; i++)
        student_hop(&state, input, output);
    fclose(in);
    fclose(want);
    printf("%d %g %g %lu", frames, worst, loudest, (unsigned long)sizeof state);
    return 0;
}
"""


def network(size: Size) -> FTJNF:
    torch.manual_seed(1)
    net = FTJNF(size).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)  # the masks of a fresh network hardly depend on its input
    return net


@needs_compiler
@pytest.mark.parametrize("flags", [("-O2",), ("-O1", *CLEAN)], ids=["optimised", "sanitised"])
@pytest.mark.parametrize("size", SIZES[:2], ids=repr)
def test_a_c_program_reproduces_the_golden_frames_without_a_warning(
    size: Size, flags: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "student"
    export_student(network(size), {}, folder)
    with np.load(folder / "golden.npz") as golden:
        golden["noisy"].tofile(tmp_path / "noisy.f32")
        golden["enhanced"].tofile(tmp_path / "enhanced.f32")
    (tmp_path / "golden.c").write_text(GOLDEN)
    sources = [folder / "student.c", tmp_path / "golden.c"]
    compile_c(sources, tmp_path / "golden", [*STRICT, *flags, f"-I{folder}"])
    command = [tmp_path / "golden", tmp_path / "noisy.f32", tmp_path / "enhanced.f32"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    frames, worst, loudest, state_bytes = map(float, done.stdout.split())
    assert frames == 100
    assert worst <= TOLERANCE
    assert loudest > 100 * TOLERANCE
    assert state_bytes == c_state_bytes(size)


@needs_compiler
@pytest.mark.parametrize("size", SIZES, ids=repr)
def test_frames_and_last_state_are_those_of_the_network_for_any_shape(size: Size, tmp_path: Path) -> None:
    net, probe = network(size), probe_frames(size.microphones, 30)
    write_c(net, tmp_path)
    output, expected = run_c(CStudent(tmp_path, size, ["-O2"]), probe), run_stream(net, probe)
    for theirs in (expected.enhanced, expected.h, expected.c):
        assert np.abs(theirs).max() > 100 * TOLERANCE
    assert largest_difference([expected, output]) <= TOLERANCE


@needs_compiler
@pytest.mark.parametrize("size", SIZES[1:3], ids=repr)
def test_hops_of_samples_are_enhanced_as_by_the_network_on_the_whole(size: Size, tmp_path: Path) -> None:
    net = network(size)
    write_c(net, tmp_path)
    assert prove_hops(net, CStudent(tmp_path, size, ["-O2"]), hops=30) < 1e-6


TWO = """\
#include <stdio.h>
#define STUDENT_PREFIX near_
#include "near/student.h"
#include "near/student.h"
#undef STUDENT_PREFIX
#define STUDENT_PREFIX far_
#include "far/student.h"

static near_student_state near_state;
static far_student_state far_state;
static float input[256 * 5], output[2][256];

int main(void)
{
    int hop, n;
    near_student_init(&near_state);
    far_student_init(&far_state);
    for (hop = 0; hop < 3; hop++) {
        for (n = 0; n < 256 * 5; n++)
            input[n] = (float)((n * 7919 + hop) % 1000) / 1000.0f - 0.5f;
        near_student_hop(&near_state, input, output[0]);
        far_student_hop(&far_state, input, output[1]);
    }
    for (n = 0; n < 2 * 256; n++)
        printf("%.9g ", output[n / 256][n % 256]);
    return 0;
}
"""


@needs_compiler
def test_two_students_are_linked_into_one_program_by_prefixes(tmp_path: Path) -> None:
    n = np.arange(256 * 5)
    hops = [((n * 7919 + hop) % 1000 / np.float32(1000) - 0.5).astype(np.float32).reshape(256, 5) for hop in range(3)]
    expected, objects = [], []
    for name, size in (("near", SIZES[0]), ("far", SIZES[1])):
        (tmp_path / name).mkdir()
        write_c(network(size), tmp_path / name)
        student = CStudent(tmp_path / name, size, ["-O2"])
        expected += [student.hop(hop) for hop in hops][-1:]
        objects.append(tmp_path / f"{name}.o")
        compile_c([tmp_path / name / "student.c"], objects[-1], ["-O2", *STRICT, "-c", f"-DSTUDENT_PREFIX={name}_"])
    (tmp_path / "two.c").write_text(TWO)
    compile_c([tmp_path / "two.c", *objects], tmp_path / "two", [*STRICT, f"-I{tmp_path}"])
    done = subprocess.run([tmp_path / "two"], capture_output=True, text=True, check=True)
    printed = np.array(done.stdout.split(), np.float32).reshape(2, 256)
    assert np.abs(printed[0] - printed[1]).max() > 1e-3
    np.testing.assert_allclose(printed, expected, atol=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=repr)
def test_the_constants_take_what_the_card_says(size: Size) -> None:
    header, source = c_source(network(size))
    shapes = re.findall(r"^static const float \w+((?:\[\d+\])+)", source, re.MULTILINE)
    floats = sum(math.prod(map(int, re.findall(r"\d+", shape))) for shape in shapes)
    assert 4 * floats == c_constant_bytes(size)
    assert f"about {math.ceil(4 * floats / 1000)} kB of constants" in header


@needs_compiler
def test_no_input_gives_anything_but_numbers(tmp_path: Path) -> None:
    net = network(SIZES[0])
    write_c(net, tmp_path)
    student = CStudent(tmp_path, SIZES[0], ["-O2"])
    for value in (0.0, 1.0, -1e-30, 1e6):
        assert np.isfinite(student.hop(np.full((256, 5), value, np.float32))).all()
    student.frame(np.full((5, 257, 2), np.nan, np.float32))
    # what is no number is gone after one frame: it does not stay in the state
    assert np.isfinite(student.state[0]).all()
    assert np.isfinite(student.frame(np.zeros((5, 257, 2), np.float32))).all()


@needs_compiler
def test_tanh_is_as_accurate_as_the_program_says(tmp_path: Path) -> None:
    _, source = c_source(network(Size(1, 1, microphones=1)))
    (tmp_path / "student.h").write_text(c_source(network(Size(1, 1, microphones=1)))[0])
    probe = "\nvoid probe(const float *x, float *y, int n)\n{\n    while (n--)\n        *y++ = curve(*x++);\n}\n"
    (tmp_path / "curve.c").write_text(source + probe)
    compile_c([tmp_path / "curve.c"], tmp_path / "curve.so", ["-O2", "-shared", "-fPIC"])
    import ctypes

    pointer = ctypes.POINTER(ctypes.c_float)
    x = np.concatenate([np.linspace(-12, 12, 200_001), [1e30, -1e30, np.inf, -np.inf, 1e-30]]).astype(np.float32)
    y = np.empty_like(x)
    ctypes.CDLL(str(tmp_path / "curve.so")).probe(x.ctypes.data_as(pointer), y.ctypes.data_as(pointer), len(x))
    assert np.abs(y - np.tanh(x.astype(np.float64))).max() < 6e-7
    assert np.abs(y).max() <= 1.0


def test_the_program_allocates_nothing_and_includes_only_what_every_c_has() -> None:
    header, source = c_source(network(SIZES[1]))
    assert {line for line in (header + source).splitlines() if line.startswith("#include")} == {
        '#include "student.h"', "#include <stdint.h>", "#include <string.h>",
    }  # fmt: skip
    assert "alloc(" not in source
    assert "$" not in header + source
