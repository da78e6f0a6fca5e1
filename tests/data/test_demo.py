"""The demo corpus: deterministic, disjoint, whole or not there, and readable by the readers of real corpora."""

from __future__ import annotations

import csv
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import demo
from data.demo_plan import SPLITS, TINY, DemoSizes, run_worker
from data.demo_speech import MEN, WOMEN, Espeak, split_of, talkers
from data.demo_text import sentences
from data.errors import InputError
from data.files import file_digest


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return demo.demo_corpus(tmp_path_factory.mktemp("demo") / "a", TINY)


def rows(corpus, table):
    with open(corpus.speech / f"{table}.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def digests(folder):
    return {str(path.relative_to(folder)): file_digest(path) for path in folder.rglob("*") if path.is_file()}


def test_made_twice_it_has_the_same_bytes(corpus, tmp_path):
    again = demo.demo_corpus(tmp_path / "b", TINY)
    assert digests(again.noise.parent) == digests(corpus.noise.parent)


def test_every_voice_says_the_same_in_another_process(tmp_path):
    people = {talker.variant: asdict(replace(talker, seconds=0.1)) for talker in talkers(DemoSizes())}
    jobs = [{"clips": str(tmp_path / name), "talkers": list(people.values())} for name in ("a", "b")]
    for job in jobs:
        Path(job["clips"]).mkdir()
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(run_worker, ["data.demo_speech"] * 2, jobs)
    assert first == second
    assert len(first) == len(people)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_speech_is_laid_out_as_common_voice_with_disjoint_speakers_and_sentences(corpus):
    tables = {split: rows(corpus, split) for split in SPLITS}
    assert list(tables["train"][0])[:3] == ["client_id", "path", "sentence"]
    for column in ("client_id", "path", "sentence"):
        values = [{row[column] for row in table} for table in tables.values()]
        assert len(set.union(*values)) == sum(map(len, values))
    assert [len({row["client_id"] for row in table}) for table in tables.values()] == list(TINY.speakers)
    assert rows(corpus, "validated") == [row for table in tables.values() for row in table]
    assert {row["path"] for row in rows(corpus, "validated")} == {path.name for path in corpus.speech.glob("clips/*")}


def test_clips_are_audible_unclipped_and_without_long_silence_at_their_ends(corpus):
    for path in corpus.speech.glob("clips/*"):
        samples, rate = soundfile.read(path)
        loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
        assert rate == 16_000
        assert 1.6 <= len(samples) / rate <= 4.2
        assert samples.std() > 0.01
        assert np.abs(samples).max() < 0.95
        assert max(loud[0], len(samples) - loud[-1]) / rate < 0.3


def test_scored_clips_are_short(corpus):
    assert all(
        1.8 <= soundfile.info(corpus.speech / "clips" / row["path"]).duration <= 3.0
        for split in ("dev", "test")
        for row in rows(corpus, split)
    )


def test_noise_has_many_kinds_in_every_split_and_no_recording_twice(corpus):
    for split, count in zip(SPLITS, TINY.noises, strict=True):
        kinds = [path.name.split("-")[0] for path in (corpus.noise / split).glob("*.wav")]
        assert len(set(kinds)) >= 8
        assert "babble" in kinds
        assert len(kinds) == count * len(set(kinds))
    paths = list(corpus.noise.glob("*/*.wav"))
    assert len({path.name for path in paths}) == len({file_digest(path) for path in paths}) == len(paths)
    for path in paths:
        samples, rate = soundfile.read(path)
        assert (rate, len(samples)) == (16_000, 16_000 * TINY.noise_seconds)
        assert np.abs(samples).max() < 0.95
        assert samples.std() > 0.003


def test_rooms_are_laid_out_as_slr26_and_start_at_the_emission(corpus):
    for size in ("small", "medium", "large"):
        listed = (corpus.rirs / f"{size}room" / "rir_list").read_text().splitlines()
        assert len(listed) == TINY.rooms * TINY.rirs
        for line in listed:
            samples, rate = soundfile.read(corpus.rirs.parent / line.split()[-1])
            direct = np.flatnonzero(np.abs(samples) > 0.1 * np.abs(samples).max())[0] / rate * 343
            assert rate == 16_000
            assert np.abs(samples).max() == pytest.approx(0.9, abs=0.001)
            assert 0.25 < direct < 0.95  # metres between talker and microphone
        assert len((corpus.rirs / f"{size}room" / "room_info").read_text().splitlines()) == TINY.rooms


def test_the_readers_of_real_corpora_read_it(corpus):
    corpora = pytest.importorskip("data.corpora")
    speech, noise = corpora.read_speech(corpus.speech), corpora.read_noise(corpus.noise)
    assert {clip.split for clip in speech} == {clip.split for clip in noise} == {"train", "val", "test"}
    assert len({clip.group for clip in speech}) == sum(TINY.speakers)
    assert len({clip.group for clip in noise}) == len(noise)
    rirs = corpora.read_rirs(corpus.rirs)
    assert len({clip.group for clip in rirs}) == 3 * TINY.rooms
    assert len({clip.stratum for clip in rirs}) == 3


def test_the_default_has_fifty_talkers_whose_voices_differ_between_splits():
    people = talkers(DemoSizes())
    assert [sum(talker.split == split for talker in people) for split in SPLITS] == [36, 6, 8]
    voices = [set(WOMEN[split] + MEN[split]) for split in SPLITS]
    assert len(set.union(*voices)) == sum(map(len, voices))
    assert len({(talker.variant, talker.pitch, talker.tract) for talker in people}) == 50


def test_sentences_never_repeat_and_belong_to_one_split():
    endless = sentences(np.random.default_rng(0))
    texts = [next(endless) for _ in range(500)]
    assert len(set(texts)) == 500
    assert all(text[0].isupper() and text[-1] in ".?" for text in texts)
    assert {split_of(text) for text in texts} == set(SPLITS)


@pytest.fixture
def no_work(monkeypatch):
    """The makers do nothing, at once."""
    monkeypatch.setattr(demo, "run_worker", lambda module, job: [])


def test_it_is_made_once_and_lies_in_the_cache(no_work, monkeypatch, tmp_path):
    monkeypatch.setenv("FTJNF_CACHE", str(tmp_path / "cache"))
    first = demo.demo_corpus(sizes=TINY)
    assert first.noise.parent.parent == tmp_path / "cache"
    assert "synthetic" in (first.noise.parent / "README.txt").read_text().lower()
    monkeypatch.setattr(demo, "run_worker", lambda module, job: pytest.fail("made again"))
    assert demo.demo_corpus(sizes=TINY) == first
    assert demo.demo_corpus(tmp_path / "cache" / first.noise.parent.name, TINY) == first


def test_of_two_processes_at_once_the_later_takes_what_the_first_made(no_work, monkeypatch, tmp_path):
    folder = tmp_path / "demo"
    make = demo._make

    def overtaken(*args):
        monkeypatch.setattr(demo, "_make", make)
        demo.demo_corpus(folder, TINY)
        (folder / "of-the-first").touch()
        make(*args)

    monkeypatch.setattr(demo, "_make", overtaken)
    demo.demo_corpus(folder, TINY)
    assert (folder / "of-the-first").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_failed_make_leaves_nothing(monkeypatch, tmp_path):
    def fail(module, job):
        raise InputError("no voice")

    monkeypatch.setattr(demo, "run_worker", fail)
    with pytest.raises(InputError, match="no voice"):
        demo.demo_corpus(tmp_path / "demo", TINY)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_refused(no_work, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(InputError, match="mine is not an empty folder"):
        demo.demo_corpus(tmp_path / "mine", TINY)
    with pytest.raises(InputError, match="not an empty folder"):
        demo.demo_corpus(tmp_path / "mine" / "letter.txt", TINY)
    demo.demo_corpus(tmp_path / "other", TINY)
    with pytest.raises(InputError, match="another version"):
        demo.demo_corpus(tmp_path / "other", DemoSizes())


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "LIBRARIES", ("no-such-package",))
    with pytest.raises(InputError, match="pip install no-such-package"):
        demo.demo_corpus(tmp_path / "demo", TINY)


def test_a_broken_speech_library_is_an_input_error(monkeypatch):
    loader = pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(loader, "get_library_path", lambda: "/nowhere/libespeak-ng.so")
    with pytest.raises(InputError, match="pip install espeakng-loader"):
        Espeak()


def test_a_worker_that_fails_is_told_in_one_sentence(tmp_path):
    job = {"parent": str(tmp_path / "file"), "rooms": 1, "rirs": 1}
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"demo_rooms.*Not a directory") as caught:
        run_worker("data.demo_rooms", job)
    assert "\n" not in str(caught.value)


def test_the_command_prints_the_flags_to_use_it_by(no_work, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["demo", str(tmp_path / "the demo")])
    demo.main()
    last = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert last[::2] == ["--speech", "--noise", "--rirs"]
    assert all(Path(folder).is_relative_to(tmp_path / "the demo") for folder in last[1::2])
    shutil.rmtree(tmp_path / "the demo")


def test_the_command_complains_of_a_flag_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["demo", "--frobnicate"])
    with pytest.raises(InputError, match="--frobnicate; --help lists the flags"):
        demo.main()
    assert capsys.readouterr().err == ""
