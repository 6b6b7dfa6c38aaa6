"""A log-mel spectrogram, the first layer of small models' audio stems.

Learning a frequency analysis from noise takes more clips than small models are trained on; and what tells one violin
from another lies in partials far fainter than the loudest one, which only a logarithm brings up.
"""

import warnings
from functools import lru_cache

import torch
from torch import FloatTensor, Tensor
from torchaudio.transforms import MelSpectrogram

from .reader import SAMPLE_RATE

FLOOR = 1e-5  # of the power of noise as loud as a clip is on average: 50 decibels below it all is silence
_MEAN = _DEVIATION = 4.0  # about, of clips of speech and of music: a unit's features start at unit variance


def log_mel(x_BT: Tensor, bands: int, window: int, hop: int) -> FloatTensor:
    """float32[B, N, bands] of waveforms of unit variance, about normally distributed.

    The N windows are those of a convolution with kernel ``window`` and stride ``hop``. Computed in float32 on any
    precision: powers span ten decades.
    """
    with torch.autocast(x_BT.device.type, enabled=False):
        power_BMN = mel_spectrogram(bands, window, hop, x_BT.device)(x_BT.float())
        return ((power_BMN + FLOOR).log() + _MEAN).div_(_DEVIATION).transpose(1, 2).contiguous()


@lru_cache(maxsize=16)
def mel_spectrogram(bands: int, window: int, hop: int, device: torch.device) -> MelSpectrogram:
    """Powers in ``bands`` evenly spaced in mel (Slaney's); 1 for white noise of unit variance, times a band's width.

    Not part of any module: whoever casts or saves a model leaves it alone.

    Raises:
        ValueError: ``window`` is too short to tell so many bands apart.
    """
    with warnings.catch_warnings(), torch.device("cpu"):
        warnings.simplefilter("ignore")  # of empty bands, refused below
        transform = MelSpectrogram(
            SAMPLE_RATE, window, hop_length=hop, n_mels=bands, center=False, normalized=True, mel_scale="slaney"
        )
    if not transform.mel_scale.fb.amax(dim=0).all():
        raise ValueError(
            f"log_mel: a window of {window} samples is too short for {bands} bands; give the first layer of "
            "feature_encoder_spec fewer or longer ones, or make it a convolution: "
            "--encoder '{audio_adapter: {log_mel: false}}'"
        )
    return transform.to(device)
