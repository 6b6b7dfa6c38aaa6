"""Manifests: what is read, and what each kind of bad file says."""

import pickle

import pytest

from one_peace.data.errors import DataError
from one_peace.data.manifest import Manifest, find_shards, shard_of_epoch


def write(tmp_path, content, name="m.tsv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_columns_come_by_name_and_in_the_order_asked(tmp_path):
    manifest = Manifest(write(tmp_path, "a\tb\tc\n1\t2\t3\n4\t5\t6\n"), ["c", "a"])
    assert len(manifest) == 2
    assert [manifest[0], manifest[1]] == [("3", "1"), ("6", "4")]
    with pytest.raises(IndexError):
        manifest[2]


def test_crlf_bom_missing_last_line_break_and_literal_quotes(tmp_path):
    manifest = Manifest(write(tmp_path, b'\xef\xbb\xbfa\tb\r\n"x\ty"\r\n\xc3\xa9\t'), ["a", "b"])
    assert [manifest[0], manifest[1]] == [('"x', 'y"'), ("é", "")]


def test_rows_are_read_lazily_and_from_any_process(tmp_path):
    path = write(tmp_path, "a\n" + "".join(f"row {i}\n" for i in range(1000)))
    manifest = pickle.loads(pickle.dumps(Manifest(path, ["a"])))
    assert [manifest[i][0] for i in (999, 0, 500)] == ["row 999", "row 0", "row 500"]


def test_lines_across_the_scanned_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("one_peace.data.manifest._SCAN_BYTES", 3)
    manifest = Manifest(write(tmp_path, "a\tb\n12345\t6\n\t\n"), ["a", "b"])
    assert [manifest[i] for i in range(2)] == [("12345", "6"), ("", "")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty", "tab-separated"]),
        ("id\tcaption\n", ["no row"]),
        ("id\tcaptoin\n1\tx\n", ["no column 'caption'", "did you mean 'captoin'"]),
        ("1\ta cat\n2\ta dog\n", ["no column 'caption'", "first line"]),
        ("caption\tcaption\n1\t2\n", ["twice"]),
        (b"caption\xff\n1\n", ["header", "UTF-8"]),
    ],
)
def test_bad_files_are_named_with_reason_and_remedy(tmp_path, content, words):
    path = write(tmp_path, content)
    with pytest.raises(DataError) as error:
        Manifest(path, ["caption"])
    assert all(word in str(error.value) for word in [str(path), *words])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"only one cell", ["1 cells", "header 2"]),
        (b"a\tb\tc", ["3 cells"]),
        (b"", ["the line is blank"]),
        (b"a\t\xff\xfe", ["not UTF-8"]),
    ],
)
def test_bad_rows_are_named_with_their_line(tmp_path, line, words):
    path = write(tmp_path, b"id\tcaption\n1\tfine\n" + line + b"\n3\tfine\n")
    manifest = Manifest(path, ["caption"])
    assert manifest[0] == manifest[2] == ("fine",)
    with pytest.raises(DataError) as error:
        manifest[1]
    assert all(word in str(error.value) for word in [str(path), "row 2 (line 3)", *words])


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_blank_lines_at_the_end_are_no_rows(tmp_path, end):
    manifest = Manifest(write(tmp_path, b"id\tcaption\n1\tfine\n2\tx" + end), ["caption"])
    assert [manifest[row] for row in range(len(manifest))] == [("fine",), ("x",)]


def test_a_column_of_one_letter_is_not_blank(tmp_path):
    manifest = Manifest(write(tmp_path, b"a\nb\nc\n\n"), ["a"])
    assert [manifest[row] for row in range(len(manifest))] == [("b",), ("c",)]


def test_absent_file(tmp_path):
    with pytest.raises(DataError, match="cannot open"):
        Manifest(tmp_path / "none.tsv", ["a"])
    with pytest.raises(DataError, match="cannot open"):
        Manifest(tmp_path, ["a"])


def test_shards_by_glob_and_comma_list(tmp_path):
    for name in ("part2.tsv", "part10.tsv", "part1.tsv", "extra.tsv"):
        write(tmp_path, "a\n1\n", name)
    names = lambda pattern: [path.name for path in find_shards(tmp_path, pattern)]  # noqa: E731
    assert names("part[0-9].tsv") == ["part1.tsv", "part2.tsv"]
    assert names("extra.tsv, part*.tsv") == ["extra.tsv", "part1.tsv", "part10.tsv", "part2.tsv"]
    assert names("part1.tsv,part?.tsv") == ["part1.tsv", "part2.tsv"]
    assert names(str(tmp_path / "extra.tsv")) == ["extra.tsv"]
    with pytest.raises(DataError, match=r"part9\.tsv.*extra\.tsv"):
        names("part1.tsv,part9.tsv")
    with pytest.raises(DataError, match="names no manifest"):
        names(" , ")


def test_one_shard_an_epoch_in_turn():
    assert [shard_of_epoch(["a", "b", "c"], epoch) for epoch in (1, 2, 3, 4)] == ["a", "b", "c", "a"]


def test_optional_columns_come_last_and_only_if_there(tmp_path):
    path = write(tmp_path, "a\tb\tc\n1\t2\t3\n")
    manifest = Manifest(path, ["c"], optional=["none", "c", "a"])
    assert manifest.columns == ("c", "a") and manifest[0] == ("3", "1")
