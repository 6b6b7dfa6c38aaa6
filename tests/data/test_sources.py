"""Cells that hold one input, several instances, or choices."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.data.choices import Choices, ChoiceTarget, parse_choices
from one_peace.data.errors import SampleError
from one_peace.data.sources import Frames, Source, as_sources


def test_a_name_is_a_source_of_that_column():
    sources = as_sources({"text": "caption", "image": Source(("left", "right"))})
    assert sources["text"].split(["a cat"]) == [["a cat"]]
    assert sources["image"].columns == ("left", "right")
    assert sources["image"].split(["1.png", "2.png"]) == [["1.png"], ["2.png"]]


@pytest.mark.parametrize(
    ("total", "number", "expected"),
    [(9, 3, [1, 4, 7]), (10, 3, [1, 5, 8]), (3, 3, [0, 1, 2]), (8, 1, [4]), (1, 3, [0, 0, 0]), (2, 3, [0, 1, 1])],
)
def test_evaluation_takes_the_middle_of_each_stretch(total, number, expected):
    cell = "|".join(f"{i}.jpg" for i in range(total))
    assert Frames(("frames",), number).split([cell]) == [[f"{i}.jpg"] for i in expected]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 10**6))
def test_training_draws_from_each_stretch(total, number, seed):
    frames, cell = Frames(("frames",), number), " | ".join(map(str, range(total)))
    drawn = [int(row[0]) for row in frames.split([cell], torch.Generator().manual_seed(seed))]
    assert drawn == [int(row[0]) for row in frames.split([cell], torch.Generator().manual_seed(seed))]
    assert drawn == sorted(drawn)
    for part, frame in enumerate(drawn):
        assert part * total // number <= frame <= max(part * total // number, (part + 1) * total // number - 1)


def test_training_reaches_every_frame():
    cell = "|".join(map(str, range(9)))
    draws = [Frames(("f",), 3).split([cell], torch.Generator().manual_seed(seed)) for seed in range(60)]
    assert {int(row[0]) for draw in draws for row in draw} == set(range(9))


@pytest.mark.parametrize("cell", ["", "  ", "||"])
def test_a_video_without_frames(cell):
    with pytest.raises(SampleError, match="no frame"):
        Frames(("frames",), 2).split([cell])


def test_choices_are_rows_of_one_instance():
    cell = "What is it?&&& a dog&&&a cat &&&1"
    assert Choices(("text",), 2).split([cell]) == [["What is it? answer: a dog", "What is it? answer: a cat"]]
    assert ChoiceTarget("text", 2).read([cell], None)["labels"].item() == 1
    assert parse_choices("q&&&&&&b&&&0", 2) == ("q", ["", "b"], "0")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("q&&&a&&&b", "3 parts"),
        ("", "1 parts"),
        ("q&&&a&&&b&&&2", "from 0 to 1"),
        ("q&&&a&&&b&&&-1", "from 0 to 1"),
        ("q&&&a&&&b&&&", "index '' of the right answer"),
    ],
)
def test_malformed_choices(cell, words):
    with pytest.raises(SampleError, match=words):
        ChoiceTarget("text", 2).read([cell], None)
