"""Tux Paint's recordings: what they say, what is held out, and the whole example on tones that stand for words."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from one_peace.examples import retrieval_report
from one_peace.examples.augment import at_speed
from one_peace.examples.plots import joint_space
from one_peace.examples.tuxpaint import recordings as sounds
from one_peace.examples.tuxpaint import stamps as pictures
from one_peace.examples.tuxpaint.speech import prepare, recordings
from tests.examples.stamp_data import write_tone

FOLDER = Path(prepare.__file__).parent
STAMPS = [f"{kind}/{name}{i}" for kind, name in (("animals", "hen"), ("food", "pear")) for i in range(12)]


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    """Two dozen stamps with captions in ten languages, the first two with the same; voices, and French."""
    root = tmp_path_factory.mktemp("in") / "tree/usr/share/tuxpaint/stamps"
    for number, name in enumerate(STAMPS):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (20, 20), (10 * number, 250 - 10 * number, 99, 255)).save(root / f"{name}.png")
        own = "".join(f"{language}.utf8={language} {name} {number // 2}\n" for language in sounds.SPOKEN)
        (root / f"{name}.txt").write_text(f"The {name.split('/')[1]}.\n{own}", encoding="utf-8")
        write_tone(root / f"{name}.wav", 300 + 40 * number, number)
        write_tone(root / f"{name}_desc_fr.wav", 320 + 40 * number, number)
    (root / "animals/hen1.txt").write_text((root / "animals/hen0.txt").read_text())
    for extra in ("hen0_desc", "hen0_desc_ml", "hen0_de"):  # English words, an unknown language, another voice
        write_tone(root / f"animals/{extra}.wav", 900, 1)
    (root / "animals/hen3_desc_be.wav").write_bytes((root / "animals/hen2_desc_fr.wav").read_bytes())
    soundfile.write(root / "food/pear1_desc_ru.wav", np.zeros(8000), 8000)
    return root


@pytest.fixture(scope="module")
def found(stamps):
    return recordings.find_recordings(stamps, {stamp.name: stamp for stamp in pictures.find_stamps(stamps)})


def test_what_recordings_say(found):
    by_name = {recording.name: recording for recording in found}
    assert len(by_name) == len(found) == 24 + 24 + 1, (
        "voices, French, and one that is silent; equal content counts once"
    )
    assert by_name["effects/food/pear3"].caption == "the pear3."
    assert (
        by_name["fr/animals/hen4"].caption == "fr animals/hen4 2" and by_name["fr/animals/hen4"].stamp == "animals/hen4"
    )
    assert not {name for name in by_name if name.startswith(("en/", "ml/")) or "hen0_de" in name}


def test_recordings_of_one_caption_are_on_one_side(found):
    by_name = {recording.name: recording for recording in found}
    first, second = by_name["fr/animals/hen0"], by_name["fr/animals/hen1"]
    assert first.caption == second.caption and first.held_out == second.held_out
    share = np.mean([recordings.one_in_ten("held out", "fr", f"caption {i}") for i in range(5000)])
    assert share == pytest.approx(0.1, abs=0.02)


def _read(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def made(stamps, tmp_path_factory):
    """What prepare.sh makes of the stamps, from a package of them."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb")
    out = tmp_path_factory.mktemp("out")
    control = stamps.parents[3] / "DEBIAN/control"
    control.parent.mkdir()
    control.write_text("Package: stamps\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n")
    package = out / "stamps_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", stamps.parents[3], package], check=True, capture_output=True)
    arguments = ["--out", out, "--package", package, "--vocab-size", "200", "--speeds", "0.8", "--voices", "1"]
    assert prepare.main(list(map(str, arguments))) == 0
    return out


@pytest.mark.parametrize(("voices", "message"), [("8", "pip install espeakng-loader"), ("-1", "between 0 and 100")])
def test_voices_that_cannot_be_had(voices, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SystemExit):
        prepare.main(["--out", str(tmp_path), "--voices", voices])
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir()), "told before anything is fetched"


def test_manifests(made, found):
    splits = {name: _read(made / f"sounds/{name}.tsv") for name in ("train", "valid", "held_out")}
    synthetic = [row for row in splits["train"] if "/synthetic/" in row["audio"]]
    said = [(row["language"], row["text"]) for row in synthetic]
    every = {(row["language"], row["caption"]) for row in _read(made / "data/train.tsv")}
    assert sorted(said) == sorted(pair for pair in every if pair[0] in sounds.SPOKEN)
    assert splits["train"][: len(synthetic)] == synthetic
    del splits["train"][: len(synthetic)]
    captions = {name: {(row["language"], row["text"]) for row in rows} for name, rows in splits.items()}
    assert not captions["train"] & captions["held_out"] and captions["valid"] <= captions["train"]
    trained = [row for row in splits["train"] if "@" not in row["uniq_id"]]
    assert len(splits["train"]) == 2 * len(trained), "each at its own speed and slower"
    assert len(trained) + len(splits["held_out"]) == len(found) - 1, "silence says nothing"
    for row in synthetic + splits["train"] + splits["held_out"]:
        wave, rate = soundfile.read(made / "sounds" / row["audio"])
        assert rate == 16000 and wave.ndim == 1 and len(wave) / rate == pytest.approx(float(row["duration"]), abs=0.01)
        if row not in synthetic:  # which never say a thing quite the same way
            assert np.abs(wave[:160]).max() > 0.01, "no silence before it"
        if "@0.8" in row["uniq_id"]:
            own, _ = soundfile.read(made / "sounds" / row["audio"].replace("@0.8", ""))
            slower = at_speed(own.astype(np.float32), 0.8)
            assert len(wave) == len(slower) and np.abs(wave - slower).max() > 0.05, "with another timbre"
    assert {row["language"] for row in _read(made / "data/train.tsv")} == {"en", *sounds.SPOKEN}


def test_views(made):
    heard = {name: {row["audio"] for row in _read(made / f"sounds/{name}.tsv")} for name in ("train", "held_out")}
    for name, split in (("trained", "train"), ("held_out", "held_out")):
        rows = _read(made / f"views/{name}.tsv")
        shown = {row["audio"] for row in rows if row["audio"]}
        recorded = {audio for audio in heard[split] if "@" not in audio and "/synthetic/" not in audio}
        assert shown == {f"../sounds/{audio}" for audio in recorded}
        assert len({row["image"] for row in rows}) == len(STAMPS) and all(row["image"] for row in rows)
        assert all((made / "views" / row["image"]).is_file() for row in rows)
        assert len({row["text"] for row in rows if row["language"] == "ca"}) == len(STAMPS) - 1
        assert {row["kind"] for row in rows} == {"animals", "food"}
    held_out = _read(made / "views/held_out.tsv")
    assert _read(made / "views/held_out_alone.tsv") == [row for row in held_out if row["audio"]]
    of_hen0 = [
        row["image"]
        for row in _read(made / "views/trained.tsv") + _read(made / "views/held_out.tsv")
        if row["audio"].endswith("fr/animals/hen0.flac")
    ]
    assert [Path(image).stem for image in of_hen0] == ["hen0", "hen1"], "either picture is right"


def train(out, **variables):
    environment = {**os.environ, "OUT": str(out), "STAGE1_UPDATES": "2", "BATCH": "8", "CPU": "1", **variables}
    command = ["bash", FOLDER / "train.sh", "dataset.num_workers=0"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]


@pytest.fixture(scope="module")
def trained(made):
    train(made, UPDATES="2", PROCESSES="2")
    return made


def test_training_moves_sounds_only(trained):
    stage1, joined = (torch.load(trained / name, weights_only=True)["model"] for name in ("stage1.pt", "one_peace.pt"))
    assert all(torch.equal(value, joined[key]) for key, value in stage1.items() if key in joined)
    assert joined["audio_proj.weight"].shape == joined["text_proj.weight"].shape
    log = (trained / "stage2/hydra_train.log").read_text()
    assert "'distributed_world_size': 2" in log and "'batch_size': 4," in log, "two processes share a batch of eight"
    assert "atc_loss" in log and "dcl_audio_loss" not in log and "valid on 'held_out' subset" in log
    assert "dcl_vl_image_loss" not in (trained / "train.log").read_text()
    stage2 = torch.load(trained / "stage2/checkpoint_best.pt", weights_only=True)["model"]
    assert stage2["logit_scale"].exp().item() == pytest.approx(1 / 0.07)


def test_evaluation(trained, tmp_path, capsys):
    views = ["--columns", "audio=audio", "text=text", "image=image"]
    arguments = [str(trained / "one_peace.pt"), str(trained / "views/trained.tsv"), *views]
    directions = ["--directions", "audio:text", "text:audio", "--emergent", "audio:image", "--groups", "language"]
    retrieval_report.main([*arguments, *directions, "--out", str(tmp_path)])
    table = capsys.readouterr().out
    for line in ("| audio -> text             | fr ", "| audio -> image (emergent) | effects ", "| mean "):
        assert line in table
    joint_space.main(
        [*arguments, "--out", str(tmp_path / "map.png"), "--limit", "6", "--colours", "kind", "--links", "2"]
    )
    assert (tmp_path / "report.png").is_file() and (tmp_path / "map.png").is_file()


def test_training_goes_on_with_denoising(trained):
    train(trained, UPDATES="3", DENOISING="1")
    assert "dcl_al_audio_loss" in (trained / "stage2/hydra_train.log").read_text()


@pytest.mark.parametrize("script", ["prepare.sh", "train.sh", "evaluate.sh"])
def test_scripts_explain_themselves_from_anywhere(script, tmp_path):
    answer = subprocess.run(
        ["bash", FOLDER / script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("Usage: ") and "outputs/tuxpaint_speech" in answer.stdout
