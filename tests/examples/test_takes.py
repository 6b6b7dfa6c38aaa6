"""Sounds as the mean over themselves and other recordings of them."""

import argparse

import numpy as np
import pytest
import soundfile
import torch

from one_peace.data.train_tokenizer import train_tokenizer
from one_peace.examples.takes import embed_takes
from one_peace.examples.views import add_view_flags, load_embed, parse_view_flags
from tests.models.test_hub import write_checkpoint


def _embed(modality, paths):
    """Unit-norm: how loud a sound is in 16 bands."""
    assert modality == "audio"
    waves = [soundfile.read(path, dtype="float32")[0] for path in paths]
    spectra = [np.abs(np.fft.rfft(wave.reshape(len(wave), -1).mean(axis=1), 16000)) for wave in waves]
    bands_NF = torch.tensor(np.array(spectra))[:, :8000].unflatten(1, (16, 500)).mean(dim=2)
    return torch.nn.functional.normalize(bands_NF + 1e-6, dim=1)


@pytest.fixture
def sounds(tmp_path):
    """Noise at 16 kHz, a stereo tone at 22.05 kHz, silence."""
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 700 * np.arange(11025) / 22050)
    for name, wave, rate in (
        ("noise", rng.normal(0, 0.1, 8000), 16000),
        ("tone", np.stack([tone, tone], axis=1), 22050),
        ("silence", np.zeros(8000), 16000),
    ):
        soundfile.write(tmp_path / f"{name}.wav", wave, rate)
    return [str(tmp_path / f"{name}.wav") for name in ("noise", "tone", "silence")]


def test_takes_are_near_their_sound_and_not_the_same(sounds):
    own, mean = _embed("audio", sounds), embed_takes(_embed, sounds, takes=3)
    assert mean.norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    likeness = (mean @ own.T)[:2, :2]  # to these bands silence is like noise
    assert likeness.argmax(dim=1).tolist() == [0, 1]
    assert (likeness.diagonal() > 0.5).all() and (likeness.diagonal() < 0.999).all()


def test_takes_do_not_depend_on_what_else_is_embedded(sounds):
    together, alone = embed_takes(_embed, sounds, takes=2), embed_takes(_embed, sounds[1:2], takes=2)
    torch.testing.assert_close(together[1:2], alone)


def test_no_takes_are_the_sounds_themselves(sounds):
    assert torch.equal(embed_takes(_embed, sounds, takes=0), _embed("audio", sounds))


def test_more_takes_are_more_alike(sounds):
    """Means over many random takes come closer to each other: that is what they are for."""
    noise = sounds[:1]
    few, more, many = (embed_takes(_embed, noise, takes=takes) for takes in (1, 12, 24))
    assert more @ many.T > few @ many.T


def test_commands_over_views_have_the_flag(sounds, tmp_path):
    train_tokenizer(["a violin"], tmp_path / "bpe", vocab_size=60)
    write_checkpoint(tmp_path, tmp_path / "model.pt")

    def embed(takes):
        parser = argparse.ArgumentParser()
        add_view_flags(parser)
        arguments = [str(tmp_path / "model.pt"), "-", "--columns", "audio=audio", "--takes", str(takes)]
        return load_embed(parse_view_flags(parser, arguments))

    as_is = embed(0)
    means = embed(2)("audio", sounds)
    torch.testing.assert_close(means, embed_takes(as_is, sounds, takes=2))
    assert not torch.allclose(means, as_is("audio", sounds))
