"""The listening part of a review as HTML: players with spectrograms, and the controls of the blind comparison."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.sound import LEVEL_DBFS

Scene = Mapping[str, Any]


def listening(evidence: Mapping[str, Any]) -> str:
    """The section: what is heard and how, then scene after scene, those below the input first."""
    scenes = evidence["scenes"]
    names = {str(student["trial"]): student for student in evidence["students"]}
    parts = [_said(_below(evidence["below_input"], names))] if evidence["below_input"] else []
    if not scenes:
        why = evidence["silent"] or "There are no test scenes."
        return "".join([*parts, f'<p class="warn">{html.escape(why)}</p>'])
    parts.append(_said(
        "Sounds of the test split. Heard are, first, scenes in which a member of the front is below the unprocessed "
        "input in PESQ, the worst first; then the noisiest scene, a typical one and the cleanest. Every sound of a "
        f"scene has the same RMS while its clean speech is active, {LEVEL_DBFS:g} dBFS or as much less as keeps all of "
        "them from clipping: in a noisy one the speech is softer by what the noise adds. The gain stands at each. "
        "They are FLAC of 16 bits at 16 kHz. All spectrograms of a scene have the same scale, 0 to 8 kHz, 70 dB; click "
        "into one to hear it from there. PESQ is that of the whole clip."
    ))  # fmt: skip
    return "".join(parts) + "".join(_scene(number, scene, names) for number, scene in enumerate(scenes, 1))


def _said(text: str) -> str:
    return f'<p class="hint">{html.escape(text)}</p>' if text else ""


def _below(counted: Mapping[str, Any], names: Mapping[str, Any]) -> str:
    """How often each member of the front is worse than its input."""
    found = {number: count for number, count in counted["students"].items() if count}
    if not found:
        return f"No member of the front is below the unprocessed input in any of the {counted['of']} test scenes."
    shown = ", ".join(f"{called(number, names)} in {count}" for number, count in found.items())
    return f"Of {counted['of']} test scenes the output is below the unprocessed input in PESQ: {shown}."


def called(name: str, names: Mapping[str, Any]) -> str:
    """A track in words: `student 3, 24/8`, or what it is called already."""
    if name not in names:
        return "clean speech" if name == "clean" else name
    return f"student {name}, {names[name]['size']}"


def _scene(number: int, scene: Scene, names: Mapping[str, Any]) -> str:
    title = f"Scene {number}: clip {scene['clip']} at {scene['snr_db']:g} dB"
    why = scene["why"][0].upper() + scene["why"][1:] + "."
    if scene["worse"]:
        losses = [f"{called(name, names)} by {loss:.3f}" for name, loss in scene["worse"].items()]
        why += f" Below the input in PESQ: {', '.join(losses)}."
    if scene["seconds"] < scene["of_seconds"]:
        why += f" The first {scene['seconds']:.1f} s of {scene['of_seconds']:.1f} s are heard."
    kind = "warn" if scene["worse"] else "hint"
    tracks = "".join(_track(track, scene, names) for track in scene["tracks"])
    return (
        f'<article class="scene"><h3>{html.escape(title)}</h3><p class="{kind}">{html.escape(why)}</p>'
        f'{_blind(number, scene["tracks"], names)}<div class="tracks">{tracks}</div></article>'
    )


def _track(track: Mapping[str, Any], scene: Scene, names: Mapping[str, Any]) -> str:
    name = html.escape(called(track["name"], names))
    said = ["" if track["pesq"] is None else f"PESQ {track['pesq']:.3f}", f"gain {track['gain_db']:+.1f} dB"]
    text = html.escape(", ".join(part for part in said if part))
    worse = track["name"] in scene["worse"]
    if worse:
        text += ", <b>below the input</b>"
    return (
        f'<figure class="track{" worse" if worse else ""}" data-name="{html.escape(track["name"])}" '
        f'data-called="{name}" data-seconds="{scene["seconds"]:.3f}"><header>'
        f'<button type="button" class="play" aria-pressed="false" aria-label="Play {name}">\u25b6</button>'
        f'<figcaption class="name">{name}</figcaption></header>'
        f'<div class="said">{text}</div><div class="spectrum"><img alt="Spectrogram of {name}" '
        f'src="{track["spectrogram"]}"><i></i></div><audio preload="none" src="{track["audio"]}"></audio></figure>'
    )


def _blind(number: int, tracks: Sequence[Mapping[str, Any]], names: Mapping[str, Any]) -> str:
    """The controls of the blind comparison; at first the unprocessed input and the dearest member of the front."""
    students = [track["name"] for track in tracks if track["name"] in names]
    preset = ("unprocessed", students[0] if students else "clean")
    selects = []
    for place, chosen in zip(("first", "second"), preset, strict=True):
        options = "".join(
            f'<option value="{html.escape(track["name"])}"{" selected" if track["name"] == chosen else ""}>'
            f"{html.escape(called(track['name'], names))}</option>"
            for track in tracks
        )
        selects.append(f'<select aria-label="Scene {number}, {place} sound to compare">{options}</select>')
    return (
        f'<div class="blind"><span>Blind:</span><label>{selects[0]}</label><span>against</span>'
        f"<label>{selects[1]}</label>"
        '<button type="button" class="start">Shuffle and start</button><span class="run" hidden>'
        '<button type="button" class="side" aria-pressed="false">Sound 1</button> '
        '<button type="button" class="side" aria-pressed="false">Sound 2</button> '
        '<button type="button" class="reveal">Which was which?</button></span> <output></output></div>'
    )
