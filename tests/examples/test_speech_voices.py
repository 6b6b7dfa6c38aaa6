"""Captions in synthetic voices."""

import numpy as np
import pytest
import soundfile

from one_peace.examples.augment import RATE
from one_peace.examples.tuxpaint.recordings import SPOKEN
from one_peace.examples.tuxpaint.speech.voices import VOICES, Manner, Synthesiser, write_spoken


@pytest.fixture(scope="module")
def synthesiser():
    return Synthesiser()


def manner(**changes):
    return Manner(**{"voice": "f1", "speed": 150, "pitch": 50, "range": 50, **changes})


def test_it_speaks_all_languages_and_voices(synthesiser):
    words = {language: "Мама." if language in ("be", "bg", "ru") else "Mama." for language in SPOKEN}
    for language, text in {**words, "el": "Μαμά."}.items():
        wave = synthesiser.say(text, language, manner())
        assert wave.dtype == np.float32 and 0.1 < len(wave) / RATE < 2 and 0.1 < np.abs(wave).max() <= 1
    waves = [synthesiser.say("Mama.", "es", manner(voice=voice)) for voice in VOICES]
    assert len({wave.tobytes() for wave in waves}) == len(VOICES), "no two are alike"


def pitch_of(wave):
    """Where a hundred milliseconds amid the sound repeat themselves, in Hz."""
    middle = np.abs(wave).argmax()
    part = wave[max(0, middle - 800) : middle + 800]
    likeness = np.correlate(part, part, "full")[len(part) - 1 :]
    shortest = RATE // 400
    return RATE / (shortest + likeness[shortest : RATE // 50].argmax())


def test_manners(synthesiser):
    slow, fast = (len(synthesiser.say("Una montaña muy alta.", "es", manner(speed=speed))) for speed in (100, 200))
    assert slow > 1.5 * fast
    low, high = (pitch_of(synthesiser.say("Aaaaa.", "es", manner(pitch=pitch, range=0))) for pitch in (20, 80))
    assert high > 1.2 * low
    drawn = [Manner.draw(np.random.default_rng(seed)) for seed in range(500)]
    assert len({one.voice for one in drawn}) > 70 and all(100 <= one.speed < 190 for one in drawn)


def test_what_it_cannot_say(synthesiser):
    with pytest.raises(ValueError, match="no language 'xx'"):
        synthesiser.say("Mama.", "xx", manner())
    assert not synthesiser.say("", "es", manner()).any()


def test_files(tmp_path):
    captions = [("es", "una pera."), ("fr", "une poire."), ("fr", "")]
    made = [write_spoken(captions, 2, 0.5, tmp_path / str(n), processes=n) for n in (1, 2)]
    assert [one.path for one in made[0]] == [one.path for one in made[1]]
    assert [(one.language, one.caption) for one in made[0]] == [captions[0]] * 2 + [captions[1]] * 2, (
        "silence is left out"
    )
    for one, again in zip(*made, strict=True):
        wave, rate = soundfile.read(tmp_path / "1" / one.path)
        assert rate == RATE and len(wave) / RATE == one.seconds <= 0.5
        assert one.seconds == pytest.approx(again.seconds, abs=0.1), "in the same voice"
    assert len({(tmp_path / "1" / one.path).read_bytes() for one in made[0]}) == 4
