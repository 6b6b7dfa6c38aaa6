"""What is measured: training steps and embedding passes of fixed sizes, on random inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.utils import apply_to_sample
from omegaconf import OmegaConf
from torch import Tensor, nn

from one_peace.benchmarks.machine import Setting
from one_peace.criterions import aligning_contrast, label_smoothed_cross_entropy
from one_peace.criterions.contrastive import (
    AligningLossConfig,
    AudioTextPretrainLoss,
    AudioTextPretrainLossConfig,
    ImageTextPretrainLoss,
    ImageTextPretrainLossConfig,
    ImageTextRetrievalCriterion,
)
from one_peace.data.collate import collate_masks, padding_mask
from one_peace.data.masking import cover_previous_mask, outside_previous_mask, random_mask, span_mask
from one_peace.modalities.audio.conv_spec import RELEASED_SPEC, conv_output_length, parse_conv_spec
from one_peace.modalities.image.reader import PATCH_SIZE
from one_peace.models.hub import quantize
from one_peace.models.memory import keep_freed_memory
from one_peace.models.pretrain import PretrainModel, PretrainModelConfig
from one_peace.models.retrieval import RetrievalModel, RetrievalModelConfig
from one_peace.optim import AdjustAdam, AdjustAdamConfig, tag_parameters

VOCABULARY, TOKENS = 50264, 24
SAMPLE_RATE = 16000
# Sizes below base have a stem of their own; measured is the released one.
RELEASED_STEM = {"feature_embed_dim": 512, "feature_encoder_spec": RELEASED_SPEC, "log_mel": False}
# Tokens of captions as data sets have them, in no order: most are short, some twice as long.
MIXED_TOKENS = [11, 8, 14, 24, 9, 12, 4, 10, 17, 7, 13, 9, 20, 6, 11, 15]
# Seconds of short clips, in no order.
MIXED_SECONDS = [1.4, 3.1, 1.0, 2.2, 5.0, 1.0, 1.8, 4.2, 1.2, 2.7, 1.0, 3.6, 1.5, 2.0, 1.1, 2.4]


@dataclass(frozen=True)
class Build:
    """How the measured model is made.

    Attributes:
        setting: device and precision.
        reference: the naive path of the same model.
        optimizer: a training step updates the weights too.
        size: the model's preset.
        checkpoint: every layer is computed again in backward.
    """

    setting: Setting
    reference: bool = False
    optimizer: bool = False
    size: str = "small"
    checkpoint: bool = False


@dataclass
class Work:
    """One thing to measure: ``run`` does it once for ``samples`` samples."""

    samples: int
    model: nn.Module
    run: Callable[[], object]


def set_up_process(how: Build) -> None:
    """As training and `from_pretrained` do it; the naive path stands for what one gets without this project."""
    if not how.reference:
        keep_freed_memory(torch.device(how.setting.device).type)


def build_model(
    how: Build, pair: tuple[str, str], image_size: int = 128, finetune: bool = False, **options: Any
) -> PretrainModel | RetrievalModel:
    """The measured model, with the branches of ``pair`` and the released audio stem."""
    settings = {"text": {"vocab_size": VOCABULARY, "pad": 1}, "image": {"rel_bucket_size": image_size // PATCH_SIZE}}
    task = SimpleNamespace(modalities=pair, adapter_settings=lambda: settings)
    model, config = (RetrievalModel, RetrievalModelConfig) if finetune else (PretrainModel, PretrainModelConfig)
    encoder = {"audio_adapter": RELEASED_STEM, "checkpoint_activations": how.checkpoint}
    cfg = OmegaConf.structured(config(size=how.size, reference=how.reference, encoder=encoder, **options))
    with torch.device(how.setting.device):  # a CPU takes a minute to draw the weights of 4b
        return model.build_model(cfg, task).to(how.setting.torch_dtype)


def to_setting(inputs: Any, setting: Setting) -> Any:
    """Tensors of nested containers on the device, floating-point ones in the precision."""

    def move(x: Tensor) -> Tensor:
        return x.to(setting.device, setting.torch_dtype if x.is_floating_point() else None)

    return apply_to_sample(move, inputs)


def captions(lengths: list[int]) -> dict[str, Tensor]:
    """Random captions of so many tokens, padded to the longest."""
    padding_BL = padding_mask(lengths)
    values_BN = torch.randint(4, VOCABULARY, (len(lengths), max(lengths)))
    return {"values": values_BN.masked_fill(padding_BL[:, 1:], 1), "padding_mask": padding_BL}


def caption_lengths(batch: int) -> list[int]:
    """20 to 24 tokens."""
    return [TOKENS - i % 5 for i in range(batch)]


def pictures(batch: int, side: int) -> dict[str, Tensor]:
    """Random pictures."""
    return {"values": torch.randn(batch, 3, side, side)}


def frames(seconds: float) -> int:
    """What the stem makes of a sound."""
    return conv_output_length(int(seconds * SAMPLE_RATE), parse_conv_spec(RELEASED_SPEC))


def sounds(seconds: list[float]) -> dict[str, Tensor]:
    """Random sounds of so many seconds, padded to the longest."""
    values_BT = torch.randn(len(seconds), int(max(seconds) * SAMPLE_RATE))
    for wave, length in zip(values_BT, seconds, strict=True):
        wave[int(length * SAMPLE_RATE) :] = 0
    return {"values": values_BT, "padding_mask": padding_mask([frames(length) for length in seconds])}


def stage1(how: Build, batch: int, side: int) -> Work:
    """Image + text with the released masks."""
    model = build_model(how, ("text", "image"), side)
    task = SimpleNamespace(modalities=("text", "image"))
    criterion = ImageTextPretrainLoss.build_criterion(OmegaConf.structured(ImageTextPretrainLossConfig()), task)
    lengths = caption_lengths(batch)
    words = [random_mask(n, 0.15) for n in lengths]
    patches = [random_mask((side // PATCH_SIZE) ** 2, 0.75) for _ in lengths]
    masks = {
        "text": {"text": collate_masks(words)},
        "image": {"image": collate_masks(patches)},
        "text+image": {
            "text": collate_masks([outside_previous_mask(mask, 0.4) for mask in words]),
            "image": collate_masks([cover_previous_mask(mask, 0.6875) for mask in patches]),
        },
    }
    return step(how, model, criterion, {"text": captions(lengths), "image": pictures(batch, side)}, masks)


def stage2(how: Build, batch: int, seconds: float) -> Work:
    """Audio + text, shared parts frozen."""
    model = build_model(how, ("text", "audio"), stage2_pretrain=True)
    task = SimpleNamespace(modalities=("text", "audio"))
    criterion = AudioTextPretrainLoss.build_criterion(OmegaConf.structured(AudioTextPretrainLossConfig()), task)
    lengths = caption_lengths(batch)
    masks = {
        "audio": {"audio": collate_masks([span_mask(frames(seconds), 0.55) for _ in lengths])},
        "text+audio": {
            "text": collate_masks([random_mask(n, 0.4) for n in lengths]),
            "audio": collate_masks([span_mask(frames(seconds), 0.45) for _ in lengths]),
        },
    }
    return step(how, model, criterion, {"text": captions(lengths), "audio": sounds([seconds] * batch)}, masks)


def finetune(how: Build, batch: int, side: int) -> Work:
    """Image-text retrieval: aligning only."""
    model = build_model(how, ("text", "image"), side, finetune=True)
    task = SimpleNamespace(modalities=("text", "image"))
    criterion = ImageTextRetrievalCriterion.build_criterion(OmegaConf.structured(AligningLossConfig()), task)
    inputs = {"text": captions(caption_lengths(batch)), "image": pictures(batch, side)}
    return step(how, model, criterion, inputs, {})


def step(how: Build, model: nn.Module, criterion, inputs: Mapping, masks: Mapping) -> Work:
    """Forward, criterion, backward, and the update if asked for."""
    set_up_process(how)
    batch = len(inputs["text"]["values"])
    sample = to_setting({"nsentences": batch, "net_input": {"inputs": inputs, "masks": masks}}, how.setting)
    update = optimizer_step(model) if how.optimizer else lambda: None

    def run() -> None:
        model.zero_grad(set_to_none=True)
        criterion.compute(model, sample)[0].backward()
        update()

    return Work(batch, model, run)


def optimizer_step(model: nn.Module) -> Callable[[], object]:
    """An update of ``adjust_adam``."""
    tag_parameters(model.named_parameters())
    cfg = OmegaConf.structured(AdjustAdamConfig(lr=[1e-6]))
    return AdjustAdam(cfg, [parameter for parameter in model.parameters() if parameter.requires_grad]).step


def embed(how: Build, name: str, raw: dict, int8: bool = False) -> Work:
    """One embedding pass without gradient."""
    set_up_process(how)
    if int8:
        how = replace(how, reference=True)  # as `from_pretrained` does
    pair = ("text", "audio") if name == "audio" else ("text", "image")
    # PyTorch's FLOP counter trips over parameters that ask for a gradient where none is recorded.
    model = build_model(how, pair, finetune=True).eval().requires_grad_(False)
    if int8:
        model = quantize(model)
    raw = to_setting(raw, how.setting)
    return Work(len(raw["values"]), model, torch.inference_mode()(lambda: model.embed(name, **raw)))


class Embeddings(nn.Module):
    """Pairs that are embedded already, the released width."""

    def __init__(self, batch: int, width: int = 1536):
        super().__init__()
        self.a_BD, self.b_BD = (nn.Parameter(F.normalize(torch.randn(batch, width), dim=-1)) for _ in range(2))
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07))


def contrast(how: Build, batch: int) -> Work:
    """The aligning contrast and its gradients alone; the naive path keeps all logits for backward."""
    set_up_process(how)
    pairs = Embeddings(batch).to(how.setting.device, how.setting.torch_dtype)
    loss = plain_contrast if how.reference else aligning_contrast

    def run() -> None:
        pairs.zero_grad(set_to_none=True)
        loss(pairs.a_BD, pairs.b_BD, pairs.logit_scale)[0].backward()

    return Work(batch, pairs, run)


def plain_contrast(a_BD: Tensor, b_BD: Tensor, logit_scale: Tensor) -> tuple[Tensor]:
    """`aligning_contrast` as one writes it down."""
    target_B = torch.arange(len(a_BD), device=a_BD.device)
    logits = (logit_scale * x_BD @ keys_BD.detach().T for x_BD, keys_BD in ((a_BD, b_BD), (b_BD, a_BD)))
    return (sum(label_smoothed_cross_entropy(one, target_B, 0.0) for one in logits) / 2,)


def stage1_4b(how: Build, checkpoint: bool) -> Work:
    """Stage 1 at the released size; the naive path fits in no GPU unless layers are computed again."""
    return stage1(replace(how, size="4b", checkpoint=checkpoint or how.reference), 64, 256)


WORKS: dict[str, Callable[[Build], Work]] = {
    "vl128": lambda how: stage1(how, 16, 128),
    "vl384": lambda how: stage1(how, 4, 384),
    "al5s": lambda how: stage2(how, 8, 5),
    "vl256_4b": lambda how: stage1_4b(how, checkpoint=False),
    "vl256_4b_checkpoint": lambda how: stage1_4b(how, checkpoint=True),
    "finetune_vl128": lambda how: finetune(how, 16, 128),
    "contrast4096": lambda how: contrast(how, 4096),
    "embed_image": lambda how: embed(how, "image", pictures(16, 128)),
    "embed_text": lambda how: embed(how, "text", captions(caption_lengths(16))),
    "embed_text_mixed": lambda how: embed(how, "text", captions(MIXED_TOKENS)),
    "embed_audio": lambda how: embed(how, "audio", sounds([5] * 16)),
    "embed_audio_mixed": lambda how: embed(how, "audio", sounds(MIXED_SECONDS)),
    "embed_image_int8": lambda how: embed(how, "image", pictures(16, 128), int8=True),
    "embed_text_int8": lambda how: embed(how, "text", captions(caption_lengths(16)), int8=True),
}
CPU_ONLY = ("embed_image_int8", "embed_text_int8")
GPU_ONLY = ("vl256_4b", "vl256_4b_checkpoint")  # 62 GiB, and most of an hour a step on a CPU
