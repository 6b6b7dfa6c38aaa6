"""What all tasks over a pair of modalities share: manifests, readers, batches, and recall over a whole data set."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import torch
from fairseq import metrics, utils
from fairseq.dataclass import FairseqDataclass
from fairseq.logging.meters import MetersDict
from fairseq.tasks import FairseqTask
from omegaconf import II, MISSING

from one_peace.data.dataset import ManifestDataset
from one_peace.data.errors import DataError
from one_peace.data.lengths import DURATION
from one_peace.data.manifest import Manifest, find_shards, shard_of_epoch
from one_peace.data.masking import MaskPlan
from one_peace.metrics import RetrievalMeter
from one_peace.modalities import build_readers
from one_peace.models.config import parse_group
from one_peace.models.flags import add_group_flags
from one_peace.optim import announce_epoch_batches, tag_parameters

from .recovery import repair_last_checkpoint

logger = logging.getLogger(__name__)

METRIC_NAMES = {"text": "txt", "image": "img"}  # the release's prefixes; any other modality goes by its own name
_SHOWN = 5


@dataclass
class PairTaskConfig(FairseqDataclass):
    """Options every task has. A reader's option left out keeps the reader's own default."""

    data: str = field(default=MISSING, metadata={"help": "folder with train.tsv (or shards), valid.tsv, ..."})
    selected_cols: str = field(default=MISSING, metadata={"help": "manifest columns, by name"})
    train_manifests: str = field(
        default="train*.tsv",
        metadata={"help": "training shards, one an epoch in turn: comma list of files or patterns inside the folder"},
    )
    media_root: Optional[str] = field(
        default=None, metadata={"help": "where relative paths in manifests start; default: the manifest's folder"}
    )
    bpe_dir: Optional[str] = field(default=None, metadata={"help": "text: folder with the vocabulary"})
    max_src_length: Optional[int] = field(default=None, metadata={"help": "text: tokens kept"})
    patch_image_size: Optional[int] = field(default=None, metadata={"help": "image: side in pixels"})
    min_scale: Optional[float] = field(default=None, metadata={"help": "image: smallest share a random crop keeps"})
    max_duration: Optional[float] = field(default=None, metadata={"help": "audio: seconds kept"})
    feature_encoder_spec: Optional[str] = field(default=None, metadata={"help": "audio: convolutions of the stem"})
    audio_mask_prob_adjust: Optional[float] = field(
        default=None, metadata={"help": "audio: added to the ratio of spans"}
    )
    audio_mask_length: Optional[int] = field(default=None, metadata={"help": "audio: frames of a masked span"})
    readers: Any = field(
        default=None, metadata={"help": 'options of readers, by modality, e.g. "{text: {max_src_length: 40}}"'}
    )
    # fairseq reads this one: persistent workers would never hear of a new epoch
    persistent_workers: bool = field(default=False, metadata={"help": "keep at False"})
    seed: int = II("common.seed")
    save_dir: str = II("checkpoint.save_dir")


class PairTask(FairseqTask):
    """Reads pairs from manifests, trains a model on them, and validates by recall both ways over the whole set.

    Attributes:
        modalities: the pair; the first one is the anchor (text in the released tasks).
        column_roles: what each name in ``selected_cols`` stands for: a modality or "id".
    """

    modalities: tuple[str, str]
    column_roles: tuple[str, ...]

    def __init__(self, cfg: PairTaskConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        self.readers = build_readers(self.modalities, dict(cfg), parse_group(cfg.readers, "readers"))
        self.columns = self._columns(cfg.selected_cols)
        self.meter = RetrievalMeter(*(METRIC_NAMES.get(name, name) for name in self.modalities))
        self._recall: dict[str, float] | None = None
        self._skipped: list[str] = []

    @classmethod
    def add_args(cls, parser) -> None:
        add_group_flags(parser, cls, delete_default=False)

    @classmethod
    def setup_task(cls, cfg: PairTaskConfig, **kwargs) -> "PairTask":
        return cls(cfg, **kwargs)

    def _columns(self, selected: str) -> dict[str, str]:
        names = [name.strip() for name in selected.split(",")]
        if len(names) < len(self.column_roles):
            raise ValueError(
                f"selected_cols={selected!r}: name a column each for {', '.join(self.column_roles)}, in this order"
            )
        by_role = dict(zip(self.column_roles, names, strict=False))
        return {name: by_role[name] for name in self.modalities}

    # -- model --------------------------------------------------------------------------------------------------------

    def adapter_settings(self) -> dict[str, Mapping[str, object]]:
        """Per modality, what the data decides about the adapter (vocabulary, image size)."""
        return {name: reader.adapter_settings() for name, reader in self.readers.items()}

    def build_model(self, cfg, from_checkpoint: bool = False):
        if not from_checkpoint:
            repair_last_checkpoint(Path(self.cfg.save_dir))
        model = super().build_model(cfg, from_checkpoint)
        tag_parameters(model.named_parameters())
        return model

    # -- data ---------------------------------------------------------------------------------------------------------

    def mask_plan(self) -> MaskPlan:
        """Which passes of a training batch are masked, and how; none by default."""
        return {}

    def shards(self, split: str) -> list[Path]:
        """The manifests of a split."""
        pattern = self.cfg.train_manifests if split == "train" else f"{split}.tsv"
        return find_shards(Path(self.cfg.data), pattern)

    def has_sharded_data(self, split: str) -> bool:
        return split == "train" and len(self.shards(split)) > 1

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs) -> None:
        """Open a split; of a split in shards, the one whose turn it is in ``epoch``."""
        path = shard_of_epoch(self.shards(split), epoch)
        train = split == "train"
        self.datasets[split] = ManifestDataset(
            Manifest(path, list(self.columns.values()), optional=[DURATION]),
            columns=self.columns,
            readers=self.readers,
            mask_plan=self.mask_plan() if train else {},
            seed=self.cfg.seed,
            train=train,
            root=Path(self.cfg.media_root) if self.cfg.media_root else path.parent,
        )
        logger.info("%s: %d rows of %s", split, len(self.datasets[split]), path)

    def get_batch_iterator(self, dataset, max_tokens=None, **kwargs):
        """fairseq's iterator, keeping batches of any size, and telling the schedule how long an epoch is.

        With ``max_tokens`` a batch holds as many samples of similar length as that many tokens, patches and frames.
        """
        dataset.by_length = max_tokens is not None
        kwargs |= {"required_batch_size_multiple": 1, "max_positions": max_tokens}
        iterator = super().get_batch_iterator(dataset, max_tokens, **kwargs)
        if dataset is self.datasets.get("train"):
            announce_epoch_batches(len(iterator))
        return iterator

    def filter_indices_by_size(self, indices, dataset, max_positions=None, ignore_invalid_inputs=False):
        """The rows that fit into a batch of their own; fairseq asks to leave out the others in training.

        Raises:
            DataError: others are not to be left out, or there is nothing else.
        """
        units = dataset.num_tokens_vec(indices)
        too_long = units > max_positions
        if not too_long.any():
            return indices
        longest = int(units.argmax())
        error = DataError(
            f"{too_long.sum()} of {len(indices)} samples have more tokens, patches and frames than a batch may, "
            f"{max_positions}; this one has the most, {units[longest]}",
            file=dataset.manifest.path,
            row=int(indices[longest]),
            remedy=f"--max-tokens {units[longest]} takes all of them; --max-duration and --max-src-length cut samples; "
            "--skip-invalid-size-inputs-valid-test leaves them out of validation",
        )
        if too_long.all() or not ignore_invalid_inputs:
            raise error
        logger.warning("left out: %s", error)
        return indices[~too_long]

    def max_positions(self) -> None:
        return None

    @property
    def source_dictionary(self) -> None:
        return None

    @property
    def target_dictionary(self) -> None:
        return None

    # -- steps --------------------------------------------------------------------------------------------------------

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        """One forward and backward; ``ignore_grad`` marks fairseq's stand-in batch on a rank whose shard is shorter."""
        if ignore_grad:
            sample = self._stand_in(model)
        _raise_error(sample)
        self._skipped += sample["skipped"]
        loss, sample_size, log = super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)
        log["nskipped"] = len(sample["skipped"])
        if ignore_grad:
            log = {key: value * 0 for key, value in log.items()}
        return loss, sample_size, log

    def _stand_in(self, model) -> dict:
        """A batch that keeps this rank in step with the others and counts nowhere.

        fairseq's own is a validation batch, without masks: it would log other values and leave the decoder out.
        """
        train, parameter = self.datasets["train"], next(model.parameters())

        def prepare(x: torch.Tensor) -> torch.Tensor:
            return x.to(parameter) if x.is_floating_point() else x.to(parameter.device)

        return utils.apply_to_sample(prepare, train.collater([train[0]])) | {"skipped": [], "stand_in": True}

    def valid_step(self, sample, model, criterion):
        """Validation loss of a batch; its embeddings go into the recall over the whole set."""
        if not sample:  # fairseq hands these to ranks whose shard is shorter
            return torch.zeros(()), 0, {}
        _raise_error(sample)
        self._recall = None
        with torch.no_grad():
            loss, log, embeddings = criterion.compute(model, sample)
        a, b = self.modalities
        self.meter.add(sample["item_keys"][a], embeddings[a], sample["item_keys"][b], embeddings[b])
        return loss, 1, log

    def begin_epoch(self, epoch: int, model) -> None:
        self._report_skipped()

    def begin_valid_epoch(self, epoch: int, model) -> None:
        self._report_skipped()
        self.meter.reset()

    def _report_skipped(self) -> None:
        """Says at the end of an epoch which training samples could not be used."""
        if self._skipped:
            shown = "\n  ".join(self._skipped[:_SHOWN] + (["..."] if len(self._skipped) > _SHOWN else []))
            logger.warning("%d corrupt samples were replaced by others:\n  %s", len(self._skipped), shown)
        self._skipped = []

    def reduce_metrics(self, logging_outputs, criterion) -> None:
        logging_outputs = [log for log in logging_outputs if log]  # ranks with nothing to validate send {}
        if not logging_outputs:
            return
        super().reduce_metrics(logging_outputs, criterion)
        if "nskipped" in logging_outputs[0]:
            metrics.log_scalar_sum("skipped", sum(log["nskipped"] for log in logging_outputs))
        else:
            self._attach_recall()

    def _attach_recall(self) -> None:
        """Adds recall to the aggregator of the whole validation set, to be computed when it is read.

        It is the outermost unnamed one. Reading it is a collective that fairseq does once, on all ranks.
        """
        names = ("default", "train", "train_inner", "valid")
        named = [metrics._aggregators.get(name) for name in names]
        root = next(a for a in metrics.get_active_aggregators() if all(a is not other for other in named))
        for key in self.meter.names():
            if key not in root:
                root.add_meter(key, MetersDict._DerivedMeter(lambda _, key=key: round(self.recall()[key], 2)), 20)

    def recall(self) -> dict[str, float]:
        """Recall over everything validated since the last reset, in percent; a collective."""
        if self._recall is None:
            self._recall = self.meter.compute()
        return self._recall


def _raise_error(sample: dict) -> None:
    """A data error met in a worker, raised where its message is the last thing the user sees."""
    if "error" in sample:
        raise DataError(sample["error"])
