from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from data.files import write_json
from search.config import SearchConfig
from search.dimensions import Dimension
from search.flags import parser, read_flags, search_config
from search.preset import PRESETS
from search.stopping import PATIENCE

FOLDERS = ["--speech", "a", "--noise", "b", "--rirs", "c"]


def config_of(*flags: str) -> SearchConfig:
    return search_config(read_flags(["--budget", "1.0GMAC", *flags]))


def test_preset_follows_from_folders_and_time() -> None:
    assert config_of().preset == "demo"
    assert config_of("--time-budget", "1h").preset == "demo"
    assert config_of(*FOLDERS, "--time-budget", "1h").preset == "short"
    assert config_of(*FOLDERS).preset == "full"
    assert config_of(*FOLDERS, "--preset", "paper").preset == "paper"


def test_each_flag_overrides_its_part_of_the_preset() -> None:
    plain = config_of("--name", "x")
    config = config_of(
        "--name", "x", "--methods", " none , t-lstm", "--schedules", "linear,constant", "--init", "random",
        "--sizes", "E,G", "--trials", "3", "--sampler", "random",
        "--epochs", "2", "--lr", "1e-4", "--lr-schedule", "plateau",
        "--batch", "2", "--alpha", "0.3", "--gram", "frame", "--gram-normalise", "cosine", "--soft-scale", "none",
        "--precision", "fp32", "--teacher-size", "B", "--teacher-time", "2min", "--time-budget", "1h30min",
        "--cpus-per-trial", "2", "--seed", "7", "--train-clips", "9", "--no-remix",
    )  # fmt: skip
    assert (config.methods, config.schedules, config.inits) == (("none", "t-lstm"), ("linear", "constant"), ("random",))
    assert (config.sizes, config.trials, config.sampler) == (("E", "G"), 3, "random")
    train = config.train
    assert (train.epochs, train.lr, train.lr_schedule, train.batch, train.alpha) == (2, 1e-4, "plateau", 2, 0.3)
    assert (train.gram.form, train.gram.normalise, train.soft_scale, train.precision) == (
        "frame", "cosine", "none", "fp32",
    )  # fmt: skip
    assert (config.teacher_size, config.teacher_time, config.time_budget) == ("B", 120, 5400)
    assert (config.cpus_per_trial, config.seed, train.seed, config.data.seed) == (2, 7, 7, 7)
    assert (config.data.train_clips, config.data.val_clips) == (9, plain.data.val_clips)
    assert train.clip_norm == plain.train.clip_norm  # what no flag names stays


def test_halving_is_left_to_the_search_where_all_students_are_not_to_be_measured() -> None:
    assert config_of(*FOLDERS).halving is None
    assert config_of("--halving", "on", "--sampler", "grid").halving is True
    assert config_of(*FOLDERS, "--halving", "off").halving is False
    for flags in (["--sampler", "grid"], ["--repeats", "2"], ["--preset", "paper"]):
        assert config_of(*FOLDERS, *flags).halving is False


def test_paper_trains_the_papers_teacher_and_needs_corpora() -> None:
    assert config_of(*FOLDERS, "--preset", "paper").teacher_size == "A"
    assert config_of(*FOLDERS, "--preset", "paper", "--teacher-size", "B").teacher_size == "B"
    assert config_of(*FOLDERS, "--preset", "paper", "--teacher", "t.safetensors").teacher_size is None
    with pytest.raises(InputError, match=r"--preset paper .* give --speech, --noise and --rirs"):
        config_of("--preset", "paper")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--teacher", "t.safetensors", "--teacher-size", "B"], "--teacher-size is .* but --teacher t.safetensors"),
        (["--teacher", "t.safetensors", "--teacher-time", "9min"], "--teacher-time is .* leave one of the two out"),
        (["--teacher-time", "2min"], "demo's teacher is trained already; add --teacher-size"),
        (["--alpha", "0.3"], "add --schedules constant"),
        (["--alpha", "0.3", "--schedules", "constant", "--methods", "none"], "--alpha is for KD"),
        (["--gram", "frame", "--methods", "none,linear"], "--gram is for .*t-lstm.*; add one to --methods"),
        (["--gram-normalise", "cosine", "--methods", "none"], "leave --gram-normalise out"),
    ],
)
def test_flag_that_nothing_heeds_is_refused(flags: list[str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        config_of(*flags)


def test_flags_that_are_heeded_are_taken() -> None:
    assert config_of("--alpha", "0.3", "--schedules", "constant").train.alpha == 0.3
    assert config_of("--gram", "frame").train.gram.form == "frame"
    assert config_of(*FOLDERS, "--teacher-time", "2min").teacher_time == 120
    assert config_of("--teacher-size", "C", "--teacher-time", "2min").teacher_time == 120


def space_file(folder: Path, text: str) -> str:
    path = folder / "space.yaml"
    path.write_text(text)
    return str(path)


def test_space_file_overrides_its_parts_of_the_preset(tmp_path: Path) -> None:
    text = "kd_method: [none, multi]\nalpha_schedule: constant\nalpha: [0.2, 0.4]\nsizes: [E, 64/16]\nrepeats: 2\n"
    config = config_of("--space", space_file(tmp_path, text))
    assert (config.methods, config.schedules, config.sizes) == (("none", "multi"), ("constant",), ("E", "64/16"))
    assert (config.repeats, config.dimensions) == (2, (Dimension("alpha", (0.2, 0.4)),))
    assert config.inits == PRESETS["demo"].inits  # what the file does not name stays
    grid = config_of("--space", space_file(tmp_path, "f_hidden: {from: 8, to: 24, step: 8}\nt_hidden: 4\n"))
    assert [str(size) for size in grid.space(5).feasible()] == ["8/4", "16/4", "24/4"]


def test_priors_can_be_switched_off() -> None:
    assert config_of().priors == "paper"
    assert config_of("--priors", "none").space(5).priors == "none"


def test_resumed_search_needs_its_space_file_no_more_and_takes_no_other(tmp_path: Path) -> None:
    file = space_file(tmp_path, "alpha_schedule: constant\nalpha: [0.2, 0.4]\nf_hidden: [16, 32]\n")
    begun = config_of("--space", file, "--storage", str(tmp_path), "--name", "x", "--priors", "none")
    write_json(tmp_path / "x" / "search.json", begun.to_dict())
    Path(file).unlink()
    resume = ["--resume", "x", "--storage", str(tmp_path)]
    assert search_config(read_flags(resume)) == begun
    for flags in (["--space", file], ["--priors", "paper"]):
        with pytest.raises(InputError, match=f"{flags[0]} .* cannot be given with --resume"):
            search_config(read_flags([*resume, *flags]))


def test_precision_is_decided_once_for_the_whole_search() -> None:
    assert config_of().train.precision in ("fp32", "bf16")  # not "auto": a resumed student must be the same student


def test_searches_without_a_name_are_named_by_the_time() -> None:
    assert config_of().name[:3] == "202"


def test_paths_hold_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    config = config_of(
        *FOLDERS, "--teacher", "t.safetensors", "--array", "mine.json", "--tracking-uri", "sqlite:///m.db"
    )
    assert (config.data.speech, config.data.noise, config.data.rirs) == tuple(tmp_path / name for name in "abc")
    assert config.teacher == str(tmp_path / "t.safetensors")
    assert config.data.array == str(tmp_path / "mine.json")
    assert config.tracking_uri == f"sqlite:///{tmp_path / 'm.db'}"
    assert config.storage == str(tmp_path / "runs")

    words = config_of("--teacher", "none", "--array", "line", "--tracking-uri", "http://here:5000")
    assert (words.teacher, words.data.array, words.tracking_uri) == ("none", "line", "http://here:5000")


@pytest.mark.parametrize("budget", ["-1GMAC", "-0.5GMAC/s"])
def test_budget_below_zero_is_taken_for_a_budget_not_for_a_flag(budget: str) -> None:
    with pytest.raises(InputError, match="above zero"):
        search_config(read_flags(["--budget", budget]))


def test_help_has_an_example_and_explains_the_units() -> None:
    text = parser().format_help()
    assert "python search/run.py --budget 1.0GMAC" in text
    assert "--resume headset" in text
    assert "GMAC/s" in text
    assert not [action.option_strings for action in parser()._actions if not action.help]


def test_own_corpora_are_certain_by_default_and_the_demo_and_the_paper_are_not() -> None:
    assert config_of().repeat_front == 0
    assert config_of(*FOLDERS).repeat_front == 2
    assert config_of(*FOLDERS, "--time-budget", "1h").repeat_front == 2
    assert config_of(*FOLDERS, "--preset", "paper").repeat_front == 0
    assert config_of("--repeat-front", "3").repeat_front == 3
    with pytest.raises(InputError, match="--repeat-front must be 0 or more but is -1"):
        config_of("--repeat-front", "-1")


def test_repeats_are_all_trained_to_their_end_whether_a_flag_or_a_file_asks_for_them(tmp_path: Path) -> None:
    for text, flags in (("repeats: 3", []), ("bi_freq: false", ["--repeats", "3"])):
        config = config_of(*FOLDERS, "--space", space_file(tmp_path, text), *flags)
        assert (config.repeats, config.halving, config.patience) == (3, False, 0)


def test_searches_that_are_to_go_through_everything_have_no_patience_by_default() -> None:
    assert config_of().patience == PATIENCE
    assert config_of("--sampler", "random").patience == PATIENCE
    assert config_of("--sampler", "grid").patience == 0
    assert config_of("--sampler", "grid", "--patience", "12").patience == 12
    assert config_of("--patience", "0").patience == 0
    with pytest.raises(InputError, match="--patience must be 0 or more but is -2"):
        config_of("--patience", "-2")
