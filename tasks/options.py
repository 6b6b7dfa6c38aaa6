"""Options that all tasks have, and those of an evaluation that takes its checkpoint from another task."""

import argparse
from dataclasses import dataclass, field, fields
from typing import Any, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.utils import merge_with_parent
from omegaconf import II, MISSING, DictConfig, OmegaConf

from one_peace.modalities import override_readers
from one_peace.models.config import parse_group
from one_peace.models.flags import Group


@dataclass
class ReaderOptions(FairseqDataclass):
    """Options of readers, as flags. One left out keeps the reader's own default."""

    bpe_dir: Optional[str] = field(default=None, metadata={"help": "text: folder with the vocabulary"})
    max_src_length: Optional[int] = field(default=None, metadata={"help": "text: tokens kept"})
    patch_image_size: Optional[int] = field(default=None, metadata={"help": "image: side in pixels"})
    patch_image_width: Optional[int] = field(
        default=None, metadata={"help": "image: width in pixels where it is another than patch_image_size, the height"}
    )
    min_scale: Optional[float] = field(default=None, metadata={"help": "image: smallest share a random crop keeps"})
    no_crop: Optional[bool] = field(default=None, metadata={"help": "image: train on whole pictures"})
    crop_pct: Optional[float] = field(
        default=None, metadata={"help": "image: evaluate on this share of the largest central part of the wanted shape"}
    )
    flip_prob: Optional[float] = field(default=None, metadata={"help": "image: turned left to right in training"})
    rand_augment: Optional[int] = field(
        default=None, metadata={"help": "image: magnitude of two random operations in training, up to 30"}
    )
    color_jitter: Optional[float] = field(
        default=None, metadata={"help": "image: share that brightness, contrast and saturation change by in training"}
    )
    blur_prob: Optional[float] = field(default=None, metadata={"help": "image: blurred in training"})
    erase_prob: Optional[float] = field(default=None, metadata={"help": "image: a rectangle erased in training"})
    max_duration: Optional[float] = field(default=None, metadata={"help": "audio: seconds kept"})
    feature_encoder_spec: Optional[str] = field(
        default=None, metadata={"help": "audio: the stem's layers, here and in the model"}
    )
    audio_mask_prob_adjust: Optional[float] = field(
        default=None, metadata={"help": "audio: added to the ratio of spans"}
    )
    audio_mask_length: Optional[int] = field(default=None, metadata={"help": "audio: frames of a masked span"})
    readers: Any = field(
        default=None, metadata={"help": 'options of readers, by modality, e.g. "{text: {max_src_length: 40}}"'}
    )


@dataclass
class ManifestTaskConfig(ReaderOptions):
    """Options every task has."""

    data: str = field(default=MISSING, metadata={"help": "folder with train.tsv (or shards), valid.tsv, ..."})
    selected_cols: str = field(default=MISSING, metadata={"help": "manifest columns, by name"})
    train_manifests: str = field(
        default="train*.tsv",
        metadata={"help": "training shards, one an epoch in turn: comma list of files or patterns inside the folder"},
    )
    media_root: Optional[str] = field(
        default=None, metadata={"help": "where relative paths in manifests start; default: the manifest's folder"}
    )
    results_dir: Optional[str] = field(
        default=None, metadata={"help": "folder for the metrics and predictions of each validation"}
    )
    # fairseq reads this one: persistent workers would never hear of a new epoch
    persistent_workers: bool = field(default=False, metadata={"help": "keep at False"})
    seed: int = II("common.seed")
    save_dir: str = II("checkpoint.save_dir")
    restore_file: str = II("checkpoint.restore_file")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")
    best_checkpoint_metric: str = II("checkpoint.best_checkpoint_metric")
    maximize_best_checkpoint_metric: bool = II("checkpoint.maximize_best_checkpoint_metric")


class CommandLine:
    """What a command line of fairseq asks of its task.

    ``fairseq-validate`` builds the task that a checkpoint was trained with, and knows of its options only those that
    the checkpoint holds. A checkpoint may be evaluated on another task, and be older than an option.
    """

    task: type | None = None
    _parser: argparse.ArgumentParser | None = None

    @classmethod
    def remember(cls, task: type, parser: argparse.ArgumentParser) -> None:
        """fairseq shows the parser to the task that ``--task`` names."""
        cls.task, cls._parser = task, parser

    @classmethod
    def given(cls) -> dict[str, Any]:
        """The options of all kinds that the command line itself gives, without defaults."""
        defaults = vars(cls._parser.parse_known_args()[0])
        bare = argparse.ArgumentParser(add_help=False, allow_abbrev=False, parents=[cls._parser])
        bare.set_defaults(**dict.fromkeys(defaults))
        values = vars(bare.parse_known_args()[0])
        return {k: str(v) if isinstance(v, Group) else v for k, v in values.items() if v is not None}


def asked_config(task: type, cfg: DictConfig) -> tuple[type, DictConfig]:
    """The task to evaluate a checkpoint with, and its options.

    Args:
        task: the task that the checkpoint was trained with.
        cfg: that task's options.

    Returns:
        ``task`` and ``cfg`` themselves, updated by the command line; or the task that it names instead, which takes
        over what the data looked like (`ReaderOptions`).
    """
    asked = CommandLine.task
    if asked is None:
        return task, cfg
    config = asked.__dataclass()
    known = {spec.name for spec in fields(config)}
    kept = {spec.name for spec in fields(ReaderOptions)} if asked is not task else known
    values = {name: cfg[name] for name in kept if name in cfg and not OmegaConf.is_missing(cfg, name)}
    given = {name: value for name, value in CommandLine.given().items() if name in known}
    nested = [parse_group(group.get("readers"), "readers") for group in (values, given)]
    values |= given | {"readers": override_readers(nested[0], given, nested[1]) or None}
    chosen = OmegaConf.create(values, flags={"allow_objects": True})
    chosen._set_parent(cfg._get_parent())
    return asked, merge_with_parent(config, chosen)
