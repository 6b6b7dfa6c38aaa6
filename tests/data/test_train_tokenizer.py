"""The command that trains a vocabulary, end to end: its files must serve fairseq's own encoder."""

import subprocess
import sys
from pathlib import Path

import pytest

from one_peace.data.train_tokenizer import main, read_texts, train_tokenizer
from one_peace.modalities.text.reader import TextReader, TextReaderConfig

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "train.tsv"
    rows = [f'{i}\tA  {c} "Ring" é!\n' for i, c in enumerate(["RED", "green", "", "blue"] * 20)]
    path.write_text("id\tcaption\n" + "".join(rows), encoding="utf-8")
    return path


def test_command_end_to_end(manifest, tmp_path):
    command = [sys.executable, "-m", "one_peace.data.train_tokenizer", manifest, "--out", tmp_path / "bpe"]
    done = subprocess.run([*map(str, command), "--vocab-size", "5000"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "lowered" in done.stderr and ", 0 unknown" in done.stdout
    assert sorted(path.name for path in (tmp_path / "bpe").iterdir()) == ["dict.txt", "sentencepiece.model"]
    reader = TextReader(TextReaderConfig(bpe_dir=str(tmp_path / "bpe")))
    ids = reader.load('A  Green "RING" É!', Path())
    symbols = [reader.dictionary[i] for i in ids[:-1]]
    assert reader._bpe.decode(" ".join(symbols)) == 'a green "ring" é!'
    assert ids[:-1].min() >= 4 and len(symbols) < 12  # whole words, and nothing special or unknown
    # the dictionary is in fairseq's format, and every piece of the model is in it
    pieces = {line.rsplit(" ", 1)[0] for line in (tmp_path / "bpe" / "dict.txt").read_text("utf-8").splitlines()}
    assert len(pieces) == len(reader.dictionary) - 4


def test_texts_are_cleaned_as_in_training(manifest):
    assert list(read_texts([manifest], "caption"))[:3] == ['a red "ring" é!', 'a green "ring" é!', 'a "ring" é!']


def test_the_same_texts_give_the_same_files(tmp_path):
    texts = ["a red ring", "a green bar", "two blue stars"] * 10
    for name in "ab":
        train_tokenizer(texts, tmp_path / name, 40)
    for file in ("dict.txt", "sentencepiece.model"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_vocabulary_in_use_is_not_replaced(manifest, tmp_path, capsys):
    command = [str(manifest), "--out", str(tmp_path / "bpe"), "--vocab-size"]
    assert main([*command, "40"]) == main([*command, "40"]) == 0
    before = (tmp_path / "bpe/dict.txt").read_bytes()
    assert main([*command, "35"]) == 1
    assert "holds another vocabulary" in capsys.readouterr().err and (tmp_path / "bpe/dict.txt").read_bytes() == before
    assert main([*command, "35", "--overwrite"]) == 0 and (tmp_path / "bpe/dict.txt").read_bytes() != before


def test_vocabulary_size_is_kept(tmp_path):
    assert train_tokenizer(["a red ring", "a green bar", "two blue stars"] * 10, tmp_path, 30) == 30
    assert len(TextReader(TextReaderConfig(bpe_dir=str(tmp_path))).dictionary) == 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--column", "captoin"], "did you mean 'caption'"),
        (["--vocab-size", "5"], "too small for the"),
        (["--vocab-size", "-1"], "vocabulary size -1"),
    ],
)
def test_wrong_arguments_give_one_message(manifest, tmp_path, capsys, arguments, words):
    assert main([str(manifest), "--out", str(tmp_path / "bpe"), *arguments]) == 1
    captured = capsys.readouterr()
    assert words in captured.err and "Traceback" not in captured.err
    assert not (tmp_path / "bpe").exists()


def test_no_text_gives_one_message(tmp_path, capsys):
    (tmp_path / "m.tsv").write_text("id\tcaption\n1\t\n2\t,.\n")
    assert main([str(tmp_path / "m.tsv"), "--out", str(tmp_path / "bpe")]) == 1
    assert "no text to train on" in capsys.readouterr().err
    assert main([str(tmp_path / "none.tsv"), "--out", str(tmp_path / "bpe")]) == 1
    assert "cannot open" in capsys.readouterr().err
