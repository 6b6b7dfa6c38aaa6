"""Files of names."""

import json

import pytest

from one_peace.data.errors import DataError
from one_peace.data.labels import read_candidates, read_labels


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "cat\n dog \nbig crane\n\n"),
        ("a.txt", "\ufeffcat\r\ndog\r\nbig crane"),
        ("a.json", '["cat", "dog", "big crane"]'),
        ("a.JSON", '{"dog": 1, "big crane": 2, "cat": 0}'),
        ("a.json", '{"dog": "1", "big crane": "2", "cat": "0"}'),
    ],
)
def test_names_in_their_order(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name) == ["cat", "dog", "big crane"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "", "no line"),
        ("a.txt", "cat\n\ndog\n", "a line without a name"),
        ("a.json", "[]", "no names of classes"),
        ("a.json", "[1, 2]", "no names of classes"),
        ("a.json", "3", "no names of classes"),
        ("a.json", "{", "no JSON"),
        ("a.json", "[" * 10**5, "no JSON"),
        ("a.json", '{"cat": 1, "dog": 2}', "not 0 to N - 1"),
        ("a.json", '{"cat": 0, "dog": 0}', "not 0 to N - 1"),
        ("a.json", '{"cat": "x"}', "not 0 to N - 1"),
        ("a.json", '{"cat": null}', "not 0 to N - 1"),
    ],
)
def test_files_of_no_names(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"{name}: .*{words}"):
        read_labels(tmp_path / name)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")
    for path in (tmp_path / "none.txt", tmp_path, tmp_path / "a.txt"):
        with pytest.raises(DataError, match="cannot be read"):
            read_labels(path)


def test_candidates(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"1": ["a", "b"], "2": ["a"]}))
    assert read_candidates(tmp_path / "a.json") == {"1": ["a", "b"], "2": ["a"]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "no candidates"),
        ([["a"]], "no candidates"),
        ({"1": []}, "'1' are not a list"),
        ({"1": "a"}, "'1' are not"),
        ({"1": [3]}, "'1'"),
    ],
)
def test_files_of_no_candidates(tmp_path, value, words):
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(DataError, match=words):
        read_candidates(tmp_path / "a.json")
