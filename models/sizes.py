"""Size presets, the one place that says how big a model is. Parameters counted with text, image and audio.

| size  | parameters | encoder width x layers | decoder |
|-------|------------|------------------------|---------|
| tiny  | ~5 M       | 192 x 4                | 96 x 1  |
| small | ~50 M      | 384 x 6                | 192 x 2 |
| base  | ~300 M     | 768 x 12               | 384 x 2 |
| large | ~1 B       | 1024 x 24              | 512 x 2 |
| 4b    | ~4 B       | 1536 x 40 (released)   | 768 x 2 |
"""


def _size(dim: int, ffn: int, layers: int, heads: int) -> dict[str, object]:
    """A stack; what one of its Linear layers gives is initially as large as in the released encoder, whose weights have
    0.02 at a width of 1536. With 0.02 at 192 a first run needs three times the updates."""
    std = 0.02 * (1536 / dim) ** 0.5
    return {"embed_dim": dim, "ffn_embed_dim": ffn, "layers": layers, "attention_heads": heads, "init_std": std}


# An audio stem of a log-mel spectrogram and a convolution, with as many frames as of the released seven, which
# would cost more than the encoder at these widths, and learn little from thousands of clips.
_LOG_MEL = {"audio_adapter": {"feature_encoder_spec": "[(80, 400, 320), (128, 1, 1)]", "log_mel": True}}
_DECODER = {"use_layer_scale": False}
_SINES = {"image_adapter": {"sine_positions": True}}

SIZES: dict[str, dict[str, dict[str, object]]] = {
    "tiny": {
        # A few thousand updates must do: residual branches start at 0.3 instead of 1e-6, and weights larger. From small
        # ones the first updates make the embeddings of all inputs alike, and what comes back has few dimensions.
        "encoder": _size(192, 512, 4, 6) | {"layer_scale_init_value": 0.3, "init_std": 0.105} | _LOG_MEL | _SINES,
        "decoder": _size(96, 256, 1, 3) | _DECODER | _SINES,
    },
    "small": {
        "encoder": _size(384, 1536, 6, 6) | {"layer_scale_init_value": 1e-2} | _LOG_MEL | _SINES,
        "decoder": _size(192, 768, 2, 6) | _DECODER | _SINES,
    },
    "base": {"encoder": _size(768, 3072, 12, 12), "decoder": _size(384, 1024, 2, 6) | _DECODER},
    "large": {"encoder": _size(1024, 4096, 24, 16), "decoder": _size(512, 1536, 2, 8) | _DECODER},
    "4b": {"encoder": _size(1536, 6144, 40, 24), "decoder": _size(768, 2048, 2, 12) | _DECODER | {"init_std": 0.02}},
}
