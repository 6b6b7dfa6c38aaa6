"""Sounds: any file that soundfile opens -> a normalised mono waveform at 16 kHz; span masks over frames."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from torch import BoolTensor, FloatTensor, Generator, Tensor
from torchaudio.transforms import Resample

from one_peace.data.errors import SampleError
from one_peace.data.masking import span_mask
from one_peace.modalities.audio.conv_spec import RELEASED_SPEC, conv_output_length, parse_conv_spec
from one_peace.modalities.reader import Reader, ReaderConfig, media_path, option
from one_peace.modalities.relative_positions import MAX_POSITIONS

SAMPLE_RATE = 16_000
MAX_MINUTES = 30  # at up to 48 kHz; the whole clip is read to normalise it: 350 MB
_MAX_SAMPLES = MAX_MINUTES * 60 * 48_000
_BLOCK = 1 << 18
# Resampling kernels grow with the terms of rate / 16000. 640 is exact for the rates in use (11025 Hz and its multiples
# need it); an odd rate is off by less than 1e-4, two hundredths of a semitone.
_MAX_RATIO_TERM = 640


def postprocess(wav: Tensor, max_duration: float) -> FloatTensor:
    """Waveform at 16 kHz, N (or N x channels, averaged) -> float32[N']: layer-normalised over the whole clip, its first
    ``max_duration`` seconds, repeated up to one second if it is shorter."""
    if wav.ndim == 2:
        wav = wav.mean(-1)
    wav = F.layer_norm(wav, wav.shape)[: int(max_duration * SAMPLE_RATE)]
    if len(wav) < SAMPLE_RATE:
        wav = wav.repeat(-(-SAMPLE_RATE // len(wav)))[:SAMPLE_RATE]
    return wav


@dataclass
class AudioReaderConfig(ReaderConfig):
    """Options of `AudioReader`."""

    max_duration: float = option(15.0, low=1, high=60 * MAX_MINUTES, help="seconds of a clip that are used")
    feature_encoder_spec: str | None = option(
        None,
        help="convolutions of the adapter; by default those of the model's size, all with 50 frames a second",
    )
    audio_mask_prob_adjust: float = option(0.1, low=0, high=1, help="added to the mask ratio when spans are drawn")
    audio_mask_length: int = option(5, low=1, high=1000, help="frames in a masked span")

    def __post_init__(self) -> None:
        super().__post_init__()
        spec = parse_conv_spec(self.feature_encoder_spec or RELEASED_SPEC)
        if not conv_output_length(SAMPLE_RATE, spec):
            raise ValueError(f"feature_encoder_spec {self.feature_encoder_spec!r}: makes no frame of one second")
        positions = 1 + conv_output_length(int(self.max_duration * SAMPLE_RATE), spec)
        if positions > MAX_POSITIONS:
            most = math.floor(10 * self.max_duration * MAX_POSITIONS / positions) / 10
            raise ValueError(
                f"max_duration={self.max_duration:g}: makes {positions} positions of a clip, and relative positions "
                f"reach {MAX_POSITIONS}; at most {most} seconds"
            )


class AudioReader(Reader):
    """A path -> float32[N], 16 kHz."""

    Config = AudioReaderConfig
    strategies = ("span",)

    def __init__(self, config: AudioReaderConfig):
        super().__init__(config)
        self._spec = parse_conv_spec(config.feature_encoder_spec or RELEASED_SPEC)

    def load(self, cell: str, root: Path, generator: Generator | None = None) -> FloatTensor:
        """float32[N], `postprocess` of the clip resampled to 16 kHz; nothing random."""
        path = media_path(cell, root)
        wav, rate = _read_mono(path)
        if rate != SAMPLE_RATE:
            wav = _resampler(rate)(wav)
        if not wav.square().sum().isfinite():  # normalising would turn the clip into NaN or into silence
            raise SampleError(f"sound {str(path)!r} holds samples that are NaN, infinite or absurdly loud")
        return postprocess(wav, self.config.max_duration)

    def check(self, cell: str, root: Path) -> None:
        media_path(cell, root)

    def adapter_settings(self) -> dict[str, object]:
        """The stem, where the user chooses one: frames are counted and made by the same convolutions."""
        spec = self.config.feature_encoder_spec
        return {"feature_encoder_spec": spec} if spec else {}

    def num_units(self, value: Tensor) -> int:
        """Frames that the adapter's convolutions make of the waveform."""
        return conv_output_length(len(value), self._spec)

    def estimate_units(self, cell: str, root: Path, duration: float | None = None) -> int:
        """Frames by the manifest's ``duration``, else by the file's header; those of one second for a bad file."""
        if duration is None:
            try:
                with soundfile.SoundFile(media_path(cell, root)) as file:
                    duration = file.frames / file.samplerate
            except (SampleError, RuntimeError, OSError, ValueError, TypeError):
                duration = 1.0
        seconds = min(max(duration, 1.0), self.config.max_duration)
        return conv_output_length(math.ceil(seconds * SAMPLE_RATE), self._spec)

    def mask(
        self,
        value: Tensor,
        strategy: str,
        ratio: float,
        generator: Generator | None = None,
        previous: BoolTensor | None = None,
    ) -> BoolTensor:
        """bool[L]. ``span``: that share of the frames, in spans of ``audio_mask_length``."""
        self.check_strategy(strategy)
        config = self.config
        return span_mask(
            self.num_units(value), ratio, config.audio_mask_length, config.audio_mask_prob_adjust, generator
        )


@lru_cache(maxsize=16)
def _resampler(rate: int) -> Resample:
    """From ``rate`` to 16 kHz. Its kernel takes longer to compute than to apply."""
    ratio = Fraction(rate, SAMPLE_RATE).limit_denominator(_MAX_RATIO_TERM)
    return Resample(ratio.numerator, ratio.denominator, dtype=torch.float32)


def _mono(block: np.ndarray) -> np.ndarray:
    """float32[N, channels] -> float32[N], the mean over the channels."""
    match block.shape[1]:
        case 1:
            return block[:, 0]
        case 2:  # the same number, ten times as fast
            return (block[:, 0] + block[:, 1]) / 2
        case _:
            return block.mean(axis=1)


def _read_mono(path: Path) -> tuple[FloatTensor, int]:
    """Decode ``path`` -> (float32[N], mean over the channels; sampling rate in Hz).

    Raises:
        SampleError: not a sound, damaged, empty, too long or of an impossible rate.
    """
    blocks: list[np.ndarray] = []
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            if not 1000 <= rate <= 768_000:
                raise SampleError(f"sound {str(path)!r}: sampling rate {rate} Hz is not between 1 and 768 kHz")
            # lengths in headers are estimates or lies: count what is decoded
            limit = min(MAX_MINUTES * 60 * rate, _MAX_SAMPLES)
            while sum(map(len, blocks)) <= limit:
                block = file.read(_BLOCK, dtype="float32", always_2d=True)
                if not len(block):
                    break
                blocks.append(_mono(block))
            else:
                most = f"{limit / rate / 60:.3g} minutes of {rate} Hz"
                raise SampleError(f"sound {str(path)!r} is longer than {most}: cut it beforehand")
    except SampleError:
        raise
    except (RuntimeError, OSError, ValueError, TypeError) as error:  # LibsndfileError is a RuntimeError
        raise SampleError(f"sound {str(path)!r} is damaged or of an unknown format ({error})") from error
    if not blocks:
        raise SampleError(f"sound {str(path)!r} holds no samples")
    return torch.from_numpy(np.concatenate(blocks)), rate
