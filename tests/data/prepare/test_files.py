"""Cells, tables and JSON, and what is said about those that are wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_peace.data.errors import DataError
from one_peace.data.manifest import Manifest
from one_peace.data.prepare.files import Entry, clean_cell, read_json, read_lines, read_table, write_manifest
from tests.data.prepare.official import ODD, ODD_CELL


def test_clean_cell():
    assert clean_cell(ODD) == ODD_CELL
    assert clean_cell("  \t\r\n\0 ") == ""
    assert clean_cell(7) == "7"


@given(st.lists(st.tuples(st.text(), st.text(alphabet="\t\n\r\0 \x85\u2028\ufeff\"'a")), min_size=1, max_size=5))
def test_any_text_is_a_cell_that_the_manifest_gives_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("manifest") / "x.tsv"
    assert write_manifest(path, ("a", "b"), texts) == len(texts)
    manifest = Manifest(path, ["a", "b"])
    assert [manifest[i] for i in range(len(manifest))] == [tuple(map(clean_cell, row)) for row in texts]


def test_manifest_is_never_half_written(tmp_path):
    path = tmp_path / "x.tsv"
    write_manifest(path, ("a",), ["1"])
    with pytest.raises(ValueError):
        write_manifest(path, ("a",), ["1", ("2", "3")])
    with pytest.raises(DataError, match=r"x\.tsv: no row is left"):
        write_manifest(path, ("a",), [])
    assert path.read_text() == "a\n1\n" and list(tmp_path.iterdir()) == [path]


def test_read_table_with_quotes_line_breaks_and_a_mark(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes('\ufeffa, b\n1,"two ""2""\u2028lines\nhere, now"\n\n3,\n'.encode())
    table = list(read_table(path, ("a", "b")))
    assert [row.values for row in table] == [{"a": "1", "b": 'two "2"\u2028lines\nhere, now'}, {"a": "3", "b": ""}]
    assert table[1].where == "line 5"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x,b\n", "no column 'a'; the first line reads: x, b"),
        (b"", "no column 'a'"),
        (b"a,b\n1\n", "line 2: no 'b'"),
        (b"a,b\n\xff,1\n", "not UTF-8"),
        (b'a,b\n"' + b"x" * 140_000 + b'",1\n', "field larger than field limit"),
    ],
)
def test_bad_tables(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        for row in read_table(path, ("a", "b")):
            row.text("b")
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", ["{", "", "[" * 100_000])
def test_bad_json(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"x\.json: the file is no JSON"):
        read_json(path)


def test_missing_file_names_what_is_there(tmp_path):
    (tmp_path / "y.json").touch()
    with pytest.raises(DataError, match=r"x\.json: no such file\. The folder holds y\.json"):
        read_json(tmp_path / "x.json")
    with pytest.raises(DataError, match="Check the path"):
        read_lines(tmp_path / "none" / "x.txt")


def test_files_too_large_are_not_read(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(list(range(100))))
    monkeypatch.setattr("one_peace.data.prepare.files.read_text.__defaults__", (100,))
    with pytest.raises(DataError, match="larger than"):
        read_json(path)


def test_entry_checks_types(tmp_path):
    entry = Entry({"a": 1, "b": "2", "c": [1, 2.5], "d": True, "e": None, "f": [{"x": 1}, 3]}, tmp_path, "image 4")
    assert entry.id("a") == "1" and entry.integer("b", 0, 3) == 2 and entry.numbers("c", 2) == [1.0, 2.5]
    assert "a" in entry and "e" not in entry and "z" not in entry
    for call, message in {
        (lambda: entry.text("a"), "image 4: 'a' is '1', expected str"),
        (lambda: entry.id("d"), "expected int or str"),
        (lambda: entry.text("e"), "no 'e'"),
        (lambda: entry.integer("b", 0, 1), "'b' is 2, expected 0 to 1"),
        (lambda: entry.numbers("c", 4), "expected 4 numbers"),
        (lambda: entry.entries("f"), "image 4, f 2: expected an object"),
        (lambda: Entry.list_of({}, tmp_path), "expected a list"),
    }:
        with pytest.raises(DataError, match=message):
            call()
