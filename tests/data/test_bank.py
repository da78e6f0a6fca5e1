"""Banks of decoded audio, on small files made here."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

import data.bank_files
import data.decode
from data import RATE
from data.bank import build_bank, open_bank
from data.corpora import Clip
from data.errors import InputError
from data.files import file_digest
from data.sources import load_corpora


def write(path: Path, seconds: float = 0.5, level: float = 0.1, seed: int = 0, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, level, round(seconds * rate)), rate)
    return path


def some_clips(root: Path, count: int = 4, seconds: float = 0.5, speakers: int = 2) -> list[Clip]:
    return [Clip(write(root / f"{i}.wav", seconds, seed=i), f"s{i % speakers}") for i in range(count)]


def test_entries_are_the_decoded_files(tmp_path):
    clips = some_clips(tmp_path)
    bank = build_bank(clips, tmp_path / "banks", "speech")
    assert len(bank) == 4
    assert bank.seconds == pytest.approx(2.0)
    group_of = {str(clip.path): clip.group for clip in clips}
    for i in range(len(bank)):
        (source,) = bank.sources[i]
        np.testing.assert_array_equal(bank.samples(i), soundfile.read(source, dtype="float32")[0])
        assert bank.groups[i] == group_of[source]


def test_samples_are_a_read_only_view_of_the_file(tmp_path):
    bank = build_bank(some_clips(tmp_path), tmp_path / "banks", "noise")
    assert np.shares_memory(bank.samples(1), bank.audio)
    assert not bank.samples(1).flags.writeable


def test_bank_travels_to_a_process_without_its_samples(tmp_path):
    bank = build_bank(some_clips(tmp_path, seconds=2.0), tmp_path / "banks", "noise")
    sent = pickle.dumps(bank)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).samples(2), bank.samples(2))


def test_unusable_files_are_skipped_counted_and_listed(tmp_path):
    clips = some_clips(tmp_path)
    (tmp_path / "corrupt.mp3").write_bytes(np.random.default_rng(0).bytes(2000))
    (tmp_path / "empty.wav").touch()
    write(tmp_path / "silent.wav", level=1e-5)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "flat.wav", np.sign(np.sin(np.arange(4000) / 20)) * 0.9, RATE)
    bad = ["corrupt.mp3", "empty.wav", "silent.wav", "nan.wav", "flat.wav", "missing.wav"]
    bank = build_bank([*clips, *(Clip(tmp_path / name, "s") for name in bad)], tmp_path / "banks", "speech")
    assert {Path(file["path"]).name: file["reason"] for file in bank.skipped} == {
        "corrupt.mp3": "undecodable",
        "empty.wav": "empty",
        "silent.wav": "silent",
        "nan.wav": "NaN or infinite samples",
        "flat.wav": "clipped flat",
        "missing.wav": "file missing",
    }
    manifest = bank.manifest()
    assert (manifest["skipped"], manifest["clips"], manifest["groups"]) == (6, 4, 2)
    assert manifest["skipped_files"] == bank.skipped


def test_nothing_left_says_how_many_and_why(tmp_path):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).touch()
    write(tmp_path / "c.wav", level=1e-5)
    clips = [Clip(tmp_path / f"{name}.wav", name) for name in "abc"]
    with pytest.raises(InputError, match=r"none of the 3 speech files .* most often: empty"):
        build_bank(clips, tmp_path / "banks", "speech")
    assert list((tmp_path / "banks").iterdir()) == [], "a failed bank leaves nothing behind"


@pytest.mark.parametrize(("split", "named"), [("train", "training"), ("val", "validation"), ("test", "test")])
def test_nothing_left_names_the_split(tmp_path, split, named):
    (tmp_path / "a.wav").touch()
    for name in ("a.wav", "gone.wav"):
        with pytest.raises(InputError, match=f"none of the 1 noise files for {named} can be used"):
            build_bank([Clip(tmp_path / name, "a", split)], tmp_path / "banks", "noise")


def test_recording_that_is_cut_is_listed_and_used(tmp_path, monkeypatch):
    monkeypatch.setattr(data.decode, "LONGEST_SECONDS", 1)
    lengths = {"whole.wav": 1.0, "long.wav": 1.5, "long.flac": 2.0, "short.wav": 0.5}
    clips = [Clip(write(tmp_path / name, seconds, rate=22_050), name) for name, seconds in lengths.items()]
    bank = build_bank(clips, tmp_path / "banks", "noise")
    assert dict(zip(bank.groups, bank.lengths.tolist(), strict=True)) == pytest.approx(
        {name: min(1, seconds) * RATE for name, seconds in lengths.items()}, abs=1
    )
    manifest = bank.manifest()
    assert sorted(manifest["cut_files"]) == [str(tmp_path / "long.flac"), str(tmp_path / "long.wav")]
    assert (manifest["cut"], manifest["skipped"], manifest["clips"]) == (2, 0, 4)


def test_files_are_told_with_group_and_hash_also_where_they_are_joined(tmp_path):
    clips = [*some_clips(tmp_path, count=7), Clip(tmp_path / "gone.wav", "s0")]
    for join_to in (None, 1.2):
        files = build_bank(clips, tmp_path / "banks", "speech", join_to=join_to).files()
        assert sorted(files, key=lambda file: file["path"]) == [
            {"path": str(clip.path), "group": clip.group, "sha256": file_digest(clip.path)} for clip in clips[:7]
        ]


def test_bank_is_opened_again_for_the_same_files_and_made_anew_for_changed_ones(tmp_path, monkeypatch):
    clips = some_clips(tmp_path)
    first = build_bank(clips, tmp_path / "banks", "speech", seed=1)
    decoded: list[Path] = []
    decode = data.bank_files.decode
    monkeypatch.setattr(data.bank_files, "decode", lambda path, kind: (decoded.append(path), decode(path, kind))[1])

    again = build_bank(clips[::-1], tmp_path / "banks", "speech", seed=1)
    assert not decoded
    assert (again.folder, again.digest) == (first.folder, first.digest)

    size = clips[0].path.stat().st_size
    write(clips[0].path, seed=9)
    assert clips[0].path.stat().st_size == size, "the harder case: only the time of change tells"
    changed = build_bank(clips, tmp_path / "banks", "speech", seed=1)
    assert len(decoded) == 4
    assert changed.folder != first.folder
    assert changed.digest != first.digest


@pytest.mark.parametrize("setting", [{"seed": 2}, {"hours": 1.0}, {"join_to": 0.7}, {"kind": "noise"}])
def test_every_setting_is_part_of_the_key(tmp_path, setting):
    clips = some_clips(tmp_path)
    plain = {"kind": "speech", "seed": 1}
    first = build_bank(clips, tmp_path / "banks", **plain)
    assert build_bank(clips, tmp_path / "banks", **{**plain, **setting}).folder != first.folder


def test_digest_follows_content_and_not_names(tmp_path):
    one = build_bank(some_clips(tmp_path / "one"), tmp_path / "banks", "speech")
    two = build_bank(some_clips(tmp_path / "two"), tmp_path / "banks", "speech")
    assert one.folder != two.folder
    assert one.digest == two.digest


def test_damaged_bank_is_refused_and_made_anew(tmp_path):
    clips = some_clips(tmp_path)
    bank = build_bank(clips, tmp_path / "banks", "speech")
    whole = bank.samples(3).copy()
    os.truncate(bank.folder / "audio.f32", 100)
    with pytest.raises(InputError, match="no whole bank"):
        open_bank(bank.folder)
    np.testing.assert_array_equal(build_bank(clips, tmp_path / "banks", "speech").samples(3), whole)


def test_hours_end_the_decoding_in_a_seeded_order(tmp_path):
    clips = some_clips(tmp_path, count=12)
    first = build_bank(clips, tmp_path / "banks", "speech", hours=2.2 / 3600, seed=1)
    assert first.seconds == pytest.approx(2.5), "the clip that reaches the hours is the last"
    other = build_bank(clips, tmp_path / "banks", "speech", hours=2.2 / 3600, seed=2)
    assert sorted(first.sources) != sorted(other.sources)


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan")])
def test_hours_must_be_above_zero(tmp_path, hours):
    with pytest.raises(InputError, match="above 0"):
        build_bank(some_clips(tmp_path), tmp_path / "banks", "speech", hours=hours)


def test_short_clips_are_joined_with_the_same_speakers_others(tmp_path):
    clips = some_clips(tmp_path, count=15, seconds=0.5, speakers=2)
    clips.append(Clip(write(tmp_path / "long.wav", 2.0), "s0"))
    bank = build_bank(clips, tmp_path / "banks", "speech", join_to=1.2)
    assert min(bank.lengths) >= 1.2 * RATE
    group_of = {str(clip.path): clip.group for clip in clips}
    for group, sources in zip(bank.groups, bank.sources, strict=True):
        assert {group_of[source] for source in sources} == {group}
    assert sorted(source for sources in bank.sources for source in sources) == sorted(group_of), "no clip is lost"


def test_joined_entry_is_its_clips_with_a_short_silence_between(tmp_path):
    clips = some_clips(tmp_path, count=3, seconds=0.5, speakers=1)
    bank = build_bank(clips, tmp_path / "banks", "speech", join_to=1.0)
    (sources,) = bank.sources
    gap = np.zeros(RATE // 10, dtype=np.float32)
    a, b, c = (soundfile.read(source, dtype="float32")[0] for source in sources)
    np.testing.assert_array_equal(bank.samples(0), np.concatenate([a, gap, b, gap, c]))


def test_speaker_with_too_little_speech_keeps_a_short_entry(tmp_path):
    clips = [Clip(write(tmp_path / "a.wav", 0.4), "quiet"), Clip(write(tmp_path / "b.wav", 3.0), "long")]
    bank = build_bank(clips, tmp_path / "banks", "speech", join_to=2.0)
    assert dict(zip(bank.groups, bank.lengths.tolist(), strict=True)) == {"quiet": round(0.4 * RATE), "long": 3 * RATE}


def test_progress_ends_at_one(tmp_path):
    seen: list[float] = []
    build_bank(some_clips(tmp_path, count=20, seconds=0.05), tmp_path / "banks", "rir", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_cache_that_cannot_be_written_is_one_sentence(tmp_path):
    clips = some_clips(tmp_path)
    (tmp_path / "banks").touch()
    with pytest.raises(InputError, match="cannot be written"):
        build_bank(clips, tmp_path / "banks", "speech")


def test_three_corpora_become_disjoint_banks(tmp_path):
    for i in range(10):
        write(tmp_path / "speech" / f"speaker{i}" / "a.mp3", 0.6, seed=i, rate=32_000)
        write(tmp_path / "speech" / f"speaker{i}" / "b.flac", 0.6, seed=50 + i)
        write(tmp_path / "noise" / f"fan_{i}_0.wav", seed=100 + i, rate=44_100)
        write(tmp_path / "rirs" / f"room{i}" / "a.wav", 0.1, seed=200 + i)
    folders = (tmp_path / "speech", tmp_path / "noise", tmp_path / "rirs", tmp_path / "cache")
    banks = load_corpora(*folders, clip_seconds=1.0, seed=0)
    assert list(banks) == ["train", "val", "test"]
    for kind in ("speech", "noise", "rirs"):
        groups = [set(getattr(banks[split], kind).groups) for split in banks]
        assert [len(group) for group in groups] == [8, 1, 1]
        assert len(set.union(*groups)) == 10
    assert min(banks["train"].speech.lengths) >= RATE, "training speech is joined"
    assert max(banks["val"].speech.lengths) < RATE, "validation speech is not"


def test_too_few_recordings_say_what_counts_as_one(tmp_path):
    for i in range(4):
        write(tmp_path / "speech" / f"s{i}" / "a.wav")
        write(tmp_path / "noise" / f"noise_{i}.wav")
    with pytest.raises(InputError, match=r"1 noise recordings \(names that differ only in a last _N are one\)"):
        load_corpora(tmp_path / "speech", tmp_path / "noise", tmp_path / "speech", tmp_path / "cache", seed=0)
