from __future__ import annotations

from typing import Any

from analysis.listening import called, listening

STUDENTS = [{"trial": 3, "size": "24/8"}, {"trial": 5, "size": "8/4"}]


def track(name: str, pesq: float | None = 1.5) -> dict[str, Any]:
    return {"name": name, "pesq": pesq, "gain_db": -2.0, "audio": f"data:audio/flac;base64,{name}",
            "spectrogram": "data:image/png;base64,AA"}  # fmt: skip


def scene(**other: Any) -> dict[str, Any]:
    tracks = [track("unprocessed"), track("3"), track("5"), track("clean", None)]
    return {"clip": 7, "snr_db": -5.0, "why": "the noisiest", "worse": {}, "seconds": 2.0, "of_seconds": 2.0,
            "tracks": tracks} | other  # fmt: skip


def evidence(*scenes: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {"scenes": list(scenes), "students": STUDENTS, "silent": "",
            "below_input": {"of": 120, "students": {"3": 2, "5": 0}}} | other  # fmt: skip


def test_every_sound_has_a_player_a_spectrogram_and_its_score() -> None:
    shown = listening(evidence(scene()))
    assert shown.count("<audio ") == shown.count("<img ") == shown.count('class="play"') == 4
    assert "student 3, 24/8</figcaption>" in shown
    assert "clean speech</figcaption>" in shown
    assert shown.count("PESQ 1.500, gain -2.0 dB") == 3
    assert '<div class="said">gain -2.0 dB</div>' in shown
    assert "The first" not in shown


def test_scenes_stand_in_their_order_and_the_worse_students_are_named_and_marked() -> None:
    shown = listening(evidence(scene(clip=1, worse={"5": 0.03, "3": 0.01}), scene(clip=2)))
    assert shown.index("clip 1 at -5 dB") < shown.index("clip 2 at -5 dB")
    assert "Below the input in PESQ: student 5, 8/4 by 0.030, student 3, 24/8 by 0.010." in shown
    assert shown.count('class="track worse"') == shown.count("<b>below the input</b>") == 2


def test_how_often_students_are_below_the_input_is_said_also_if_never() -> None:
    assert "Of 120 test scenes the output is below the unprocessed input in PESQ: student 3, 24/8 in 2." in listening(
        evidence(scene())
    )
    never = {"of": 120, "students": {"3": 0, "5": 0}}
    assert "No member of the front is below the unprocessed input in any of the 120 test scenes." in listening(
        evidence(scene(), below_input=never)
    )


def test_a_part_of_a_scene_is_said_to_be_one() -> None:
    assert "The first 2.0 s of 9.5 s are heard." in listening(evidence(scene(of_seconds=9.5)))


def test_without_scenes_it_is_said_why() -> None:
    assert '<p class="warn">The corpora are &lt;away&gt;</p>' in listening(
        evidence(silent="The corpora are <away>", below_input={})
    )


def test_the_blind_comparison_begins_with_the_input_and_the_first_student() -> None:
    shown = listening(evidence(scene()))
    assert '<option value="unprocessed" selected>' in shown
    assert '<option value="3" selected>' in shown
    assert shown.count(" selected>") == 2


def test_tracks_are_called_by_what_they_are() -> None:
    names = {"3": STUDENTS[0]}
    assert [called(name, names) for name in ("3", "teacher", "clean")] == ["student 3, 24/8", "teacher", "clean speech"]
