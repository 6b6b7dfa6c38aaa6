"""Small models with random weights, as tests of the network need them."""

import platform
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from one_peace.models.classify import ClassifyModel, ClassifyModelConfig
from one_peace.models.pretrain import PretrainModel, PretrainModelConfig

SETTINGS = {"text": {"vocab_size": 30, "pad": 1}, "image": {"rel_bucket_size": 2}}
ENCODER = {
    "embed_dim": 32,
    "ffn_embed_dim": 48,
    "layers": 2,
    "attention_heads": 4,
    "layer_scale_init_value": 0.5,
    "text_adapter": {"bucket_size": 8},
    "audio_adapter": {
        "bucket_size": 16,
        "feature_embed_dim": 8,
        "feature_encoder_spec": "[(8, 10, 5)] + [(8, 3, 2)] * 4 + [(8, 2, 2)] * 2",
        "log_mel": False,
        "conv_pos_groups": 4,
    },
}
DECODER = {"embed_dim": 16, "ffn_embed_dim": 24, "layers": 1, "attention_heads": 2, "use_layer_scale": False}


def build(modalities=("text", "image", "audio"), encoder=None, decoder=None, **options) -> PretrainModel:
    """A model whose every parameter matters: all are drawn anew, tables and biases included."""
    torch.manual_seed(0)
    task = SimpleNamespace(modalities=tuple(modalities), adapter_settings=lambda: SETTINGS)
    cfg = OmegaConf.structured(PretrainModelConfig(size="tiny", **options))
    cfg.encoder = {**ENCODER, **(encoder or {})}
    cfg.decoder = {**DECODER, **(decoder or {})}
    return shaken(PretrainModel.build_model(cfg, task))


def build_classifier(
    modalities=("text", "image"), encoder=None, grid=2, classes=5, passes=1, features="concat", **options
) -> ClassifyModel:
    """The same for classification, in double precision, of pictures of ``grid`` x ``grid`` patches."""
    torch.manual_seed(0)
    task = SimpleNamespace(
        modalities=tuple(modalities),
        adapter_settings=lambda: {**SETTINGS, "image": {"rel_bucket_size": grid}},
        num_classes=classes,
        num_passes=passes,
        pass_features=features,
    )
    cfg = OmegaConf.structured(ClassifyModelConfig(size="tiny", **options))
    cfg.encoder = {**ENCODER, **(encoder or {})}
    return shaken(ClassifyModel.build_model(cfg, task)).double()


def shaken(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


@pytest.fixture
def model() -> PretrainModel:
    return build()


@pytest.fixture
def glibc(monkeypatch) -> None:
    """A C library that keeps freed memory if asked, and that nobody has asked for anything."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("glibc only")
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
