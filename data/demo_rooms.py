"""The demo corpus's rooms: impulse responses of shoeboxes by the image method, in the layout of openSLR's SLR26.

Run as a program (`python -m data.demo_rooms`, a job as JSON on standard input) it makes them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from data import RATE
from data.demo_plan import DemoSizes, generator, serve
from data.errors import InputError

ROOT = "simulated_rirs_16k"
SPEED = 343.0
"""Of sound, in m/s: pyroomacoustics' own value."""
DISTANCES = (0.3, 0.9)
"""Of a source from the microphone, in m: near enough that the direct path outweighs the room. Farther away PESQ
against anechoic speech lies at its floor whatever a small network does within a demo's minutes."""


@dataclass(frozen=True)
class RoomClass:
    """What rooms are drawn from, uniformly: `side` and `height` in m, `t60` (reverberation time) in s."""

    side: tuple[float, float]
    height: tuple[float, float]
    t60: tuple[float, float]
    length: float
    """Of an impulse response, in s."""


CLASSES = {
    "small": RoomClass((2.5, 5.5), (2.3, 3.0), (0.12, 0.25), 0.25),
    "medium": RoomClass((5.0, 11.0), (2.6, 4.0), (0.20, 0.40), 0.4),
    "large": RoomClass((10.0, 20.0), (3.5, 7.0), (0.30, 0.60), 0.6),
}


def _make_rooms(job: dict[str, Any]) -> None:
    """Writes the rooms of all classes."""
    try:
        import pyroomacoustics
    except (ImportError, OSError) as error:
        raise InputError(
            f"pyroomacoustics, which makes the demo corpus's rooms, cannot be loaded ({error}); install it with "
            "`pip install pyroomacoustics`, or give --speech, --noise and --rirs"
        ) from None
    pyroomacoustics.constants.set("num_threads", 1)  # the order of its sums depends on the number of threads
    for name in CLASSES:
        _make_class(pyroomacoustics, name, Path(job["parent"]), job["rooms"], job["rirs"])


def _make_class(pyroomacoustics: Any, name: str, parent: Path, rooms: int, rirs: int) -> None:
    """Writes the rooms of one class, `rirs` responses each, their rir_list and their room_info."""
    folder = f"{ROOT}/{name}room"
    listed, described = [], []
    for number in range(1, rooms + 1):
        label, room_id = f"Room{number:03d}", f"{name}-Room{number:03d}"
        responses, info = _room(pyroomacoustics, name, number, rirs)
        described.append(f"{room_id} {info}\n")
        (parent / folder / label).mkdir(parents=True)
        for index, response in enumerate(responses, 1):
            path = f"{folder}/{label}/{label}-{index:05d}.wav"
            soundfile.write(parent / path, response, RATE, subtype="PCM_16")
            listed.append(f"--rir-id {room_id}-{index:05d} --room-id {room_id} {path}\n")
    (parent / folder / "rir_list").write_text("".join(listed))
    (parent / folder / "room_info").write_text("".join(described))


def _room(pyroomacoustics: Any, name: str, number: int, count: int) -> tuple[list[NDArray[np.int16]], str]:
    """`count` responses of one room, sample 0 at the emission and peak 0.9, and its line of room_info."""
    size, rng = CLASSES[name], generator("room", name, number)
    sides = np.array([rng.uniform(*size.side), rng.uniform(*size.side), rng.uniform(*size.height)])
    t60 = rng.uniform(*size.t60)
    volume, surface = sides.prod(), 2 * (sides[0] * sides[1] + sides[0] * sides[2] + sides[1] * sides[2])
    absorption = min(0.95, 24 * math.log(10) * volume / (SPEED * surface * t60))  # Sabine
    # The reflections within the file and within 60 dB: one of order n has travelled about n mean free paths and kept
    # (1 - absorption) ** n of its energy.
    in_time = SPEED * size.length / (4 * volume / surface)
    in_level = math.log(1e-6) / math.log(1 - absorption)
    order = math.ceil(min(in_time, in_level))
    box = pyroomacoustics.ShoeBox(
        sides, fs=RATE, materials=pyroomacoustics.Material(float(absorption)), max_order=order, air_absorption=False
    )
    microphone = rng.uniform(0.5, sides - 0.5)
    box.add_microphone(microphone)
    while len(box.sources) < count:
        source = rng.uniform(0.4, sides - 0.4)
        if DISTANCES[0] <= np.linalg.norm(source - microphone) <= DISTANCES[1]:
            box.add_source(source)
    box.compute_rir()
    early = pyroomacoustics.constants.get("frac_delay_length") // 2  # pyroomacoustics' own delay of every response
    responses = []
    for response in box.rir[0]:
        padded = np.zeros(round(size.length * RATE))
        kept = response[early : early + len(padded)]
        padded[: len(kept)] = kept
        responses.append(np.round(0.9 * 32767 * padded / np.abs(padded).max()).astype(np.int16))
    return responses, " ".join(f"{value:.2f}" for value in (*sides, *microphone, absorption))


def job(sizes: DemoSizes, parent: Path) -> dict[str, Any]:
    """The work of this module's program; rooms go to `parent`/simulated_rirs_16k."""
    return {"parent": str(parent), "rooms": sizes.rooms, "rirs": sizes.rirs}


if __name__ == "__main__":
    from data.errors import run_command

    run_command(lambda: serve(_make_rooms))
