"""The benchmarks made of recordings, whose labels can be heard as pitches here; and the commands."""

import csv
import hashlib
import json
import shutil
import subprocess
from collections import Counter
from importlib import import_module

import numpy as np
import pytest
import soundfile
import yaml

from one_peace.examples.stampworld import build, chance, recordings, report, score_vqa
from one_peace.examples.stampworld.recordings import deal, find_recordings, load
from one_peace.examples.tuxpaint.recordings import RATE
from one_peace.modalities.text.reader import clean_text
from tests.examples.stamp_data import PITCHES, RECORDINGS, write_samples, write_stamps, write_tone

SECONDS = 2.0


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    return write_stamps(tmp_path_factory.mktemp("stamps") / "stamps")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return write_samples(tmp_path_factory.mktemp("samples") / "samples")


@pytest.fixture(scope="module")
def built(stamps, samples, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    build.build_pictures(stamps, build.SMALL, 48, out, seed=1)
    build.build_sounds(stamps, samples, build.SMALL, SECONDS, out, seed=1)
    return out


def table(path, columns=None):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, columns))


def heard(wave):
    """The labels whose pitches a wave has."""
    spectrum = np.abs(np.fft.rfft(wave))
    frequencies = np.fft.rfftfreq(len(wave), 1 / RATE)
    loudness = {label: spectrum[np.abs(frequencies - pitch) < 20].max() for label, pitch in PITCHES.items()}
    return {label for label, value in loudness.items() if value > 0.2 * max(loudness.values())}


def read_wave(path):
    wave, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE and wave.shape == (SECONDS * rate,) and 0.3 < np.abs(wave).max() < 1
    return wave


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("food/fruit/apple_desc_fr", "French speech"),
        ("animals/birds/owl_desc", "English speech"),
        ("animals/birds/owl", "bird"),
        ("animals/birds/owl_desc_ml", None),
        ("symbols/math/0_fr", None),
    ],
)
def test_labels_of_stamps(name, label):
    assert recordings.label_of_stamp(name) == label


def test_labels_of_samples():
    names = ("tabla_tun1", "drum_splash_soft", "glitch_robot1", "glitch_perc1", "misc_burp")
    assert [recordings.label_of_sample(name) for name in names] == ["tabla", "cymbal", "robot", "glitch", None]


def test_recordings_are_dealt_once(stamps, samples, tmp_path):
    copy = shutil.copytree(stamps, tmp_path / "stamps")
    owl = copy / "animals/birds/owl.wav"
    shutil.copy(owl, owl.with_name("owl2.wav"))
    soundfile.write(owl.with_name("mute.wav"), np.zeros(8000), 8000)
    found = find_recordings(copy, samples)
    assert Counter(r.label for r in found) == dict.fromkeys(PITCHES, RECORDINGS) | {"bird": RECORDINGS + 1}
    dealt = deal(found, seed=3)
    used = [r.path for labels in dealt.values() for members in labels.values() for r in members]
    assert len(used) == len(set(used)) == 5 * RECORDINGS, "silence is left out, percussion has too few"
    assert {split: {len(m) for m in labels.values()} for split, labels in dealt.items()} == {
        "pretraining": {3},
        "train": {1},
        "known": {1},
        "held_out": {1},
    }
    assert deal(found, seed=3) == dealt != deal(found, seed=4)


def test_silence_around_a_recording_is_cut_off(tmp_path):
    write_tone(tmp_path / "a.wav", 400, 0)
    wave = load(recordings.Recording("a", tmp_path / "a.wav"))
    assert abs(len(wave) - RATE) < 100 and np.abs(wave).max() == pytest.approx(1)


def test_esc50(built):
    rows = table(built / "esc50/meta/esc50.csv")
    assert list(rows[0]) == ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
    assert Counter(row["category"] for row in rows) == {label.replace(" ", "_"): 2 for label in PITCHES}
    folds: dict[str, set[str]] = {}
    for row in rows:
        assert row["filename"].endswith(f"-{row['take']}-{row['target']}.wav")
        assert row["filename"].startswith(f"{row['fold']}-")
        assert heard(read_wave(built / "esc50/audio" / row["filename"])) == {row["category"].replace("_", " ")}
        assert sorted(PITCHES).index(row["category"].replace("_", " ")) == int(row["target"])
        folds.setdefault(row["src_file"], set()).add(row["fold"])
    assert all(len(each) == 1 for each in folds.values())


def test_fsd50k(built):
    truth = built / "fsd50k/FSD50K.ground_truth"
    vocabulary = {row["name"]: row for row in table(truth / "vocabulary.csv", ("number", "name", "mid"))}
    assert [row["number"] for row in vocabulary.values()] == ["0", "1", "2", "3", "4"]
    dev, evaluation = table(truth / "dev.csv"), table(truth / "eval.csv")
    assert list(dev[0]) == ["fname", "labels", "mids", "split"] and list(evaluation[0]) == ["fname", "labels", "mids"]
    assert Counter(row["split"] for row in dev) == {"train": 12, "val": 6} and len(evaluation) == 6
    for part, rows in (("dev", dev), ("eval", evaluation)):
        for row in rows:
            labels = row["labels"].split(",")
            assert row["mids"].split(",") == [vocabulary[label]["mid"] for label in labels]
            wave = read_wave(built / f"fsd50k/FSD50K.{part}_audio/{row['fname']}.wav")
            assert heard(wave) == {label.replace("_", " ") for label in labels}


def test_vggsound(built):
    rows = table(built / "vggsound/vggsound.csv", ("video", "start", "label", "split"))
    assert Counter(row["split"] for row in rows) == {"train": 12, "test": 6}
    for row in rows:
        wave = read_wave(built / f"vggsound/sounds/{row['video']}_{int(row['start']):06d}.wav")
        assert heard(wave) == {row["label"]}


def test_avqa(built):
    texts = Counter()
    for split in ("train", "val"):
        for question in json.loads((built / f"avqa/{split}_qa.json").read_text()):
            choices, text = question["multi_choice"], question["question_text"]
            assert len(choices) == len(set(choices)) == 4 and question["video_name"].startswith(split)
            wave = read_wave(built / f"avqa/sounds/{question['video_name']}.wav")
            count = max(n for n in (1, 2, 3, 4) if len(heard(wave)) >= n)
            parts = [heard(part) for part in np.array_split(wave[: len(wave) // count * count], count)]
            texts[text] += 1
            spoken = {label.removesuffix(" speech") for label in heard(wave) if label.endswith("speech")}
            right = {
                "How many sounds are there?": {str(count)},
                "What can be heard?": parts[0],
                "What is the first sound?": parts[0],
                "What is the last sound?": parts[-1],
                "Which language does somebody speak?": spoken,
            }[text]
            assert right == {choices[question["answer"]]}, (question, parts)
    assert len(texts) == 4, "two languages are too few for four choices"


def test_captions_of_sounds(built):
    clips = [
        (built / f"audiocaps/{split}/{row['youtube_id']}.wav", [row["caption"]])
        for split in ("train", "val", "test")
        for row in table(built / f"audiocaps/{split}.csv")
    ]
    assert len(clips) == 12 + 5 * 6 + 5 * 6
    for split in ("development", "validation", "evaluation"):
        rows = table(built / f"clotho/clotho_captions_{split}.csv")
        assert list(rows[0]) == ["file_name", *(f"caption_{n}" for n in range(1, 6))]
        clips += [(built / "clotho" / split / row["file_name"], list(row.values())[1:]) for row in rows]
    macs = yaml.safe_load((built / "macs/MACS.yaml").read_text())["files"]
    clips += [(built / "macs/audio" / file["filename"], [a["sentence"] for a in file["annotations"]]) for file in macs]
    assert len(macs) == 12
    for path, captions in clips:
        wave = read_wave(path)
        for caption in captions:
            named = {label for label in PITCHES if label in caption}
            assert named == heard(wave), (path, caption)
            first, second = heard(wave[: len(wave) // 2]), heard(wave[len(wave) // 2 :])
            for word in (" followed by ", ", then ", " before ", ", afterwards "):
                if word in caption:
                    before, after = caption.split(word)
                    assert {label for label in PITCHES if label in before} == first
                    assert {label for label in PITCHES if label in after} == second


def test_same_seed_same_files(stamps, samples, built, tmp_path):
    def digests(root):
        return {
            str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).digest() for p in root.rglob("*") if p.is_file()
        }

    build.build_pictures(stamps, build.SMALL, 48, tmp_path, seed=1)
    build.build_sounds(stamps, samples, build.SMALL, SECONDS, tmp_path, seed=1)
    assert digests(tmp_path) == digests(built)


def test_prepare_reads_all(built, tmp_path):
    for name, options in {
        "coco_retrieval": ["--karpathy", built / "coco/dataset_coco.json", "--images", built / "coco"],
        "refcoco": ["--refer", built / "refer/refcoco", "--images", built / "coco"],
        "vqa": ["--vqa", built / "vqa", "--images", built / "coco", "--min-count", 1],
        "nlvr2": ["--nlvr2", built / "nlvr2/data", "--images", built / "nlvr2/images"],
        "imagenet": ["--imagenet", built / "imagenet", "--names", built / "imagenet/LOC_synset_mapping.txt"],
        "esc50": ["--esc50", built / "esc50"],
        "fsd50k": ["--fsd50k", built / "fsd50k"],
        "vggsound": ["--csv", built / "vggsound/vggsound.csv", "--sounds", built / "vggsound/sounds"],
        "avqa": ["--avqa", built / "avqa", "--sounds", built / "avqa/sounds"],
        "audiocaps_clotho_retrieval": [
            *("--audiocaps", built / "audiocaps", "--clotho", built / "clotho", "--macs", built / "macs"),
        ],
    }.items():
        module = import_module(f"one_peace.data.prepare.{name}")
        assert module.main(["--out", str(tmp_path / name), *map(str, options)]) == 0
    rows = {path.parent.name: len(path.read_text().splitlines()) - 1 for path in tmp_path.glob("*/train.tsv")}
    assert rows["coco_retrieval"] == 24 * 5 and rows["nlvr2"] == 24 and rows["fsd50k"] == 12
    assert rows["audiocaps_clotho_retrieval"] == 12 + 12 * 5 + 12 and (tmp_path / "esc50/test.tsv").is_file()


def test_chance(built, capsys):
    assert chance.main([str(built)]) == 0
    found = json.loads((built / "chance.json").read_text())
    assert found["coco_retrieval"]["val"]["text -> media R@1"] == pytest.approx(100 / 12)
    assert found["coco_retrieval"]["val"]["media -> text R@1"] == pytest.approx(100 * 5 / 60)
    # none of the five is among the first five of sixty: C(55, 5) / C(60, 5)
    assert found["coco_retrieval"]["val"]["media -> text R@5"] == pytest.approx(100 * (1 - 3478761 / 5461512))
    assert found["nlvr2"]["test1"] == {"accuracy, knowing the sentence": 50.0}
    assert found["esc50"]["test"]["accuracy"] == 20.0 and found["avqa"]["val"]["accuracy"] == 25.0
    truth = table(built / "fsd50k/FSD50K.ground_truth/eval.csv")
    counts = Counter(label for row in truth for label in row["labels"].split(","))
    assert found["fsd50k"]["eval"]["map"] == pytest.approx(100 * np.mean([n / len(truth) for n in counts.values()]))
    assert "| refcoco | testB | acc_iou50 |" in capsys.readouterr().out


def test_report_puts_results_beside_guesses(built, tmp_path, capsys):
    assert report.main([str(tmp_path)]) == 1 and "run prepare.sh first" in capsys.readouterr().err
    chance.main([str(built)])
    (tmp_path / "data").symlink_to(built)
    question = json.loads((built / "vqa/v2_mscoco_test2015_annotations.json").read_text())["annotations"]
    answers = [{"question_id": each["question_id"], "answer": each["answers"][0]["answer"]} for each in question]
    for path, content in {
        "checkpoints/refcoco/results/valid_metrics.json": {"acc_iou50": 61.26},
        "scratch/refcoco/results/valid_metrics.json": {"acc_iou50": 40.0},
        "checkpoints/audiocaps_clotho_retrieval/results/clotho_test_metrics.json": {"audio_r10": 30.0, "txt_r1": 7.0},
        "checkpoints/imagenet/results/96/valid_metrics.json": {"accuracy": 50.0},
        "scratch/vqa/results/test_metrics.json": {"vqa_score": 0.0},
        "scratch/vqa/results/test_vqa.json": answers,
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    capsys.readouterr()
    assert report.main([str(tmp_path)]) == 0
    cells = [tuple(map(str.strip, line.split("|")[1:-1])) for line in capsys.readouterr().out.splitlines()]
    found = {cell[:3]: cell[4:] for cell in cells}
    assert found["refcoco", "val", "acc_iou50"] == ("40.0", "61.3")
    assert found["clotho", "evaluation", "text -> media R@10"] == ("", "30.0")
    assert found["clotho", "evaluation", "media -> text R@1"] == ("", "7.0")
    assert found["imagenet", "val", "accuracy"] == ("", "50.0")
    assert float(found["vqa", "test", "vqa_score"][0]) > 30, "what people answered, by the server's score"
    assert len(cells) == len(set(cells)) and ("nlvr2", "test1", "accuracy") in found


def test_chance_of_a_box():
    truth = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.25], [0.5, 0.5, 1, 1]])
    assert chance._hits(np.array([0, 0, 0.5, 0.4]), truth) == pytest.approx(2 / 3)


def test_score_vqa(tmp_path, capsys):
    given = [["yes"] * 10, ["apple"] * 7 + ["fruit"] * 3, ["1"] * 9 + ["2"]]
    truth = [
        {"question_id": n, "answer_type": kind, "answers": [{"answer": answer} for answer in answers]}
        for n, (kind, answers) in enumerate(zip(("yes/no", "other", "number"), given, strict=True))
    ]
    submission = [{"question_id": n, "answer": answer} for n, answer in enumerate(("Yes.", "fruit", "two"))]
    # three of ten: 3 * 2/3 + 7 * 3/3; one of ten: 1 * 0 + 9 * 1/3
    assert score_vqa.score(submission, truth) == pytest.approx(
        {"overall": (100 + 90 + 30) / 3, "yes/no": 100, "other": 90, "number": 30}
    )
    (tmp_path / "s.json").write_text(json.dumps(submission[:2]))
    (tmp_path / "t.json").write_text(json.dumps({"annotations": truth}))
    assert score_vqa.main([str(tmp_path / "s.json"), str(tmp_path / "t.json")]) == 1
    assert "1 of 3 questions have no answer (the first: 2)" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
def test_command_builds_from_packages(stamps, samples, tmp_path, capsys):
    packages = {}
    for name, folder, files in (
        ("stamps", "usr/share/tuxpaint/stamps", stamps),
        ("samples", "usr/share/sonic-pi/samples", samples),
    ):
        shutil.copytree(files, tmp_path / name / folder)
        control = tmp_path / name / "DEBIAN/control"
        control.parent.mkdir()
        control.write_text(f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n")
        packages[name] = tmp_path / f"{name}.deb"
        subprocess.run(["dpkg-deb", "-b", tmp_path / name, packages[name]], check=True, capture_output=True)
    arguments = ["--out", tmp_path / "out/data", "--small", "--image-size", 48, "--vocab-size", 300]
    files = ["--package", packages["stamps"], "--samples-package", packages["samples"]]
    assert build.main(list(map(str, [*arguments, *files]))) == 0
    assert "all benchmarks, a vocabulary of" in capsys.readouterr().out
    captions = json.loads((tmp_path / "out/data/coco/dataset_coco.json").read_text())["images"]
    known = set((tmp_path / "out/data/bpe/dict.txt").read_text())
    assert {c for image in captions for s in image["sentences"] for c in clean_text(s["raw"])} - {" "} <= known
    packages["samples"].write_text("not a package")
    shutil.rmtree(tmp_path / "out/package/samples")
    assert build.main(list(map(str, [*arguments, *files]))) == 1
    assert "no readable Debian package" in capsys.readouterr().err
