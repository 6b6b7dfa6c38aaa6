"""The generated world: what captions, pictures and sounds say, which scenes go where, and repeatability."""

import csv
import hashlib
import itertools

import numpy as np
import pytest
import soundfile
from PIL import Image

from one_peace.examples.world import generate
from one_peace.examples.world.picture import RGB, draw
from one_peace.examples.world.scene import COLOURS, Group, Pair, Thing, all_groups, all_pairs, caption
from one_peace.examples.world.sound import PITCH, RATE, SAMPLES, play

# The captions' vocabulary once more, written down independently of the grammar.
SHAPE_OF = {
    **dict.fromkeys(("circle", "circles", "disc", "discs"), "circle"),
    **dict.fromkeys(("square", "squares", "box", "boxes"), "square"),
    **dict.fromkeys(("triangle", "triangles"), "triangle"),
    **dict.fromkeys(("star", "stars"), "star"),
    **dict.fromkeys(("cross", "crosses", "plus"), "cross"),
}
SIZE_OF = dict.fromkeys(("small", "little", "tiny"), "small") | dict.fromkeys(("large", "big", "huge"), "large")
COUNT_OF = {"single": 1, "one": 1, "pair": 2, "two": 2, "trio": 3, "three": 3}
RELATION_OF = {
    **dict.fromkeys(("left",), ("left", False)),
    **dict.fromkeys(("right",), ("left", True)),
    **dict.fromkeys(("above", "over", "top"), ("above", False)),
    **dict.fromkeys(("below", "under", "beneath"), ("above", True)),
    **dict.fromkeys(("inside", "within", "middle"), ("inside", False)),
    **dict.fromkeys(("around", "surrounding", "enclosing"), ("inside", True)),
}


def understand(text):
    """The scene that a caption describes."""
    words = text.lower().rstrip(".").split()
    things = [
        Thing(word, next(SHAPE_OF[w] for w in words[i:] if w in SHAPE_OF))
        for i, word in enumerate(words)
        if word in COLOURS
    ]
    relations = [RELATION_OF[word] for word in words if word in RELATION_OF]
    if not relations:
        counts = [COUNT_OF[word] for word in words if word in COUNT_OF]
        (size,) = (SIZE_OF[word] for word in words if word in SIZE_OF)
        return Group(*things, counts[0] if counts else 1, size)
    ((relation, mirrored),) = relations
    first, second = reversed(things) if mirrored else things
    return Pair(first, relation, second)


def test_every_caption_says_its_scene():
    for number, scene in enumerate(all_groups() + all_pairs()):
        rng = np.random.default_rng(number)
        for _ in range(3):
            assert understand(caption(scene, rng)) == scene


def test_scenes_are_all_different():
    scenes = all_groups() + all_pairs()
    assert len(set(scenes)) == len(scenes)


def test_no_scene_is_in_two_sets():
    dealt = generate.split_scenes(seed=3)
    sets = {split: set(kinds["group"]) | set(kinds["pair"]) for split, kinds in dealt.items()}
    for a, b in itertools.combinations(sets.values(), 2):
        assert not a & b
    assert sum(map(len, sets.values())) == len(all_groups()) + len(all_pairs())


def test_no_training_sound_is_paired_with_a_picture():
    rows = generate.plan_rows(train=200, valid=5, test=5, seed=0)
    seen = {split: {r.scene for r in rows if r.split == split} for split in ("image_train", "audio_train", "test")}
    assert not seen["image_train"] & seen["audio_train"]
    assert not seen["test"] & (seen["image_train"] | seen["audio_train"])
    assert all(r.picture != r.sound for r in rows if r.split.endswith("train"))
    assert len({r.scene for r in rows if r.split == "test"}) == 5


def test_too_many_held_out_scenes_is_an_error():
    with pytest.raises(ValueError, match="--test 100000: only"):
        generate.plan_rows(train=1, valid=1, test=100_000, seed=0)


def _pixels_of(image, colour):
    return np.abs(np.asarray(image, dtype=int) - RGB[colour]).max(axis=-1) < 24


@pytest.mark.parametrize("relation", ["left", "above", "inside"])
def test_pictures_show_the_relation(relation):
    scene = Pair(Thing("red", "star"), relation, Thing("blue", "circle"))
    for seed in range(20):
        image = draw(scene, 64, np.random.default_rng(seed))
        (y1, x1), (y2, x2) = (np.argwhere(_pixels_of(image, c)).mean(axis=0) for c in ("red", "blue"))
        if relation == "left":
            assert x2 - x1 > 15
        elif relation == "above":
            assert y2 - y1 > 15
        else:
            assert np.hypot(y2 - y1, x2 - x1) < 4
            assert _pixels_of(image, "red").sum() < _pixels_of(image, "blue").sum()


def test_pictures_show_count_and_size():
    for seed in range(10):
        area = {
            (count, size): _pixels_of(
                draw(Group(Thing("green", "circle"), count, size), 64, np.random.default_rng(seed)), "green"
            ).sum()
            for count in (1, 3)
            for size in ("small", "large")
        }
        assert area[3, "small"] > 2 * area[1, "small"] > 0
        assert area[3, "large"] > 2 * area[1, "large"]
        assert area[1, "large"] > 2 * area[1, "small"]


def _beeps(wave):
    """Number of stretches of sound, by the smoothed envelope."""
    envelope = np.convolve(np.abs(wave), np.ones(320) / 320, mode="same") > 0.15 * np.abs(wave).max()
    return int((np.diff(envelope.astype(int)) == 1).sum())


def _pitch(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 16))
    return np.argmax(spectrum) * RATE / (1 << 16)


def test_sounds_tell_count_size_and_colour():
    for seed, (count, size, colour) in enumerate(itertools.product((1, 2, 3), ("small", "large"), COLOURS)):
        wave = play(Group(Thing(colour, "circle"), count, size), np.random.default_rng(seed))
        assert wave.shape == (SAMPLES,) and wave.dtype == np.float32 and np.abs(wave).max() <= 1
        assert _beeps(wave) == count
        assert abs(_pitch(wave) / PITCH[colour] - 1) < 0.04


def test_sounds_tell_the_order_of_a_pair():
    red, blue = Thing("red", "circle"), Thing("blue", "circle")
    for seed, (first, second) in enumerate([(red, blue), (blue, red)]):
        for relation in ("left", "above"):
            wave = play(Pair(first, relation, second), np.random.default_rng(seed))
            assert abs(_pitch(wave[: int(0.35 * RATE)]) / PITCH[first.colour] - 1) < 0.04
            assert abs(_pitch(wave[-int(0.3 * RATE) :]) / PITCH[second.colour] - 1) < 0.04


def _digest(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _read(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_generation_is_repeatable_and_whole(tmp_path):
    size = ["--train", "70", "--valid", "4", "--test", "5", "--image-size", "32"]
    generate.main(["--out", str(tmp_path / "a"), *size, "--workers", "1"])
    generate.main(["--out", str(tmp_path / "b"), *size, "--workers", "2"])
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b")

    out = tmp_path / "a"
    assert [len(_read(out / "image_text" / f"{split}.tsv")) for split in ("train", "valid", "test")] == [70, 4, 5]
    for row in _read(out / "image_text" / "train.tsv"):
        assert Image.open(out / "image_text" / row["image"]).size == (32, 32)
    for row in _read(out / "audio_text" / "train.tsv"):
        wave, rate = soundfile.read(out / "audio_text" / row["audio"])
        assert (len(wave), rate) == (SAMPLES, RATE)
    trimodal = _read(out / "test.tsv")
    assert list(trimodal[0]) == ["id", "image", "caption", "audio"]
    assert all((out / row[view]).is_file() for row in trimodal for view in ("image", "audio"))
    assert [row["caption"] for row in trimodal] == [row["text"] for row in _read(out / "audio_text" / "test.tsv")]


def test_bad_arguments_have_a_message(tmp_path, capsys):
    with pytest.raises(SystemExit):
        generate.main(["--out", str(tmp_path), "--test", "100000", "--train", "1"])
    assert "held out" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        generate.main(["--out", str(tmp_path), "--train", "0"])
