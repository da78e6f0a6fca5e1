"""Space files: what they may say, and what is wrong with those that cannot be used, with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from search.dimensions import Dimension
from search.space_file import SpaceFile, read_space_file


@pytest.fixture
def read(tmp_path: Path):
    def parse(text: str, name: str = "space.yaml") -> SpaceFile:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_space_file(path)

    return parse


FULL = """
# a comment
f_hidden: {from: 16, to: 40, step: 8}
t_hidden: [8, 4]
bi_freq: true
kd_method:
  - none
  - t-lstm
alpha_schedule: [constant, cosine]
alpha: [0.7, 0.3]
ramp: 0.25
lr: [1e-3, 5e-4]
gram_form: [positions, exact]
init: random
repeats: 2
"""

TABBED = """{
\t"f_hidden": {"from": 16, "to": 40, "step": 8},
\t"t_hidden": [8, 4], "bi_freq": true, "kd_method": ["none", "t-lstm"], "alpha_schedule": ["constant", "cosine"],
\t"alpha": [0.7, 0.3], "ramp": 0.25, "lr": [1e-3, 5e-4], "gram_form": ["positions", "exact"],
\t"init": "random", "repeats": 2
}"""


@pytest.mark.parametrize(("text", "name"), [(FULL, "space.yaml"), (TABBED, "space.json")])
def test_all_parts_are_read_from_yaml_and_from_json(read, text: str, name: str) -> None:
    file = read(text, name)
    assert (file.f_hidden, file.t_hidden, file.bi_freq) == ((16, 24, 32, 40), (4, 8), True)
    assert (file.methods, file.schedules, file.inits) == (("none", "t-lstm"), ("constant", "cosine"), ("random",))
    assert file.repeats == 2
    assert file.dimensions == (
        Dimension("alpha", (0.3, 0.7)),
        Dimension("ramp", (0.25,)),
        Dimension("lr", (5e-4, 1e-3)),
        Dimension("gram_form", ("positions", "exact")),
    )


def test_what_is_left_out_is_none(read) -> None:
    file = read("sizes: [64/16, E]")
    assert file == SpaceFile(sizes=("64/16", "E"), places=file.places)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kd_methods: [none]", r"line 1: the key 'kd_methods' is not known; did you mean kd_method\?"),
        ("# hm\nalhpa: [0.3]", r"line 2: the key 'alhpa' is not known; did you mean alpha\?"),
        ("zzz: 1", r"'zzz' is not known; choose from f_hidden, .*gram_normalise"),
        ("lr: [1e-3]\nlr: [1e-4]", r"line 2: lr stands here a second time \(.*line 1\)"),
        ("kd_method: [none, linaer]", r"line 1: kd_method cannot be 'linaer'; choose .* did you mean linear\?"),
        ("kd_method: [none, none]", "kd_method names one twice"),
        ("kd_method: []", "kd_method is an empty list"),
        ("kd_method: ~", "kd_method cannot be None"),
        ("init: {slice: 1}", "init cannot be"),
        ("\nalpha: [0.3, 1.5]", r"line 2: alpha cannot be 1.5: .* between 0 and 1"),
        ("alpha: [half]", "alpha cannot be 'half'"),
        ("alpha: {from: 0.1, to: 0.9}", r"alpha must be a list of options"),
        ("alpha: [[0.3]]", r"alpha cannot be \[0.3\]"),
        ("alpha: [true]", "alpha cannot be True"),
        ("lr: [-1e-3]", "lr cannot be -0.001"),
        ("lr: [.nan]", "lr cannot be nan"),
        ("gram_form: [1]", "gram_form must be a list of words"),
        ("gram_form: [whole]", "gram_form cannot be 'whole'.*choose from positions"),
        ("f_hidden: [0]", "f_hidden has 0, but hidden units are whole numbers from 1 to 4096"),
        ("f_hidden: [8.5]", "f_hidden has 8.5"),
        ("f_hidden: {from: 8, until: 16}", "f_hidden must have the keys from, to and step, not from, until"),
        ("f_hidden: {from: 16, to: 8}", "goes from 16 to 8"),
        ("f_hidden: {from: 8, to: 16, step: 0}", "f_hidden has 0"),
        ("t_hidden: many", "t_hidden has 'many'"),
        ("bi_freq: 1", "bi_freq must be true or false"),
        ("repeats: 0", "repeats must be a whole number from 1 on, not 0"),
        ("sizes: [64x16]", "size '64x16' is not understood"),
        ("sizes: [64]", r"sizes cannot have 64; write F/T"),
        ("sizes: [E]\n\nt_hidden: [8]", r"line 3: t_hidden is for a grid of sizes, but .*line 1 names the sizes"),
        ("", "holds no keys"),
        ("[none, linear]", "holds no keys"),
        ("kd_method: [none", r"line 1: this is neither YAML nor JSON"),
        ("kd_method: none\n\tinit: slice", r"line 2: this is neither YAML nor JSON"),
        ("kd_method: !!python/name:os.system []", "neither YAML nor JSON"),
        ("lr: \x00", "neither YAML nor JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_one_sentence(read, text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        read(text)
    assert "space.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--space .*none\.yaml cannot be read"):
        read_space_file(tmp_path / "none.yaml")
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match=r"--space .*picture\.yaml cannot be read"):
        read_space_file(tmp_path / "picture.yaml")
