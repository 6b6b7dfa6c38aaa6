"""Pickles of plain data are read, and nothing in a pickle is executed."""

import os
import pickle
import struct
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_peace.data.errors import DataError
from one_peace.data.prepare.plain_pickle import read_plain_pickle

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(PLAIN, st.integers(0, 5))
def test_plain_data_come_back(tmp_path_factory, value, protocol):
    path = tmp_path_factory.mktemp("pickle") / "x.p"
    path.write_bytes(pickle.dumps(value, protocol))
    assert read_plain_pickle(path) == value


def test_texts_of_python_2(tmp_path):
    path = tmp_path / "refs.p"
    path.write_bytes(b"(dp0\nS'sent'\np1\nS'caf\\xc3\\xa9 \\xff'\np2\ns.")  # str of bytes, protocol 0
    assert read_plain_pickle(path) == {"sent": "café \ufffd"}


class Executes:
    """Unpickled the usual way, it runs a command."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "attack",
    [
        lambda target: Executes(os.system, f"touch {target}"),
        lambda target: Executes(eval, f"open({str(target)!r}, 'w')"),
        lambda target: Executes(subprocess.run, ["touch", str(target)]),
        lambda target: Executes(Path.touch, target),
        lambda target: OrderedDict(a=1),
        lambda target: np.zeros(2),
    ],
)
def test_nothing_is_executed(tmp_path, attack, protocol):
    path, target = tmp_path / "x.p", tmp_path / "executed"
    path.write_bytes(pickle.dumps([{"sent": attack(target)}], protocol))
    with pytest.raises(DataError, match=r"x\.p: not a pickle of plain data .*nothing of it was executed"):
        read_plain_pickle(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        b"\x80\x02]q\x00(",  # cut short
        b"\x80\x02cos\nsystem\n(S'true'\ntR.",  # global, then reduce
        b"\x80\x02(S'true'\nios\nsystem\n.",  # inst
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # stack global
        b"\x80\x02Pelsewhere\n.",  # persistent id
        b"\x80\x02\x82\x01.",  # extension registry
        b"\x80\x02}}(U\x01aK\x01ub.",  # build: set attributes
        b"\x80\x02Nr" + struct.pack("<I", 0xFFFFFFF0) + b"\x81.",  # the memo of 64 GiB
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b"x.",  # an array of an exbibyte
        b"\x80\xff.",
    ],
)
def test_damaged_and_hostile_files(tmp_path, content):
    path = tmp_path / "x.p"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.p: not a pickle of plain data"):
        read_plain_pickle(path)
