"""The demo corpus's talkers: espeak-ng's German voices, made different by pitch, pace, vocal tract and recording.

Run as a program (`python -m data.demo_speech`, a job as JSON on standard input) it speaks one group of talkers.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import firwin2, oaconvolve, resample_poly

from data import RATE
from data.demo_plan import SPLITS, DemoSizes, generator, levelled, serve
from data.demo_text import sentences
from data.errors import InputError

# espeak-ng's variants by split: no voice of dev or test occurs in train. Left out: whispers, robots, variants with an
# echo (the clean speech must be dry), with breath (which sounds different in every process), far too high or clipping.
WOMEN = {
    "train": ("f1", "Andrea", "shelby", "steph"),
    "dev": ("aunty", "Annie"),
    "test": ("belinda", "linda", "grandma"),
}
MEN = {
    "train": (
        *("m1", "m3", "m4", "m7", "max", "Alex", "adam", "Mike", "boris", "Gene", "Nguyen", "paul", "quincy", "rob"),
        *("Reed", "edward", "klatt4", "pedro", "travis", "kaukovalta"),
    ),
    "dev": ("m5", "norbert", "Michael"),
    "test": ("m6", "robert", "benjamin", "m8"),
}
TRAIN_SECONDS = (1.6, 4.2)
SCORED_SECONDS = (1.8, 3.0)
"""Dev and test clips are scored at their own length: short ones make scoring quick."""

COLUMNS = (
    *("client_id", "path", "sentence", "up_votes", "down_votes"),
    *("age", "gender", "accents", "locale", "segment"),
)
GROUP = 6
"""Talkers of one worker process. Fixed, as espeak-ng's state (and so the audio) depends on what it spoke before."""


@dataclass(frozen=True)
class Talker:
    """One speaker. `tract` > 1 shortens the vocal tract (raises all formants); `pitch` and `range` are espeak-ng's."""

    split: str
    number: int
    variant: str
    gender: str
    pitch: int
    range: int
    words_per_minute: int
    tract: float
    tilt_db: float
    """Level at 8 kHz against 250 Hz that the recording adds."""
    colour_db: tuple[float, ...]
    """What the recording adds at 250 Hz, 500 Hz, 1, 2 and 4 kHz, beside the tilt."""
    seconds: float
    """Speech wanted of this talker."""


def talkers(sizes: DemoSizes) -> list[Talker]:
    """The speakers of all splits; women and men take turns (fewer women in train, of whom espeak-ng has fewer)."""
    found = []
    for split, count, minutes in zip(SPLITS, sizes.speakers, sizes.minutes, strict=True):
        women = men = 0
        for number in range(count):
            rng = generator("talker", split, number)
            woman = number % 9 in (1, 3, 5, 8) if split == "train" else number % 2 == 1
            if woman:
                variant, women = WOMEN[split][women % len(WOMEN[split])], women + 1
            else:
                variant, men = MEN[split][men % len(MEN[split])], men + 1
            found.append(
                Talker(
                    split=split,
                    number=number,
                    variant=variant,
                    gender="female" if woman else "male",
                    pitch=int(rng.integers(34, 62)),
                    range=int(rng.integers(40, 90)),
                    words_per_minute=int(rng.integers(140, 186)),
                    tract=float(rng.uniform(0.94, 1.14) if woman else rng.uniform(0.9, 1.1)),
                    tilt_db=float(rng.uniform(-6.0, 3.0)),
                    colour_db=tuple(rng.uniform(-4.0, 4.0, 5)),
                    seconds=60.0 * minutes / count,
                )
            )
    return found


class Espeak:
    """espeak-ng by its C interface. One a process: the library's state is global."""

    PLAYS_SYNCHRONOUSLY, UTF8, WORDS_PER_MINUTE, VOLUME, PITCH, RANGE = 2, 1, 1, 2, 3, 4

    def __init__(self) -> None:
        try:
            import espeakng_loader

            self.library = ctypes.CDLL(espeakng_loader.get_library_path())
            # From inside its data: espeak-ng cuts paths of more than some 160 bytes. The process is ours alone.
            os.chdir(espeakng_loader.get_data_path())
        except (ImportError, OSError, AttributeError) as error:
            raise InputError(
                f"espeak-ng, which speaks the demo corpus, cannot be loaded ({error}); install it with "
                "`pip install espeakng-loader`, or give --speech, --noise and --rirs"
            ) from None
        self.chunks: list[NDArray[np.int16]] = []
        receive = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = receive(self._receive)  # the library keeps only a pointer: we must keep the object
        self.rate = self.library.espeak_Initialize(self.PLAYS_SYNCHRONOUSLY, 0, b".", 0)
        if self.rate <= 0:
            raise InputError(f"espeak-ng cannot start with its data in {Path.cwd()}; install espeakng-loader again")
        self.library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, variant: str, words_per_minute: int, pitch: int, range_: int) -> NDArray[np.float64]:
        """The spoken text at `self.rate`, full scale 1."""
        self.chunks.clear()
        if self.library.espeak_SetVoiceByName(f"de+{variant}".encode()) != 0:
            raise InputError("espeak-ng has no German voice here; install espeakng-loader again")
        # Half volume: at the default some variants clip inside the library.
        settings = {self.WORDS_PER_MINUTE: words_per_minute, self.VOLUME: 50, self.PITCH: pitch, self.RANGE: range_}
        for parameter, value in settings.items():
            self.library.espeak_SetParameter(parameter, value, 0)
        content = text.encode()
        if self.library.espeak_Synth(content, len(content) + 1, 0, 0, 0, self.UTF8, None, None) != 0 or not self.chunks:
            raise InputError(f"espeak-ng did not speak {text!r}; install espeakng-loader again")
        return np.concatenate(self.chunks) / 32768


def _trimmed(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the silence at both ends but for 60 ms before and 100 ms after."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return samples[max(0, loud[0] - round(0.06 * RATE)) : loud[-1] + round(0.1 * RATE)]


def _recording(talker: Talker) -> NDArray[np.float64]:
    """The 129 taps of the talker's microphone: a tilt over frequency and a gentle colour."""
    hertz = np.array([0.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])
    colour = np.array([talker.colour_db[0], *talker.colour_db, 0.0])
    tilt = talker.tilt_db * np.log2(np.maximum(hertz, 250.0) / 250.0) / 5
    return np.asarray(firwin2(129, hertz, 10 ** ((colour + tilt) / 20), fs=RATE))


def _speak(espeak: Espeak, talker: Talker, clips: Path) -> list[dict[str, Any]]:
    """Writes the talker's clips and returns their rows."""
    rng = generator("speech", talker.split, talker.number)
    shortest, longest = TRAIN_SECONDS if talker.split == "train" else SCORED_SECONDS
    # Playing espeak-ng's samples faster or slower scales its formants; the pace is corrected beforehand.
    step = 50
    played = round(espeak.rate * talker.tract / step)
    taps = _recording(talker)
    made: list[dict[str, Any]] = []
    seconds = 0.0
    for text in sentences(generator("text", talker.split, talker.number)):
        if seconds >= talker.seconds:
            break
        if split_of(text) != talker.split:
            continue
        pace = round(talker.words_per_minute / talker.tract * rng.uniform(0.93, 1.07))
        pitch = talker.pitch + int(rng.integers(-4, 5))
        spoken = espeak.say(text, talker.variant, pace, pitch, talker.range)
        samples = _trimmed(oaconvolve(resample_poly(spoken, RATE // step, played), taps))
        if not shortest <= len(samples) / RATE <= longest:
            continue
        number = 10_000_000 * (SPLITS.index(talker.split) + 1) + 1000 * talker.number + len(made)
        name = f"common_voice_de_{number}.flac"
        soundfile.write(clips / name, levelled(samples, float(rng.uniform(-28.0, -22.0))), RATE, subtype="PCM_16")
        made.append({"path": name, "sentence": text, "seconds": len(samples) / RATE})
        seconds += len(samples) / RATE
    person = hashlib.sha512(f"{talker.split} {talker.number}".encode()).hexdigest()
    return [{**row, "split": talker.split, "client_id": person, "gender": talker.gender} for row in made]


def split_of(sentence: str) -> str:
    """The only split that may hold the sentence, by its hash: four fifths of all go to train."""
    return ("train", "train", "train", "dev", "test")[hashlib.sha256(sentence.encode()).digest()[0] % 5]


def _speak_group(job: dict[str, Any]) -> list[dict[str, Any]]:
    espeak = Espeak()
    return [row for talker in job["talkers"] for row in _speak(espeak, Talker(**talker), Path(job["clips"]))]


def jobs(sizes: DemoSizes, clips: Path) -> list[dict[str, Any]]:
    """The work of this module's program, in parts that may run at once."""
    people = [asdict(talker) for talker in talkers(sizes)]
    return [{"talkers": people[start : start + GROUP], "clips": str(clips)} for start in range(0, len(people), GROUP)]


def table(rows: list[dict[str, Any]]) -> str:
    """A Common Voice 11 table (tab-separated, unquoted, with a header) of the rows."""
    fixed = {"up_votes": 2, "down_votes": 0, "age": "", "accents": "", "locale": "de", "segment": ""}
    lines = [list(COLUMNS), *([str({**fixed, **row}[column]) for column in COLUMNS] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


if __name__ == "__main__":
    from data.errors import run_command

    run_command(lambda: serve(_speak_group))
