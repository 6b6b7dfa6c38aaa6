"""Instruments of a sound font: what they play, what is said of it, and what is told in the end."""

import csv
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F

from one_peace.data.prepare.files import write_manifest
from one_peace.data.train_tokenizer import train_tokenizer
from one_peace.examples import augment
from one_peace.examples.instruments import accuracy, captions, gallery, general_midi, music, prepare, sounds
from one_peace.examples.instruments.general_midi import FAMILIES, instruments, shown_in_pictures
from one_peace.examples.instruments.music import Music
from tests.examples.sound_font import write_sound_font
from tests.models.test_hub import write_checkpoint

VIOLIN, HELICOPTER = instruments()[40], instruments()[125]


def test_tables():
    assert [i.program for i in instruments()] == list(range(128)) and len({i.name for i in instruments()}) == 128
    assert list(FAMILIES) == list(dict.fromkeys(i.family for i in instruments()))
    assert set(Counter(i.family for i in instruments()).values()) == {8} and len(set(FAMILIES.values())) == 16
    assert all(0 < i.lowest < i.highest - 12 < 116 for i in instruments())
    assert VIOLIN.name == "a violin" and VIOLIN.family == "strings"
    shown = shown_in_pictures()
    assert shown["stamps/hobbies/music/string/cello"] == (instruments()[42],)
    assert all(name.split("/")[0] in ("stamps", "clipart") for name in shown)


@pytest.mark.parametrize("instrument", instruments()[::7], ids=lambda one: one.name)
def test_notes_of_training_and_validation_differ(instrument):
    rng = np.random.default_rng(0)
    played = {split: [music.compose(instrument, split, rng) for _ in range(60)] for split in music.SPLITS}
    keys = {split: {key for one in played[split] for key in one.keys} for split in played}
    assert not keys["train"] & keys["valid"] and all(keys.values())
    for one in (one for many in played.values() for one in many):
        assert all(instrument.lowest <= key <= instrument.highest for key in one.keys)
        assert 1 <= len(one.keys) <= 3 and 0.2 < one.seconds < 2 and one.pitch in music.PITCHES
        assert len(one.keys) == 3 if one.chord else True
    assert len({one.pitch for one in played["train"]}) == 3
    if instrument.family != music.EFFECTS:
        assert {len(one.keys) for one in played["train"]} == {1, 2, 3}


def test_sentences():
    rng = np.random.default_rng(0)
    said = {captions.describe(VIOLIN, Music((60, 62), 0.3, False, "low"), rng) for _ in range(200)}
    assert {"a violin", "two rising notes of a violin", "a violin, a string instrument"} <= said
    assert "a violin playing a long high note" in {
        captions.describe(VIOLIN, Music((90,), 1.0, False, "high"), rng) for _ in range(200)
    }
    assert "a chord of a violin" in {
        captions.describe(VIOLIN, Music((60, 64, 67), 1.0, True, "low"), rng) for _ in range(200)
    }
    effect = {captions.describe(HELICOPTER, Music((60,), 1.0, False, "low"), rng) for _ in range(100)}
    assert effect == {"a helicopter", "the sound of a helicopter", "a helicopter, a sound effect", "a sound effect"}


def test_most_captions_only_name_the_instrument_as_prompts_do():
    rng = np.random.default_rng(0)
    said = Counter(captions.describe(VIOLIN, Music((60,), 1.0, False, "low"), rng) for _ in range(1000))
    prompts = Path(general_midi.__file__).with_name("prompts.txt").read_text().splitlines()
    assert 600 < sum(said[prompt.format(label=VIOLIN.name)] for prompt in prompts) < 800


def test_vocabulary_has_every_word():
    rng = np.random.default_rng(0)
    for instrument in instruments()[::5]:
        known = {word for sentence in captions.vocabulary(instrument) for word in sentence.split()}
        said = (captions.describe(instrument, music.compose(instrument, "train", rng), rng) for _ in range(200))
        assert {word for sentence in said for word in sentence.split()} <= known | {"middle", "long", "short"}


@pytest.fixture(scope="module")
def font(tmp_path_factory) -> Path:
    return write_sound_font(tmp_path_factory.mktemp("font") / "small.sf2")


def _pitch(wave: np.ndarray) -> float:
    part = wave[1000:9000]
    return np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() * sounds.RATE / len(part)


def test_font_plays(font):
    synth = sounds.SoundFont(font)
    note = synth.play(40, Music((69,), 1.0, False, "low"), 100)
    assert _pitch(note) == pytest.approx(440, abs=2) and 1.0 < len(note) / sounds.RATE < 1.4
    higher = synth.play(40, Music((81,), 1.0, False, "low"), 100, tuning=-1.5)
    assert _pitch(higher) == pytest.approx(880 * 2 ** (-1.5 / 12), abs=3)
    chord = synth.play(40, Music((69, 76), 1.0, True, "low"), 100)
    spectrum = np.abs(np.fft.rfft(chord[:16000]))
    assert spectrum[435:445].max() > 0.3 * spectrum.max() < 3 * spectrum[654:664].max()
    turn = synth.play(40, Music((69, 81), 0.6, False, "low"), 100)
    assert _pitch(turn[: int(0.55 * sounds.RATE)]) == pytest.approx(440, abs=3)
    assert _pitch(turn[int(0.65 * sounds.RATE) :]) == pytest.approx(880, abs=6)
    assert (synth.play(40, Music((69,), 1.0, False, "low"), 100) == note).all(), (
        "nothing is left of what sounded before"
    )


def test_fonts_that_are_not_for_use(tmp_path):
    with pytest.raises(sounds.FontError, match="has no program 7"):
        sounds.SoundFont(write_sound_font(tmp_path / "few.sf2", [n for n in range(128) if n != 7]))
    (tmp_path / "bad.sf2").write_text("no font")
    with pytest.raises(sounds.FontError, match=r"bad\.sf2: no sound font"):
        sounds.SoundFont(tmp_path / "bad.sf2")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_prepare(font, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare, "instruments", lambda: instruments()[38:42])
    fonts = [part for option in ("--font", "--dev-font", "--test-font") for part in (option, font)]
    arguments = [*fonts, "--clips", 3, "--duets", 2, "--valid-clips", 1, "--test-clips", 2, "--dev-clips", 1]
    for name in ("one", "two"):
        assert prepare.main(list(map(str, ["--out", tmp_path / name, *arguments]))) == 0
    assert "clips: {'train': 20, 'valid': 4, 'test': 8, 'dev': 4}" in capsys.readouterr().out
    rows = {split: _read(tmp_path / "one" / f"{split}.tsv") for split in music.SPLITS}
    assert rows == {split: _read(tmp_path / "two" / f"{split}.tsv") for split in music.SPLITS}
    assert [row["label"] for row in rows["valid"]] == [instrument.name for instrument in instruments()[38:42]]
    families = ("a bass", "a string instrument")
    assert all(any(said in row["text"] for said in (row["label"], *families)) for row in rows["train"])
    duets = rows["train"][12:]
    assert [row["label"] for row in duets] == [families[0]] * 4 + [families[1]] * 4
    assert {row["text"].removeprefix("the sound of ") for row in duets} == set(families)
    for row in rows["train"] + rows["test"]:
        first, second = (soundfile.read(tmp_path / name / row["audio"]) for name in ("one", "two"))
        assert (first[0] == second[0]).all() and first[1] == sounds.RATE and 0.2 < len(first[0]) / first[1] <= 2
    assert prepare.main(["--out", str(tmp_path / "bad"), "--font", str(tmp_path / "one/train.tsv")]) == 1
    assert "train.tsv: no sound font" in capsys.readouterr().err


def test_duets_are_of_two_instruments_of_a_family(font, tmp_path, monkeypatch):
    played = []
    synth = sounds.SoundFont(font)
    play = synth.play

    def listen(program, notes, *how):
        played.append((program, notes, *how))
        return play(program, notes, *how)

    monkeypatch.setattr(synth, "play", listen)
    for number in range(4):
        prepare.write_duet(synth, VIOLIN, number, tmp_path, seed=1)
    assert len(played) == 8
    for (first, *how), (second, *same) in zip(played[::2], played[1::2], strict=True):
        assert first == VIOLIN.program != second and instruments()[second].family == "strings" and how == same


def test_together():
    rng = np.random.default_rng(0)
    low, high = (np.sin(2 * np.pi * k / 4000 * np.arange(n)).astype(np.float32) for n, k in ((8000, 64), (4000, 1273)))
    for _ in range(20):
        mix = augment.together(low * 9, high, rng)
        assert mix.dtype == np.float32 and len(mix) == 8000
        spectrum = np.abs(np.fft.rfft(mix[:4000]))
        ratio = spectrum[500:].max() / spectrum[:500].max()
        assert 10 ** (-8 / 20) < ratio < 10 ** (8 / 20), "one as loud as the other but for 7 decibels"


def _near(*worths: tuple[str, float]) -> torch.Tensor:
    """float32[1, 128], of unit norm: a sound that is so near to names."""
    names = [instrument.name for instrument in instruments()]
    sound_D = torch.zeros(128)
    for name, worth in worths:
        sound_D[names.index(name)] = worth
    return F.normalize(sound_D[None], dim=1)


def test_a_family_is_what_its_instruments_are_together_and_its_name():
    sound_ND = _near(("a trumpet", 1.0), ("a violin", 0.9), ("a viola", 0.9))
    organ, strings, brass = (FAMILIES[family] for family in ("organ", "strings", "brass"))
    for nearness, scale, by_instruments, family in (
        (1.0, 5.0, strings, organ),
        (0.02, 5.0, strings, strings),
        (0.02, 100.0, brass, brass),
    ):
        families_FD = torch.zeros(16, 128)
        families_FD[list(FAMILIES).index("organ")] = nearness * sound_ND[0]
        called = accuracy.call_sounds(sound_ND, torch.eye(128), families_FD, scale)
        assert called == {
            "instrument": ["a trumpet"],
            "family": [family],
            "family_by_instruments": [by_instruments],
            "family_by_name": [organ],
        }


def test_names_are_embedded_by_all_prompts():
    asked = []

    def embed(modality: str, texts: list[str]) -> torch.Tensor:
        asked.extend(texts)
        return F.one_hot(torch.tensor(["trumpet" in text for text in texts]).long(), 3).float()

    names_CD = accuracy.embed_names(embed, ["a violin", "a trumpet"])
    assert asked == ["a violin", "a trumpet", "the sound of a violin", "the sound of a trumpet"]
    assert names_CD.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_accuracies(tmp_path, capsys):
    """A model that was not trained, so its tables are told from the files of what it called the sounds."""
    rng = np.random.default_rng(0)
    labels = ["a violin", "a viola", "a trumpet"]
    for split in accuracy.SPLITS:
        for number in range(len(labels)):
            path = tmp_path / "data" / f"{split}{number}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, rng.normal(0, 0.1, 8000), 16000)
        rows = [(f"{split}{number}.wav", label) for number, label in enumerate(labels)]
        write_manifest(tmp_path / f"data/{split}.tsv", ("audio", "label"), rows)
    train_tokenizer(["a violin"], tmp_path / "bpe", vocab_size=60)
    write_checkpoint(tmp_path, tmp_path / "model.pt")
    arguments = [str(tmp_path / "model.pt"), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    arguments += ["--takes", "1"]
    assert accuracy.main(arguments) == 0
    table = capsys.readouterr().out
    called = _read(tmp_path / "out/test.tsv")
    assert [(row["audio"], row["label"]) for row in called] == [
        (f"test{i}.wav", label) for i, label in enumerate(labels)
    ]
    assert {row["instrument"] for row in called} <= {instrument.name for instrument in instruments()}
    right = 100 * np.mean([row["instrument"] == row["label"] for row in called])
    assert f"| the other font | 3 | {right:.1f} |" in table and "| chance | | 0.8 | 6.2 | 6.2 | 6.2 |" in table
    assert "| strings | 2 |" in table and "| brass | 1 |" in table and "| organ |" not in table
    assert table.strip() in (tmp_path / "out/accuracy.md").read_text()
    (tmp_path / "data/dev.tsv").unlink()
    assert accuracy.main(arguments) == 1
    assert "dev.tsv" in capsys.readouterr().err


def test_tables_count_what_is_right():
    strings, brass = FAMILIES["strings"], FAMILIES["brass"]
    clips = [
        accuracy.Called("0", "a violin", "a violin", strings, strings, brass),
        accuracy.Called("1", "a violin", "a viola", brass, strings, strings),
        accuracy.Called("2", "a trumpet", "a trumpet", brass, strings, brass),
    ]
    assert "| the other font | 3 | 66.7 | 66.7 | 66.7 | 66.7 |" in accuracy.splits_table({"test": clips})
    table = accuracy.families_table(clips)
    assert "| strings | 2 | 50.0 | 50.0 | 100.0 | 50.0 |" in table
    assert "| brass | 1 | 100.0 | 100.0 | 0.0 | 100.0 |" in table


def test_gallery(tmp_path, capsys):
    pictures = ["stamps/a", "stamps/hobbies/music/string/violin", "clipart/recreation/music/violin_mo_01"]
    rows = [(name, f"images/{name}.png", "x") for name in pictures]
    columns = ("image_id", "image", "caption")
    further = [("clipart/recreation/music/violin_mo_01.0.1", rows[2][1], "a violin")]
    write_manifest(tmp_path / "clip/train.tsv", columns, [*rows[1:], *further])
    write_manifest(tmp_path / "clip/test.tsv", columns, rows[:1])
    clips = [("k.flac", "a kalimba"), ("v.flac", "a violin"), ("f.flac", "a fiddle")]
    write_manifest(tmp_path / "data/test.tsv", ("audio", "label"), clips)
    arguments = ["--data", str(tmp_path / "data"), "--pictures", str(tmp_path / "clip")]
    assert gallery.main(arguments) == 0
    written = _read(tmp_path / "data/gallery.tsv")
    names = [f"../clip/{image}" for _, image, _ in rows]
    assert [(row["audio"], row["image"], row["text"]) for row in written] == [
        ("v.flac", names[1], "a violin"),
        ("f.flac", names[1], "a fiddle"),
        ("v.flac", names[2], "a violin"),
        ("f.flac", names[2], "a fiddle"),
        ("", names[0], ""),
        ("k.flac", "", ""),
    ]
    write_manifest(tmp_path / "clip/train.tsv", columns, rows[:1])
    assert gallery.main(arguments) == 1
    assert "none of the pictures shows an instrument" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["prepare.sh", "train.sh", "evaluate.sh"])
def test_scripts_explain_themselves_from_anywhere(script, tmp_path):
    path = Path(general_midi.__file__).with_name(script)
    answer = subprocess.run(["bash", path, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("Usage: ") and "outputs/instruments" in answer.stdout


@pytest.fixture
def tools(tmp_path) -> dict[str, str]:
    """An environment whose python and fairseq only write down in tmp_path/calls how they are called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python", "fairseq-hydra-train", "fairseq-validate"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/calls"\n')
        (folder / name).chmod(0o755)
    return {"PYTHON": str(folder / "python"), "OUT": str(tmp_path / "out"), "CLIPART": str(tmp_path / "clip")}


def _call(script: str, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    path = Path(general_midi.__file__).with_name(script)
    environment = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(["bash", path, *arguments], env=environment, capture_output=True, text=True)


def test_training_starts_from_clipart(tools, tmp_path):
    assert "run prepare.sh first" in _call("train.sh", tools).stderr
    for path in ("out/data/train.tsv", "clip/checkpoints/checkpoint_best.pt", "clip/data/bpe/dict.txt"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    assert _call("train.sh", tools | {"EPOCHS": "3"}, "criterion.dcl_al_text_alpha=0").returncode == 0
    (call,) = (tmp_path / "calls").read_text().splitlines()
    for part in (
        f"task.data={tmp_path}/out/data",
        f"task.bpe_dir={tmp_path}/clip/data/bpe",
        f"checkpoint.finetune_from_model={tmp_path}/clip/checkpoints/checkpoint_best.pt",
        f"checkpoint.save_dir={tmp_path}/out/stage2",
        "model.size=tiny",
        "optimization.max_epoch=3",
        "dataset.valid_subset='dev,valid'",
        "criterion.dcl_audio_alpha=0",
    ):
        assert f" {part} " in call
    assert call.endswith(" criterion.dcl_al_text_alpha=0"), "what is given wins"
    assert (tmp_path / "out/train.log").is_file()
    assert _call("train.sh", tools | {"DENOISING": "1"}).returncode == 0
    assert "dcl_" not in (tmp_path / "calls").read_text().splitlines()[-1]


def test_evaluation_names_sounds_and_searches_pictures(tools, tmp_path):
    files = ["out/one_peace.pt", "out/train.log", "out/data/test.tsv", "out/stage2/checkpoint_last.pt"]
    for path in (*files, "clip/checkpoints/checkpoint_best.pt", "clip/data/bpe/dict.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert _call("evaluate.sh", tools, "--queries", "3").returncode == 0
    merge, accuracies, pairs, search, curves, places = (tmp_path / "calls").read_text().splitlines()
    joined = f"{tmp_path}/out/one_peace.pt"
    assert merge.endswith(f"checkpoints/checkpoint_best.pt {tmp_path}/out/stage2/checkpoint_last.pt --out {joined}")
    assert accuracies.endswith(f"accuracy {joined} --data {tmp_path}/out/data --out {tmp_path}/out/results")
    assert f"--pictures {tmp_path}/clip/data" in pairs
    assert f"{joined} {tmp_path}/out/data/gallery.tsv" in search and search.endswith("text:image --takes 8 --queries 3")
    assert f"plots.curves {tmp_path}/out/train.log" in curves
    assert f"plots.joint_space {joined} {tmp_path}/out/data/gallery.tsv" in places
