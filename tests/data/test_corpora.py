"""Readers of real corpus layouts, on small files made here."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import RATE
from data.corpora import Clip, UnusableAudio, decode, read_noise, read_rirs, read_speech, split_clips
from data.errors import InputError

HEADER = ["client_id", "path", "sentence", "up_votes", "locale"]


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def table(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> None:
    (path.parent / "clips").mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in [header, *rows]), encoding="utf-8")


def tone(seconds: float = 0.5, rate: int = RATE, hertz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def speakers(clips: list[Clip]) -> set[str]:
    return {clip.group for clip in clips}


def many_clips() -> list[Clip]:
    return [Clip(Path(f"{g}/{i}.wav"), f"speaker {g}") for g in range(30) for i in range(1 + g % 7)]


# Common Voice


def test_common_voice_is_read_with_its_own_splits(tmp_path):
    for name, who in (("train", "a"), ("dev", "b"), ("test", "c"), ("validated", "d")):
        table(tmp_path / "de" / f"{name}.tsv", [[who, f"{name}.mp3", "Guten Tag.", "2", "de"]])
    clips = read_speech(tmp_path / "de")
    assert {(clip.group, clip.split, clip.path.name) for clip in clips} == {
        ("a", "train", "train.mp3"),
        ("b", "val", "dev.mp3"),
        ("c", "test", "test.mp3"),
    }
    assert clips[0].path.parent == tmp_path / "de" / "clips"
    assert read_speech(tmp_path) == clips, "the release folder with one language is that language"


def test_common_voice_columns_are_found_by_name_in_any_order(tmp_path):
    table(tmp_path / "train.tsv", [["de", "x.mp3", "anna"]], ["locale", "path", "client_id"])
    assert [(clip.group, clip.path.name) for clip in read_speech(tmp_path)] == [("anna", "x.mp3")]


def test_quotes_in_sentences_join_no_rows(tmp_path):
    sentences = {"a": '"Halt', "b": 'sagte er "laut"', "c": '"'}
    rows = [[who, f"{who}.mp3", sentence, "2", "de"] for who, sentence in sentences.items()]
    table(tmp_path / "train.tsv", rows)
    assert [clip.group for clip in read_speech(tmp_path)] == ["a", "b", "c"]


def test_common_voice_path_without_suffix_is_an_mp3(tmp_path):
    table(tmp_path / "train.tsv", [["a", "old_name", "", "", ""]])
    assert read_speech(tmp_path)[0].path.name == "old_name.mp3"


def test_validated_alone_is_split_by_speaker(tmp_path):
    table(tmp_path / "validated.tsv", [[f"s{i % 10}", f"{i}.mp3", "", "", ""] for i in range(40)])
    parts = split_clips(read_speech(tmp_path), seed=0)
    assert [len(speakers(parts[name])) for name in ("train", "val", "test")] == [8, 1, 1]
    assert sum(len(part) for part in parts.values()) == 40


def test_missing_column_names_the_file_and_the_column(tmp_path):
    table(tmp_path / "train.tsv", [["x.mp3", "hallo"]], ["path", "sentence"])
    with pytest.raises(InputError, match=r"train\.tsv has no column 'client_id'"):
        read_speech(tmp_path)


def test_several_languages_ask_for_one(tmp_path):
    table(tmp_path / "de" / "train.tsv", [])
    table(tmp_path / "en" / "train.tsv", [])
    with pytest.raises(InputError, match="several languages \\(de, en\\)"):
        read_speech(tmp_path)


def test_tables_without_rows_or_without_clips_folder_are_refused(tmp_path):
    table(tmp_path / "train.tsv", [])
    with pytest.raises(InputError, match="list no clips"):
        read_speech(tmp_path)
    (tmp_path / "clips").rmdir()
    with pytest.raises(InputError, match="no folder clips"):
        read_speech(tmp_path)


# Plain folders


def test_speaker_of_a_plain_folder_is_its_first_sub_folder(tmp_path):
    touch(tmp_path, "anna/a.wav", "anna/deep/b.FLAC", "bert/c.ogg", "bert/notes.txt", "bert/._c.ogg")
    assert [(clip.group, clip.path.name) for clip in read_speech(tmp_path)] == [
        ("anna", "a.wav"),
        ("anna", "b.FLAC"),
        ("bert", "c.ogg"),
    ]


def test_split_folders_of_a_plain_folder_are_kept(tmp_path):
    touch(tmp_path, "train-clean-100/84/1/84-1-0.flac", "dev/85/x.flac", "test/86/y.flac")
    splits = {clip.group: clip.split for clip in read_speech(tmp_path)}
    assert splits == {"84": "train", "85": "val", "86": "test"}
    assert {clip.split for clip in read_noise(tmp_path)} == {"train", "val", "test"}
    assert {clip.split for clip in read_rirs(tmp_path)} == {"train", "val", "test"}


def test_files_without_sub_folder_are_named_after_their_speaker_number(tmp_path):
    touch(tmp_path, "84-121123-0001.flac", "84-121123-0002.flac", "anna_1.wav", "anna_2.wav")
    assert [clip.group for clip in read_speech(tmp_path)] == ["84", "84", "anna_1", "anna_2"]


def test_link_back_to_the_root_ends(tmp_path):
    touch(tmp_path, "anna/a.wav")
    (tmp_path / "anna" / "again").symlink_to(tmp_path)
    assert len(read_speech(tmp_path)) == 1


@pytest.mark.parametrize("read", [read_speech, read_noise, read_rirs])
def test_folder_that_is_missing_a_file_or_without_audio_is_refused(tmp_path, read):
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "nowhere")
    touch(tmp_path, "a.wav", "empty/readme.txt")
    with pytest.raises(InputError, match="is a file"):
        read(tmp_path / "a.wav")
    with pytest.raises(InputError, match="holds no audio"):
        read(tmp_path / "empty")


def test_pieces_of_a_noise_recording_are_one_group(tmp_path):
    touch(tmp_path, "fan_7_0.wav", "fan_7_1.wav", "fan_8_0.wav", "rain.wav", "roof/rain.wav")
    assert [clip.group for clip in read_noise(tmp_path)] == ["fan_7", "fan_7", "fan_8", "rain", "roof/rain"]


# Room impulse responses


def slr26(root: Path, name: str = "simulated_rirs_16k") -> Path:
    for size in ("small", "medium", "large"):
        folder = root / name / f"{size}room"
        files = [f"Room{r:03}/Room{r:03}-{i:05}.wav" for r in (1, 2, 3) for i in (1, 2)]
        touch(folder, *files)
        lines = [f"--rir-id {size}-{f[8:-4]} --room-id {size}-{f[:7]} simulated_rirs_16k/{size}room/{f}" for f in files]
        (folder / "rir_list").write_text("\n".join(lines) + "\n")
    return root / name


@pytest.mark.parametrize("name", ["simulated_rirs_16k", "renamed"])
def test_rir_list_is_read_from_the_root_and_its_parent(tmp_path, name):
    root = slr26(tmp_path, name)
    clips = read_rirs(root)
    assert len(clips) == 18
    assert all(clip.path.is_file() for clip in clips)
    if name == "simulated_rirs_16k":
        assert read_rirs(tmp_path) == clips


def test_rooms_of_one_number_in_two_classes_are_two_groups(tmp_path):
    clips = read_rirs(slr26(tmp_path))
    assert len({clip.group for clip in clips}) == 9
    assert {clip.stratum for clip in clips} == {"smallroom", "mediumroom", "largeroom"}
    assert "smallroom/Room001" in speakers(clips)


def test_slr26_without_lists_is_read_by_its_folders(tmp_path):
    root = slr26(tmp_path)
    listed = sorted(read_rirs(root), key=lambda clip: clip.path)
    for path in root.glob("*/rir_list"):
        path.unlink()
    assert sorted(read_rirs(root), key=lambda clip: clip.path) == listed


def test_rir_list_line_without_a_path_is_refused(tmp_path):
    root = slr26(tmp_path)
    (root / "smallroom" / "rir_list").write_text("--rir-id a --room-id b\n")
    with pytest.raises(InputError, match=r"line 1 of .*rir_list"):
        read_rirs(root)


def test_room_of_any_other_folder_is_the_folder_or_the_file(tmp_path):
    touch(tmp_path, "hall/1.wav", "hall/2.wav", "cellar.wav")
    assert [clip.group for clip in read_rirs(tmp_path)] == ["cellar", "hall", "hall"]


def test_room_with_sub_folders_of_its_own_stays_one_room(tmp_path):
    touch(tmp_path, "hall/mic1/a.wav", "hall/mic2/b.wav", "hall/c.wav", "nave/deep/er/d.wav", "cellar/e.wav")
    clips = read_rirs(tmp_path)
    assert [clip.group for clip in clips] == ["cellar", "hall", "hall", "hall", "nave"]
    homes = {(clip.group, split) for split, part in split_clips(clips, seed=0).items() for clip in part}
    assert len(homes) == 3, "each room in one split"


def test_room_in_two_split_folders_goes_whole_to_one_split(tmp_path):
    touch(tmp_path, "train/hall/a.wav", "train/hall/b.wav", "test/hall/c.wav", "test/nave/d.wav")
    touch(tmp_path, "train/cellar/e.wav", "val/attic/f.wav")
    parts = split_clips(read_rirs(tmp_path), seed=0)
    assert {split: speakers(part) for split, part in parts.items()} == {
        "train": {"hall", "cellar"}, "val": {"attic"}, "test": {"nave"},
    }  # fmt: skip


def test_size_classes_further_down_are_read_by_class_and_room(tmp_path):
    expected = {(clip.group, clip.stratum) for clip in read_rirs(slr26(tmp_path / "all" / "SLR26"))}
    assert {(clip.group, clip.stratum) for clip in read_rirs(tmp_path / "all")} == expected


def test_every_size_class_is_in_every_split(tmp_path):
    parts = split_clips(read_rirs(slr26(tmp_path)), seed=3)
    assert all(len({clip.stratum for clip in part}) == 3 for part in parts.values())


# Splits


def test_splits_share_no_group_and_lose_no_clip():
    clips = many_clips()
    parts = split_clips(clips, seed=1)
    groups = [speakers(parts[name]) for name in ("train", "val", "test")]
    assert sum(len(group) for group in groups) == len(set.union(*groups)) == 30
    assert {clip.path for part in parts.values() for clip in part} == {clip.path for clip in clips}
    assert all(clip.split == name for name, part in parts.items() for clip in part)
    assert len(parts["val"]) == pytest.approx(0.1 * len(clips), abs=1)
    assert len(parts["test"]) == pytest.approx(0.1 * len(clips), abs=1)


def test_split_follows_the_seed_and_not_the_order_of_the_files():
    clips = many_clips()
    assert split_clips(clips, seed=1) == split_clips(clips[::-1], seed=1)
    assert split_clips(clips, seed=1) != split_clips(clips, seed=2)


def test_speaker_with_most_of_the_clips_stays_in_training():
    clips = [Clip(Path(f"big/{i}"), "big") for i in range(50)] + [Clip(Path(f"{i}"), f"s{i}") for i in range(20)]
    for seed in range(5):
        assert "big" in speakers(split_clips(clips, seed)["train"])


def test_missing_validation_is_carved_out_of_training_only():
    clips = [Clip(Path(f"{i}"), f"s{i}", "test" if i < 5 else "train") for i in range(50)]
    parts = split_clips(clips, seed=0)
    assert speakers(parts["test"]) == {f"s{i}" for i in range(5)}
    assert len(parts["val"]) == 5
    assert len(parts["train"]) == 40


def test_speaker_torn_apart_by_the_own_splits_goes_where_most_clips_are():
    clips = [Clip(Path(f"{i}"), "torn", "test" if i == 0 else "train") for i in range(5)]
    clips += [Clip(Path(f"{name}{i}"), f"{name}{i}", name) for name in ("train", "val", "test") for i in range(2)]
    parts = split_clips(clips, seed=0)
    assert [clip.group for clip in parts["test"]] == ["test0", "test1"]
    assert sum(clip.group == "torn" for clip in parts["train"]) == 5


@pytest.mark.parametrize("stratum", ["", "own"])
def test_three_groups_are_enough_and_two_are_not(stratum):
    clips = [Clip(Path(f"{i}"), f"s{i}", stratum=stratum and str(i)) for i in range(3)]
    assert [len(part) for part in split_clips(clips, seed=0).values()] == [1, 1, 1]
    with pytest.raises(InputError, match=r"2 speakers are too few .* at least 3 speakers"):
        split_clips(clips[:2], seed=0, groups_are="speakers")


def test_own_splits_without_training_are_refused():
    with pytest.raises(InputError, match="none for training"):
        split_clips([Clip(Path("a"), "a", "test"), Clip(Path("b"), "b", "val")], seed=0)


# Decoding


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 8_000])
def test_any_rate_becomes_16_khz_and_keeps_frequency_and_level(tmp_path, name, rate):
    soundfile.write(tmp_path / name, tone(2.0, rate), rate)
    samples = decode(tmp_path / name)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(2 * RATE, abs=0.15 * RATE)  # codecs pad
    middle = samples[RATE // 2 : RATE // 2 + RATE].astype(float)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(RATE)))
    assert np.argmax(spectrum) == pytest.approx(440, abs=1)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=0.02)


def test_channels_are_averaged_but_of_a_room_response_the_first_is_taken(tmp_path):
    left, right = tone(peak=0.5), tone(peak=0.1)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "a.wav"), 0.5 * (left + right), atol=1e-6)
    np.testing.assert_allclose(decode(tmp_path / "a.wav", "rir"), left, atol=1e-6)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_dead_channel_of_a_stereo_file_neither_clips_nor_halves_the_other(tmp_path, name, dead, rate):
    sound = np.random.default_rng(0).normal(0, 0.1, 2 * rate)
    stereo = np.stack([0 * sound, sound] if dead == 0 else [sound, 0 * sound], axis=1)
    soundfile.write(tmp_path / name, stereo, rate)
    soundfile.write(tmp_path / f"mono-{name}", sound, rate)
    for kind in ("speech", "noise"):
        expected = decode(tmp_path / f"mono-{name}", kind)
        assert np.std(decode(tmp_path / name, kind)) == pytest.approx(np.std(expected), rel=0.03)


def test_channel_of_the_last_bit_alone_counts_as_dead(tmp_path):
    sound = tone()
    bit = np.random.default_rng(0).integers(-1, 2, len(sound)) / 2**15
    soundfile.write(tmp_path / "a.wav", np.stack([sound, bit], axis=1), RATE)
    np.testing.assert_allclose(decode(tmp_path / "a.wav"), sound, atol=1e-4)


@pytest.mark.parametrize("kind", ["speech", "noise"])
def test_only_speech_can_be_too_short(tmp_path, kind):
    soundfile.write(tmp_path / "enough.wav", tone(0.25), RATE)
    soundfile.write(tmp_path / "short.wav", tone(0.24), RATE)
    assert len(decode(tmp_path / "enough.wav", kind)) == RATE // 4
    if kind == "noise":
        assert len(decode(tmp_path / "short.wav", kind)) == round(0.24 * RATE)
    else:
        with pytest.raises(UnusableAudio, match="too short"):
            decode(tmp_path / "short.wav", kind)


def spoilt(path: Path) -> str:
    """Writes one unusable file by its name and returns the reason that is expected."""
    rng = np.random.default_rng(0)
    sound = tone()
    if path.stem == "corrupt":
        path.write_bytes(rng.bytes(3000))
        return "undecodable"
    if path.stem == "nothing":
        path.touch()
        return "empty"
    if path.stem == "missing":
        return "file missing"
    content, reason = {
        "no_frames": (sound[:0], "empty"),
        "nan": (np.where(np.arange(len(sound)) == 9, np.nan, sound), "NaN or infinite samples"),
        "inf": (np.where(np.arange(len(sound)) == 9, np.inf, sound), "NaN or infinite samples"),
        "silent": (1e-4 * sound, "silent"),
        "zeros": (0 * sound, "silent"),
        "click": (np.where(np.arange(len(sound)) == 9, 0.005, 0.0), "silent"),
        "opposite": (np.stack([sound, -sound], axis=1), "silent"),
        "clipped": (np.clip(3 * sound, -0.8, 0.8), "clipped flat"),
        "constant": (np.full(len(sound), 0.5), "clipped flat"),
    }[path.stem]
    soundfile.write(path, content, RATE, subtype="FLOAT")
    return reason


SPOILT = [
    "corrupt.mp3",
    "corrupt.wav",
    "nothing.wav",
    "nothing.mp3",
    "missing.wav",
    "no_frames.wav",
    "nan.wav",
    "inf.wav",
    "silent.wav",
    "zeros.wav",
    "click.wav",
    "opposite.wav",
    "clipped.wav",
    "constant.wav",
]


@pytest.mark.parametrize("name", SPOILT)
def test_unusable_audio_says_why(tmp_path, name):
    reason = spoilt(tmp_path / name)
    with pytest.raises(UnusableAudio) as caught:
        decode(tmp_path / name)
    assert caught.value.reason == reason


def test_room_response_of_one_pulse_is_usable_and_of_zeros_is_not(tmp_path):
    response = np.zeros(1000)
    soundfile.write(tmp_path / "zero.wav", response, RATE)
    response[3] = 1e-3
    soundfile.write(tmp_path / "pulse.wav", response, RATE, subtype="FLOAT")
    assert np.argmax(decode(tmp_path / "pulse.wav", "rir")) == 3
    with pytest.raises(UnusableAudio, match="all zero"):
        decode(tmp_path / "zero.wav", "rir")


def test_loud_but_unclipped_noise_is_usable(tmp_path):
    sound = np.random.default_rng(0).uniform(-1, 1, RATE)
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    assert len(decode(tmp_path / "a.wav", "noise")) == RATE


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_linked_speaker_folder_is_followed(tmp_path):
    touch(tmp_path, "elsewhere/x.wav")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "anna").symlink_to(tmp_path / "elsewhere")
    assert [clip.group for clip in read_speech(tmp_path / "root")] == ["anna"]
