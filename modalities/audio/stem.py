"""The convolutions that turn a waveform into frames, as matrix products over channels-last views.

Legend: B clips, T samples, N frames of a layer, C channels, one of a waveform. A convolution of kernel k and stride s
over x_NC is a sum of ceil(k / s) products: the windows' first s taps lie side by side in memory, without overlap, and
so do the next s. Where k > s, neighbouring windows share samples, and on a CPU three of them cost seven products
instead of nine (k = 3, s = 2), as in fast FIR filters (Winograd 1980: F(3, 2)).
"""

import functools
import itertools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..adapter import LAYER_NORM_EPS
from .mel import log_mel, mel_spectrogram

# Frames, three by three, that a CPU takes through a layer at a time where nothing is kept: of 512 channels, 4 MB.
BLOCK = 2049


class _ChannelsLastNorm(nn.Sequential):
    """LayerNorm over the channels of x_BCN. The index of the norm inside is part of released parameter names."""

    def __init__(self, channels: int):
        super().__init__(nn.Identity(), nn.LayerNorm(channels, eps=LAYER_NORM_EPS))

    def forward(self, x_BCN: Tensor) -> Tensor:
        return self[1](x_BCN.transpose(1, 2)).transpose(1, 2)


class ConvStem(nn.Module):
    """Convolutions, each followed by LayerNorm over channels and GELU.

    Args:
        layers: (channels, kernel, stride) of each.
        bias: whether convolutions have one.
        spectrogram: the first layer is none of them, but a log-mel spectrogram: (bands, window, hop).

    Raises:
        ValueError: there is no layer but the spectrogram, or its window is too short for its bands.
    """

    def __init__(self, layers: Sequence[tuple[int, int, int]], bias: bool, spectrogram: bool = False):
        super().__init__()
        self.conv_layers = nn.ModuleList()
        self.spectrogram, channels = None, 1
        if spectrogram:
            self.spectrogram, *layers = layers
            mel_spectrogram(*self.spectrogram, torch.device("cpu"))
            if not layers:
                raise ValueError("log_mel: feature_encoder_spec needs a convolution after the spectrogram")
            channels = self.spectrogram[0]
        for width, kernel, stride in layers:
            conv = nn.Conv1d(channels, width, kernel, stride=stride, bias=bias)
            nn.init.kaiming_normal_(conv.weight)
            self.conv_layers.append(nn.Sequential(conv, nn.Identity(), _ChannelsLastNorm(width), nn.GELU()))
            channels = width

    def forward(self, x_BT: Tensor, frames: Sequence[int] | None = None) -> Tensor:
        """Features x_BNC, clip by clip. Kept for backward: each convolution's output but the first, which is cheap.

        Args:
            x_BT: waveforms, padded at their ends.
            frames: how many frames of each clip to compute, at least one; the others are zeros. All by default.

        Raises:
            ValueError: the waveforms are too short for a frame.
        """
        strides = [layer[0].stride[0] for layer in self.conv_layers]
        parameters = []
        for conv, _, (_, norm), _ in self.conv_layers:
            parameters += [conv.weight, conv.bias, norm.weight, norm.bias]
        x_BNC = self._input(x_BT)
        whole = x_BNC.shape[1]
        lengths = [whole] * len(x_BT) if frames is None else [min(self._num_inputs(n), whole) for n in frames]
        return _Stem.apply(x_BNC, lengths, strides, torch.is_grad_enabled(), *parameters)

    def _input(self, x_BT: Tensor) -> Tensor:
        """What the first convolution reads: samples, or the spectrogram's windows."""
        if self.spectrogram is None:
            return x_BT[..., None]
        return log_mel(x_BT, *self.spectrogram).to(self.conv_layers[0][0].weight)

    def _num_inputs(self, frames: int) -> int:
        """How many of them, from the first on, so many frames are made of."""
        for conv, *_ in reversed(self.conv_layers):
            frames = (frames - 1) * conv.stride[0] + conv.kernel_size[0]
        return frames

    def reference(self, x_BT: Tensor) -> Tensor:
        """The same, layer by layer over the whole batch."""
        x_BCN = self._input(x_BT).transpose(1, 2)
        for layer in self.conv_layers:
            x_BCN = layer(x_BCN)
        return x_BCN.transpose(1, 2)


class _Stem(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_BNC, lengths, strides, grad_enabled, *parameters):
        layers = [_Layer(*parameters[4 * i : 4 * i + 4], stride) for i, stride in enumerate(strides)]
        kept, frames = [], x_BNC.shape[1]
        for layer in layers:
            frames = layer.num_frames(frames)
        if frames < 1:
            raise ValueError(f"too short a sound: {x_BNC.shape[1]} samples or windows make no frame")
        out_BNC = x_BNC.new_zeros(len(x_BNC), frames, parameters[-1].shape[0])
        keep = grad_enabled and any(ctx.needs_input_grad)  # which asks the parameters alone
        for x_NC, length, out_NC in zip(x_BNC, lengths, out_BNC, strict=True):
            x_NC = x_NC[:length]
            if keep:
                z_NC = layers[0].convolve(x_NC)
                for before, layer in itertools.pairwise(layers):
                    z_NC = layer.convolve(before.activate(z_NC))
                    kept.append(z_NC)
                y_NC = layers[-1].activate(z_NC)
            else:
                y_NC = x_NC
                for layer in layers:
                    y_NC = layer.forward(y_NC)
            out_NC[: len(y_NC)] = y_NC
        ctx.lengths, ctx.strides = lengths, strides
        ctx.save_for_backward(x_BNC, *parameters, *kept)
        return out_BNC

    @staticmethod
    def backward(ctx, d_out):
        n = len(ctx.strides)
        x_BNC, parameters, kept = ctx.saved_tensors[0], ctx.saved_tensors[1 : 4 * n + 1], ctx.saved_tensors[4 * n + 1 :]
        layers = [_Layer(*parameters[4 * i : 4 * i + 4], stride) for i, stride in enumerate(ctx.strides)]
        kept = iter(kept)
        for x_NC, length, d_NC in zip(x_BNC, ctx.lengths, d_out, strict=True):
            x_NC = x_NC[:length]
            z = [layers[0].convolve(x_NC), *itertools.islice(kept, n - 1)]
            d_NC = d_NC[: len(z[-1])]
            for i in range(n - 1, 0, -1):
                d_NC = layers[i].activate_backward(d_NC, z[i])
                d_NC = layers[i].convolve_backward(d_NC, layers[i - 1].activate(z[i - 1]))
                z.pop()
            layers[0].convolve_backward(layers[0].activate_backward(d_NC, z[0]), x_NC, d_input=False)
        return None, None, None, None, *[grad for layer in layers for grad in layer.gradients()]


class _Layer:
    """One convolution with its norm and GELU, and the gradients gathered so far."""

    def __init__(self, weight: Tensor, bias: Tensor | None, scale: Tensor, shift: Tensor, stride: int):
        self.kernel, self.stride = weight.shape[2], stride
        # taps x inputs in the order of memory, then outputs
        self.weight, self.bias = weight.permute(2, 1, 0).flatten(0, 1).contiguous(), bias
        self.scale, self.shift = scale, shift
        inputs = weight.shape[1]
        precise = weight.dtype in (torch.float32, torch.float64)  # others would lose digits to differences
        in_threes = weight.device.type == "cpu" and precise and inputs > 1 and stride < self.kernel < 2 * stride
        self.shared = (self.kernel - stride) * inputs if in_threes else 0  # of neighbouring windows
        self.d_weight: Tensor | None = None
        self.d_rest: list[Tensor | None] = []

    def forward(self, x_NC: Tensor) -> Tensor:
        """`activate` of `convolve`; on a CPU block by block, so that what lies between does not leave its cache."""
        if x_NC.device.type != "cpu":
            return self.activate(self.convolve(x_NC))
        frames = self.num_frames(len(x_NC))
        y_NC = x_NC.new_empty(frames, len(self.scale))
        for first in range(0, frames, BLOCK):
            last = min(first + BLOCK, frames)
            z_NC = self._normalize(self.convolve(x_NC[first * self.stride : (last - 1) * self.stride + self.kernel]))
            torch.ops.aten.gelu.out(z_NC, out=y_NC[first:last])
        return y_NC

    def num_frames(self, length: int) -> int:
        """What `convolve` makes of so many samples or frames."""
        return (length - self.kernel) // self.stride + 1

    def _windows(self, x_NC: Tensor, frames: int, read_only: bool = True) -> Iterator[tuple[slice, Tensor]]:
        """Rows of the weight, and the view of ``x_NC`` they multiply; together all taps of all windows.

        Windows of a waveform are small enough to be copied: one product is faster than several.
        """
        channels = x_NC.shape[1]
        if read_only and channels == 1:
            yield slice(None), x_NC.as_strided((frames, self.kernel), (self.stride, 1)).contiguous()
            return
        for tap in range(0, self.kernel, self.stride):
            taps = min(self.stride, self.kernel - tap)
            view = x_NC.as_strided(
                (frames, taps * channels), (self.stride * channels, 1), x_NC.storage_offset() + tap * channels
            )
            yield slice(tap * channels, (tap + taps) * channels), view

    def convolve(self, x_NC: Tensor) -> Tensor:
        x_NC = x_NC.contiguous()
        frames = self.num_frames(len(x_NC))
        y_NC = x_NC.new_empty(frames, len(self.scale))
        done = frames // 3 * 3 if self.shared else 0
        if done:
            self._convolve_threes(x_NC, y_NC[:done].unflatten(0, (-1, 3)))
        if done < frames:
            self._convolve_windows(x_NC[done * self.stride :], y_NC[done:])
        return y_NC if self.bias is None else y_NC.add_(self.bias)

    def _convolve_windows(self, x_NC: Tensor, y_NC: Tensor) -> None:
        for i, (rows, view) in enumerate(self._windows(x_NC, len(y_NC))):
            torch.addmm(y_NC, view, self.weight[rows], beta=min(i, 1), out=y_NC)

    def _convolve_threes(self, x_NC: Tensor, y_P3C: Tensor) -> None:
        """Windows three by three, P times.

        Of the samples S0 ... S3 where three windows and the next one begin, window i takes Si first and S(i + 1) last,
        by weights F and L. With a = (S1 + S2) (F + L) / 2 and b = (S1 - S2) (F - L) / 2:
        S0 F + S1 L = (S0 - S2) F + a - b, S1 F + S2 L = a + b, and S2 F + S3 L = (S3 - S1) L + a - b.
        """
        times, hop = len(y_P3C), self.stride * x_NC.shape[1]
        first, between, last, half_sum, half_difference = self._filters
        s0, s1, s2, s3 = (
            x_NC.as_strided((times, self.shared), (3 * hop, 1), x_NC.storage_offset() + i * hop) for i in range(4)
        )
        a, b = (s1 + s2) @ half_sum, (s1 - s2) @ half_difference
        torch.add(a, b, out=y_P3C[:, 1])
        a -= b
        torch.addmm(a, s0 - s2, first, out=y_P3C[:, 0])
        torch.addmm(a, s3 - s1, last, out=y_P3C[:, 2])
        view = x_NC.as_strided((3 * times, hop - self.shared), (hop, 1), x_NC.storage_offset() + self.shared)
        y_P3C.flatten(0, 1).addmm_(view, between)

    @functools.cached_property
    def _filters(self) -> tuple[Tensor, ...]:
        """F, the taps between, L, (F + L) / 2 and (F - L) / 2 of `_convolve_threes`."""
        taps = [self.shared, len(self.weight) - 2 * self.shared, self.shared]
        first, between, last = self.weight.split(taps)
        return first, between, last, (first + last) / 2, (first - last) / 2

    def convolve_backward(self, d_NC: Tensor, x_NC: Tensor, d_input: bool = True) -> Tensor | None:
        """Gather the gradients of weight and bias; the gradient of ``x_NC``."""
        x_NC = x_NC.contiguous()
        if self.d_weight is None:
            self.d_weight = torch.zeros_like(self.weight)
            self.d_rest.append(None if self.bias is None else torch.zeros_like(self.bias))
        if self.bias is not None:
            self.d_rest[-1] += d_NC.sum(0)
        d_x = torch.zeros_like(x_NC) if d_input else None
        views = self._windows(d_x, len(d_NC), read_only=False) if d_input else iter(())
        for rows, view in self._windows(x_NC, len(d_NC), read_only=not d_input):
            self.d_weight[rows].addmm_(view.T, d_NC)
            if d_input:
                next(views)[1].addmm_(d_NC, self.weight[rows].T)
        return d_x

    def activate(self, z_NC: Tensor) -> Tensor:
        return torch.ops.aten.gelu_(self._normalize(z_NC))

    def _normalize(self, z_NC: Tensor) -> Tensor:
        return F.layer_norm(z_NC, self.scale.shape, self.scale, self.shift, LAYER_NORM_EPS)

    def activate_backward(self, d_NC: Tensor, z_NC: Tensor) -> Tensor:
        """Gather the gradients of the norm; the gradient of ``z_NC``."""
        shape = list(self.scale.shape)
        y_NC, mean, rstd = torch.native_layer_norm(z_NC, shape, self.scale, self.shift, LAYER_NORM_EPS)
        d_NC = torch.ops.aten.gelu_backward(d_NC, y_NC)
        d_NC, d_scale, d_shift = torch.ops.aten.native_layer_norm_backward(
            d_NC, z_NC, shape, mean, rstd, self.scale, self.shift, [True, True, True]
        )
        if not self.d_rest:
            self.d_rest = [d_scale, d_shift]
        else:
            self.d_rest[0] += d_scale
            self.d_rest[1] += d_shift
        return d_NC

    def gradients(self) -> list[Tensor | None]:
        """Of weight, bias, scale and shift."""
        d_weight = self.d_weight.unflatten(0, (self.kernel, -1)).permute(2, 1, 0)
        return [d_weight, self.d_rest[2], *self.d_rest[:2]]
