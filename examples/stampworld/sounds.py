"""ESC-50, FSD50K, VGGSound, AVQA, AudioCaps, Clotho and MACS, of clips that are mixed from recordings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from one_peace.examples.stampworld.files import fresh, generator, write_csv, write_json, write_yaml
from one_peace.examples.stampworld.recordings import SPEECH, Recording, in_turn, load, together
from one_peace.examples.stampworld.words import choose, indefinite
from one_peace.examples.tuxpaint.recordings import RATE

_EVALUATED = ("known", "held_out")
_FOLDS = 5
_CHOICES = 4
_TRIES = 100
_ALONE = ("{0} can be heard", "the sound of {0}", "{0}", "this is a sound of {0}", "one can hear {0}")
_IN_TURN = ("{0}, then {1}", "first {0}, afterwards {1}", "{0} followed by {1}", "{1} after {0}", "{0} before {1}")
_TOGETHER = ("{0} and {1} at once", "{1} and {0} at one time", "{0} together with {1}", "{0} over {1}", "{0} with {1}")
_NO_ARTICLE = (SPEECH, "ambience", "bass", "noise", "percussion")
_NUMBERS = ("1", "2", "3", "4")


@dataclass(frozen=True)
class Clip:
    """What can be heard in a clip, and whether one after the other."""

    labels: tuple[str, ...]
    turns: bool
    wave: np.ndarray


class Mixer:
    """Clips of the recordings dealt to the splits.

    Args:
        dealt: split -> label -> recordings.
        seconds: length of the clips.
        seed: of everything that is random.
    """

    def __init__(self, dealt: Mapping[str, Mapping[str, Sequence[Recording]]], seconds: float, seed: int):
        self.dealt = dealt
        self.samples = int(seconds * RATE)
        self.seed = seed
        self.labels = sorted(dealt["train"])

    def mix(self, split: str, labels: Sequence[str], turns: bool, rng: np.random.Generator) -> Clip:
        """A clip with one recording of each of ``labels``."""
        waves = [load(choose(self.dealt[split][label], rng)) for label in labels]
        arrange = in_turn if turns else together
        return Clip(tuple(labels), turns, arrange(waves, self.samples, rng))

    def draw(self, most: int, rng: np.random.Generator) -> list[str]:
        """One to ``most`` different labels."""
        return [self.labels[i] for i in rng.permutation(len(self.labels))[: int(rng.integers(1, most + 1))]]

    def each(self, name: str, split: str, number: int) -> Iterator[tuple[int, np.random.Generator]]:
        """Numbers and the generators of their clips, with a progress bar."""
        for index in tqdm(range(number), desc=f"{name}, {split}", unit="clip"):
            yield index, generator(self.seed, name, split, index)


def write_esc50(mixer: Mixer, clips: int, out: Path) -> None:
    """``clips`` of each class, all of recordings that no training set has; a recording is in one fold only."""
    rows: list[tuple[object, ...]] = []
    for target, label in enumerate(tqdm(mixer.labels, desc="ESC-50", unit="class")):
        recordings = [*mixer.dealt["known"][label], *mixer.dealt["held_out"][label]]
        for number in range(clips):
            rng = generator(mixer.seed, "esc50", label, number)
            source, take = number % len(recordings), chr(ord("A") + number // len(recordings) % 26)
            fold = source % _FOLDS + 1
            name = f"{fold}-{1000 * target + number}-{take}-{target}.wav"
            _write(out / "audio" / name, together([load(recordings[source])], mixer.samples, rng))
            rows.append((name, fold, target, _underscores(label), target < 10, recordings[source].path.stem, take))
    write_csv(
        out / "meta" / "esc50.csv", [("filename", "fold", "target", "category", "esc10", "src_file", "take"), *rows]
    )


def write_fsd50k(mixer: Mixer, counts: Mapping[str, int], out: Path) -> None:
    """Clips of one to three sounds at once, labelled with all of them."""
    mids = {label: f"/m/stamp{number:03d}" for number, label in enumerate(mixer.labels)}
    truth: dict[str, list[tuple[object, ...]]] = {
        "dev": [("fname", "labels", "mids", "split")],
        "eval": [("fname", "labels", "mids")],
    }
    names = count(1)
    for split, (part, note) in {"train": ("dev", "train"), "known": ("dev", "val"), "held_out": ("eval", "")}.items():
        for _, rng in mixer.each("FSD50K", split, counts[split]):
            clip, name = mixer.mix(split, mixer.draw(3, rng), False, rng), next(names)
            _write(out / f"FSD50K.{part}_audio" / f"{name}.wav", clip.wave)
            labels = ",".join(_underscores(label) for label in clip.labels)
            row = (name, labels, ",".join(mids[label] for label in clip.labels))
            truth[part].append((*row, note) if note else row)
    folder = out / "FSD50K.ground_truth"
    for part, rows in truth.items():
        write_csv(folder / f"{part}.csv", rows)
    rows = [(number, _underscores(label), mids[label]) for number, label in enumerate(mixer.labels)]
    write_csv(folder / "vocabulary.csv", rows)


def write_vggsound(mixer: Mixer, counts: Mapping[str, int], out: Path) -> None:
    """Clips of one sound."""
    rows = []
    for split, official in {"train": "train", "held_out": "test"}.items():
        for index, rng in mixer.each("VGGSound", split, counts[split]):
            label = mixer.labels[index % len(mixer.labels)]
            video, start = f"{official}{index:07d}", index % 100
            _write(out / "sounds" / f"{video}_{start:06d}.wav", mixer.mix(split, [label], False, rng).wave)
            rows.append((video, start, label, official))
    write_csv(out / "vggsound.csv", rows)


def write_avqa(mixer: Mixer, counts: Mapping[str, int], out: Path) -> None:
    """Clips of one to four sounds one after the other, with questions that have four choices."""
    ids = count()
    for split, official in {"train": "train", "held_out": "val"}.items():
        questions = []
        for index, rng in mixer.each("AVQA", split, counts[split]):
            clip = mixer.mix(split, mixer.draw(len(_NUMBERS), rng), True, rng)
            name = f"{official}_{index:06d}"
            _write(out / "sounds" / f"{name}.wav", clip.wave)
            for text, sort, answer, wrong in _questions(clip, mixer.labels, rng):
                choices = [answer, *wrong]
                choices = [choices[i] for i in rng.permutation(_CHOICES)] if answer not in _NUMBERS else list(_NUMBERS)
                questions.append(
                    {
                        "id": next(ids),
                        "video_name": name,
                        "video_id": index,
                        "question_text": text,
                        "multi_choice": choices,
                        "answer": choices.index(answer),
                        "question_relation": "Sound",
                        "question_type": sort,
                    }
                )
        write_json(out / f"{official}_qa.json", questions)


def _questions(clip: Clip, labels: Sequence[str], rng: np.random.Generator) -> list[tuple[str, str, str, list[str]]]:
    """Text, type, right answer and wrong ones; wrong are first of all the clip's other sounds."""
    found = [("How many sounds are there?", "Which", str(len(clip.labels)), ["", "", ""])]

    def ask(text: str, sort: str, answer: str, among: Sequence[str]) -> None:
        here = [label for label in clip.labels if label != answer and label in among]
        wrong = [label for label in among if label != answer and label not in here]
        order = [wrong[i] for i in rng.permutation(len(wrong))]
        if len(here) + len(order) >= _CHOICES - 1:
            found.append((text, sort, answer, (here + order)[: _CHOICES - 1]))

    if len(clip.labels) == 1:
        ask("What can be heard?", "Happening", clip.labels[0], labels)
    else:
        ask("What is the first sound?", "Before Next", clip.labels[0], labels)
        ask("What is the last sound?", "Before Next", clip.labels[-1], labels)
    languages = [label.removesuffix(SPEECH) for label in labels if label.endswith(SPEECH)]
    spoken = [label.removesuffix(SPEECH) for label in clip.labels if label.endswith(SPEECH)]
    if len(spoken) == 1:
        ask("Which language does somebody speak?", "Which", spoken[0], languages)
    return found


def write_audiocaps(mixer: Mixer, counts: Mapping[str, int], out: Path) -> None:
    """Clips of one or two sounds; one caption each to train on, five to evaluate."""
    ids = count(1)
    for split, official in {"train": "train", "known": "val", "held_out": "test"}.items():
        rows: list[tuple[object, ...]] = [("audiocap_id", "youtube_id", "start_time", "caption")]
        seen: set[object] = set()
        for index, rng in mixer.each("AudioCaps", split, counts[split]):
            clip, video = mix_new(mixer, split, seen, rng), f"{official}{index:06d}"
            _write(out / official / f"{video}.wav", clip.wave)
            rows += [(next(ids), video, 0, text) for text in _captions(clip, 1 if split == "train" else 5, rng)]
        write_csv(out / f"{official}.csv", rows)


def write_clotho(mixer: Mixer, counts: Mapping[str, int], out: Path) -> None:
    """Clips of one or two sounds with five captions each."""
    for split, official in {"train": "development", "known": "validation", "held_out": "evaluation"}.items():
        seen: set[object] = set()
        rows: list[tuple[str, ...]] = [("file_name", *(f"caption_{number}" for number in range(1, 6)))]
        for index, rng in mixer.each("Clotho", split, counts[split]):
            clip, name = mix_new(mixer, split, seen, rng), f"{official} {index:06d}.wav"
            _write(out / official / name, clip.wave)
            rows.append((name, *_captions(clip, 5, rng)))
        write_csv(out / f"clotho_captions_{official}.csv", rows)


def write_macs(mixer: Mixer, counts: Mapping[str, int], out: Path) -> None:
    """Clips of one or two sounds with one caption each, of recordings that no other benchmark has."""
    files = []
    for index, rng in mixer.each("MACS", "pretraining", counts["pretraining"]):
        clip, name = mix_new(mixer, "pretraining", set(), rng), f"mixture-{index:05d}.wav"
        _write(out / "audio" / name, clip.wave)
        annotation = {"annotator_id": 1, "sentence": _captions(clip, 1, rng)[0], "tags": list(clip.labels)}
        files.append({"filename": name, "annotations": [annotation]})
    write_yaml(out / "MACS.yaml", {"files": files})


def mix_new(mixer: Mixer, split: str, seen: set[object], rng: np.random.Generator) -> Clip:
    """A clip of one or two sounds; to evaluate, one that no other clip's captions fit, if it can be had."""
    for _ in range(_TRIES):
        labels, turns = mixer.draw(2, rng), bool(rng.random() < 0.5)
        heard = tuple(labels) if turns and len(labels) > 1 else frozenset(labels)
        if heard not in seen or split not in _EVALUATED:
            break
    seen.add(heard)
    return mixer.mix(split, labels, turns, rng)


def _captions(clip: Clip, number: int, rng: np.random.Generator) -> list[str]:
    named = [label if label.endswith(_NO_ARTICLE) else indefinite(label) for label in clip.labels]
    options = _ALONE if len(named) == 1 else _IN_TURN if clip.turns else _TOGETHER
    return [options[i].format(*named) for i in rng.permutation(len(options))[:number]]


def _underscores(label: str) -> str:
    return label.replace(" ", "_")


def _write(path: Path, wave: np.ndarray) -> None:
    soundfile.write(fresh(path), wave, RATE, subtype="PCM_16")
