"""A small General MIDI sound font (SF2): every program is the same saw tooth."""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

RATE = 48_000
KEY = 69  # the key that the sample has, 440 Hz
_PERIODS = 44
_LOOPED = 54  # generator numbers of the format: how a sample is played
_SAMPLE = 53
_INSTRUMENT = 41


def write_sound_font(path: Path, programs: Iterable[int] = range(128)) -> Path:
    """A font whose bank 0 has those programs."""
    wave = (12_000 * (2 * (440 * np.arange(RATE * _PERIODS // 440) / RATE % 1) - 1)).astype("<i2")
    numbers = [*programs]
    presets = [struct.pack("<20sHHHIII", b"saw", n, 0, place, 0, 0, 0) for place, n in enumerate(numbers)]
    presets.append(struct.pack("<20sHHHIII", b"EOP", 0, 0, len(numbers), 0, 0, 0))
    sample = struct.pack("<20sIIIIIBbHH", b"saw", 0, len(wave), 0, len(wave), RATE, KEY, 0, 0, 1)
    parts = {
        "phdr": b"".join(presets),
        "pbag": b"".join(struct.pack("<HH", place, 0) for place in range(len(numbers) + 1)),
        "pmod": bytes(10),
        "pgen": struct.pack("<HH", _INSTRUMENT, 0) * len(numbers) + bytes(4),
        "inst": struct.pack("<20sH", b"saw", 0) + struct.pack("<20sH", b"EOI", 1),
        "ibag": struct.pack("<HH", 0, 0) + struct.pack("<HH", 2, 0),
        "imod": bytes(10),
        "igen": struct.pack("<HH", _LOOPED, 1) + struct.pack("<HH", _SAMPLE, 0) + bytes(4),
        "shdr": sample + struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0),
    }
    info = _chunk("ifil", struct.pack("<HH", 2, 1)) + _chunk("isng", b"EMU8000\0") + _chunk("INAM", b"saw\0")
    body = _list("INFO", info) + _list("sdta", _chunk("smpl", wave.tobytes() + bytes(92)))
    body += _list("pdta", b"".join(_chunk(name, data) for name, data in parts.items()))
    path.write_bytes(_chunk("RIFF", b"sfbk" + body))
    return path


def _chunk(name: str, data: bytes) -> bytes:
    return name.encode() + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _list(name: str, data: bytes) -> bytes:
    return _chunk("LIST", name.encode() + data)
