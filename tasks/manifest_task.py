"""What all tasks over manifests share: options, readers, data sets and batches."""

import difflib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

from fairseq.data.iterators import EpochBatchIterator

from one_peace.data.dataset import ManifestDataset
from one_peace.data.errors import DataError
from one_peace.data.lengths import DURATION
from one_peace.data.manifest import Manifest, find_shards, shard_of_epoch
from one_peace.data.masking import MaskPlan
from one_peace.data.mixing import Mixing
from one_peace.data.sources import Columns
from one_peace.data.target import Target
from one_peace.modalities import build_readers
from one_peace.models.checkpoint import read_settings
from one_peace.models.config import check_agreement, parse_group
from one_peace.models.flags import add_group_flags
from one_peace.optim import announce_epoch_batches, tag_parameters

from .measured_task import SHOWN, MeasuredTask
from .options import CommandLine, ManifestTaskConfig, asked_config
from .recovery import repair_last_checkpoint

logger = logging.getLogger(__name__)

ID = "id"


class ManifestTask(MeasuredTask):
    """Reads samples from manifests.

    Attributes:
        modalities: branches of the model, in the order of a joint sequence.
        column_roles: what each name in ``selected_cols`` stands for: "id", a modality, or what else the task reads.
        reader_defaults: options of readers that this task sets where the user does not.
        columns: role -> column.
    """

    modalities: tuple[str, ...]
    column_roles: tuple[str, ...]
    reader_defaults: Mapping[str, Any] = {}

    def __init__(self, cfg: ManifestTaskConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        options = {**self.reader_defaults, **{key: value for key, value in dict(cfg).items() if value is not None}}
        self.readers = build_readers(self.modalities, options, parse_group(cfg.readers, "readers"))
        self.columns = self.name_columns(cfg.selected_cols)
        self._iterators: WeakSet[EpochBatchIterator] = WeakSet()

    @classmethod
    def add_args(cls, parser) -> None:
        add_group_flags(parser, cls, delete_default=False)
        CommandLine.remember(cls, parser)

    @classmethod
    def setup_task(cls, cfg: ManifestTaskConfig, from_checkpoint: bool = False, **kwargs) -> "ManifestTask":
        """fairseq's constructor; an evaluation follows its command line."""
        asked, cfg = asked_config(cls, cfg) if from_checkpoint else (cls, cfg)
        return asked(cfg, **kwargs)

    def name_columns(self, selected: str) -> dict[str, str]:
        """role -> column, of the names that ``selected_cols`` lists."""
        names = [name.strip() for name in selected.split(",")]
        if len(names) < len(self.column_roles):
            raise ValueError(
                f"selected_cols={selected!r}: name a column each for {', '.join(self.column_roles)}, in this order"
            )
        return dict(zip(self.column_roles, names, strict=False))

    # -- model --------------------------------------------------------------------------------------------------------

    def adapter_settings(self) -> dict[str, Mapping[str, object]]:
        """Per modality, what the data decides about the adapter (vocabulary, image size)."""
        return {name: reader.adapter_settings() for name, reader in self.readers.items()}

    def build_model(self, cfg, from_checkpoint: bool = False):
        if not from_checkpoint:
            repair_last_checkpoint(Path(self.cfg.save_dir))
            self._check_start()
        model = super().build_model(cfg, from_checkpoint)
        tag_parameters(model.named_parameters())
        model.for_evaluation = from_checkpoint
        return model

    def _check_start(self) -> None:
        """What a run goes on from, or starts from, must have been trained on data that means the same."""
        last = Path(self.cfg.restore_file)
        if last == Path("checkpoint_last.pt"):  # fairseq's default
            last = Path(self.cfg.save_dir) / last
        path = last if last.is_file() else Path(self.cfg.finetune_from_model or "")
        if path.is_file() and (model := read_settings(path).get("model")):
            check_agreement(model.get("encoder"), self.adapter_settings(), str(path))

    # -- data ---------------------------------------------------------------------------------------------------------

    def sources(self, train: bool) -> Columns:
        """Where each modality is read from."""
        return {name: self.columns[name] for name in self.modalities}

    def target(self) -> Target | None:
        """What the answer of a sample is."""
        return None

    def mixing(self) -> Mixing | None:
        """How the samples of a training batch are mixed."""
        return None

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
        shards = self.shards(split)
        path = shard_of_epoch(shards, epoch)
        train = split == "train"
        sources, target = self.sources(train), self.target()
        columns = {c for source in sources.values() for c in ([source] if isinstance(source, str) else source.columns)}
        columns |= set(target.columns) if target else set()
        self.datasets[split] = ManifestDataset(
            Manifest(
                path, sorted(columns), optional=[DURATION, *[self.columns[r] for r in (ID,) if r in self.columns]]
            ),
            columns=sources,
            readers=self.readers,
            mask_plan=self.mask_plan() if train else {},
            seed=self.cfg.seed,
            train=train,
            root=Path(self.cfg.media_root) if self.cfg.media_root else path.parent,
            target=target,
            mixing=self.mixing(),
        )
        if not train:  # it would stop at them after an epoch; in training others take their place
            self.datasets[split].check_rows()
        logger.info("%s: %d rows of %s", split, len(self.datasets[split]), path)
        if train and len(shards) > 1:
            names = ", ".join(shard.name for shard in shards[:SHOWN])
            logger.info("each epoch reads one of %d manifests in turn (--train-manifests): %s", len(shards), names)

    def row_id(self, split: str, row: int) -> str:
        """What the manifest calls a row: its id, or its number if it has none."""
        return self.datasets[split].cells(row).get(self.columns.get(ID, ""), str(row + 1))

    def get_batch_iterator(self, dataset, max_tokens=None, **kwargs):
        """fairseq's iterator, keeping batches of any size, and telling the schedule how long an epoch is.

        With ``max_tokens`` a batch holds as many samples of similar length as that many tokens, patches and frames.
        """
        dataset.by_length = max_tokens is not None
        # fairseq's buffer is a thread that nobody waits for: a process that ends while it runs may be aborted
        kwargs |= {"required_batch_size_multiple": 1, "max_positions": max_tokens, "data_buffer_size": 0}
        self._end_workers()
        iterator = super().get_batch_iterator(dataset, max_tokens, **kwargs)
        self._iterators.add(iterator)
        split = next((name for name, loaded in self.datasets.items() if loaded is dataset), "")
        if split == "train":
            announce_epoch_batches(len(iterator))
        else:
            self.begin_measuring(split)
        return iterator

    def begin_epoch(self, epoch: int, model) -> None:
        """Ends the worker processes of the epoch before."""
        self._end_workers()
        self._check_best_metric()
        super().begin_epoch(epoch, model)

    def _check_best_metric(self) -> None:
        """fairseq looks at these options after an epoch only, or keeps the worst checkpoint without a word."""
        metric, names = self.cfg.best_checkpoint_metric, self.meter.names()
        if metric in names and self.meter.larger_is_better and not self.cfg.maximize_best_checkpoint_metric:
            raise ValueError(f"the best {metric} is the largest: add --maximize-best-checkpoint-metric")
        near = difflib.get_close_matches(metric.lower(), names, n=1, cutoff=0.75)
        if metric not in names and near:  # what is not near may be what the criterion logs
            raise ValueError(f"--best-checkpoint-metric {metric}: did you mean {near[0]}?")

    def _end_workers(self) -> None:
        """Lets go of PyTorch's iterators that are read to the end, which ends their worker processes.

        fairseq's iterators are reference cycles, which keep them. When the garbage collector finds one, it closes the
        queues first, so that no worker hears of its end, and each of them is waited for in vain for five seconds.
        """
        for iterator in self._iterators:
            epoch = iterator._cur_epoch_itr
            if epoch is not None and not epoch.has_next():
                epoch._itr = iter(())

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
