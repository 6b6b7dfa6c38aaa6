"""First weights of an audio stem that make of a waveform what a mel spectrogram shows.

Learning a frequency analysis from noise takes more clips than small models are trained on. Legend: C channels, K taps,
F frequencies.
"""

import math

import torch
from torch import Tensor, nn

from .reader import SAMPLE_RATE

LOWEST, HIGHEST = 60.0, 7600.0  # Hz
PHASES = 4  # a quarter of a period apart: after rectification their sum no longer depends on when a wave began


def init_as_mel(first: nn.Conv1d, second: nn.Conv1d) -> None:
    """Sets the weights of a stem's first two convolutions, which a norm and a GELU part; in place.

    ``first`` becomes a bank of filters, `PHASES` for each frequency; ``second`` adds the rectified phases, and its
    taps, to magnitudes and mixes those of all frequencies by a random rotation, so that the GELU after it loses none.

    Raises:
        ValueError: ``first`` has no whole number of frequencies.
    """
    channels, taps = first.out_channels, first.kernel_size[0]
    if channels % PHASES:
        raise ValueError(
            f"mel_stem: {channels} channels of the first convolution are no multiple of {PHASES}; give it "
            "others, or start from noise: --encoder '{audio_adapter: {mel_stem: false}}'"
        )
    with torch.no_grad():
        first.weight.copy_(mel_filters(channels // PHASES, taps)[:, None])
        mix_CF = nn.init.orthogonal_(second.weight.new_empty(second.out_channels, channels // PHASES))
        second.weight.copy_(mix_CF.repeat_interleave(PHASES, dim=1)[:, :, None].expand_as(second.weight))


def mel_filters(frequencies: int, taps: int) -> Tensor:
    """float32[C, K], C = `PHASES` x ``frequencies``: cosines evenly spaced in mel, below a squared cosine that is as
    long as their distance in Hz asks for, at most K; of the norm that the stem's convolutions start with."""
    mel_F = torch.linspace(_mel(LOWEST), _mel(HIGHEST), 2 * frequencies + 1)[1::2]
    hz_F = 700 * ((mel_F / 1127).exp() - 1)
    width_F = (_mel(HIGHEST) - _mel(LOWEST)) / frequencies * (700 + hz_F) / 1127
    length_F1 = (1.5 * SAMPLE_RATE / width_F).clamp(max=taps)[:, None]
    t_K = torch.arange(taps) - (taps - 1) / 2
    window_FK = torch.where(t_K.abs() < length_F1 / 2, (math.pi * t_K / length_F1).cos().square(), 0.0)
    phase_FK = 2 * math.pi * hz_F[:, None] / SAMPLE_RATE * t_K
    quarter = math.pi / 2
    waves_FPK = torch.stack([(phase_FK + i * quarter).cos() * window_FK for i in range(PHASES)], dim=1)
    filters_CK = waves_FPK.flatten(0, 1)
    return math.sqrt(2) * filters_CK / filters_CK.norm(dim=1, keepdim=True)


def _mel(hz: float) -> float:
    return 1127 * math.log(1 + hz / 700)
