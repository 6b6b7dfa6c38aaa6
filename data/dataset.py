"""One manifest, read by the readers of its modalities, as a fairseq data set."""

import hashlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from one_peace.data import quiet_fairseq  # noqa: F401  # isort: skip

from fairseq.data import FairseqDataset
from torch import BoolTensor, Generator, Tensor

from one_peace.data.collate import collate_masks
from one_peace.data.errors import DataError, SampleError
from one_peace.data.lengths import count_units, length_buckets
from one_peace.data.manifest import Manifest
from one_peace.data.masking import MaskPlan
from one_peace.data.mixing import Mixing
from one_peace.data.sources import Columns, as_sources
from one_peace.data.target import Target
from one_peace.data.threads import in_threads

if TYPE_CHECKING:  # a reader is given to the data set; modalities import this package, not the other way round
    from one_peace.modalities.reader import Reader

MAX_REPLACEMENTS = 10
DRAWN = 16  # rows among which one that fits into the batch is looked for


def stable_hash(*parts: object) -> int:
    """63 bits that depend on the texts of ``parts`` alone: the same in every process and on every machine."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class ManifestDataset(FairseqDataset):
    """Samples of a manifest; everything random in a sample is a function of (seed, epoch, index).

    Nothing raises inside a worker. In training a corrupt sample is replaced by another one, and the batch says so
    (``skipped``); a corrupt sample in validation, and any unexpected error, makes the batch ``{"error": message}``.

    Args:
        manifest: its ``columns`` hold at least those named in ``columns`` and ``target``.
        columns: modality -> name of its column, or a `Source` that makes several inputs of a row.
        readers: modality -> reader.
        mask_plan: masked pass -> modality -> rule. Passes of one modality come before joint ones that refer to them.
        seed: of all randomness.
        train: shuffle, augment, replace corrupt samples; otherwise the order and every value are fixed.
        root: folder that relative media paths start from.
        target: the answer of each sample, if it has one.
        mixing: mixes the samples of training batches.

    Attributes:
        by_length: samples count as their units (tokens, patches, frames) rather than as 1, and training batches hold
            samples of similar length. A task sets it, before the order is asked for, where a batch has a budget.

    Raises:
        ValueError: columns, readers and mask plan do not fit together.
    """

    def __init__(
        self,
        manifest: Manifest,
        columns: Columns,
        readers: Mapping[str, "Reader"],
        mask_plan: MaskPlan | None = None,
        seed: int = 1,
        train: bool = False,
        root: Path | None = None,
        target: Target | None = None,
        mixing: Mixing | None = None,
    ):
        super().__init__()
        self.manifest = manifest
        self.sources = as_sources(columns)
        self.readers = dict(readers)
        self.mask_plan = dict(mask_plan or {})
        self.seed = seed
        self.train = train
        self.root = manifest.path.parent if root is None else Path(root)
        self.target = target
        self.mixing = mixing if train else None
        self.epoch = 1
        self.by_length = False
        self._check()

    def _check(self) -> None:
        wanted = {f"modality {modality!r}": source.columns for modality, source in self.sources.items()}
        wanted |= {"the target": self.target.columns} if self.target else {}
        for what, columns in wanted.items():
            for column in columns:
                if column not in self.manifest.columns:
                    raise ValueError(f"column {column!r} of {what} is not read by the manifest")
        for modality in self.sources:
            if modality not in self.readers:
                raise ValueError(f"no reader for modality {modality!r} (readers: {', '.join(self.readers)})")
        for modalities, rules in self.mask_plan.items():
            for modality, rule in rules.items():
                if modality not in self.sources or modality not in modalities:
                    raise ValueError(f"mask plan of {'+'.join(modalities)}: modality {modality!r} is not read there")
                self.readers[modality].check_strategy(rule.strategy)

    def __len__(self) -> int:
        return len(self.manifest)

    def set_epoch(self, epoch: int) -> None:
        """fairseq's hook: from here on, randomness is that of ``epoch``."""
        self.epoch = epoch

    @property
    def can_reuse_epoch_itr_across_epochs(self) -> bool:
        """Not in training, where every epoch has its own order."""
        return not self.train

    def ordered_indices(self) -> np.ndarray:
        """int64[rows]: shuffled by (seed, epoch) in training, in order otherwise.

        ``by_length`` sorts the shuffled rows by bucket of length; fairseq shuffles the batches it makes of them.
        """
        if not self.train:
            return np.arange(len(self), dtype=np.int64)
        order = np.random.default_rng(stable_hash("order", self.seed, self.epoch)).permutation(len(self))
        if self.by_length:
            order = order[np.argsort(length_buckets(self.units)[order], kind="stable")]
        return order

    @cached_property
    def units(self) -> np.ndarray:
        """int64[rows]: estimates without decoding, see `count_units`; counted when first asked for."""
        return count_units(self.manifest, self.sources, self.readers, self.root)

    def num_tokens(self, index: int) -> int:
        """Units of a sample ``by_length``, else 1: batches are counted in samples (``--batch-size``)."""
        return int(self.units[index]) if self.by_length else 1

    def num_tokens_vec(self, indices: np.ndarray) -> np.ndarray:
        """`num_tokens` of many."""
        return self.units[indices] if self.by_length else np.ones(len(indices), dtype=np.int64)

    def size(self, index: int) -> int:
        """`num_tokens`."""
        return self.num_tokens(index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, or ``{"error": message}``; never raises."""
        index = int(index)
        skipped: list[str] = []
        try:
            generator = Generator().manual_seed(stable_hash(self.seed, self.epoch if self.train else 0, index))
            while True:
                try:
                    return self._sample(index, generator) | {"skipped": skipped}
                except (SampleError, DataError) as error:
                    skipped.append(self._locate(error, index))
                if not self.train:
                    return {"error": skipped[0]}
                if len(skipped) > MAX_REPLACEMENTS:
                    return {"error": f"{len(skipped)} samples drawn in a row cannot be used; the last: {skipped[-1]}"}
                index = self._replacement(index, generator)
        except Exception as error:  # a traceback of a worker would name neither file nor row
            return {"error": self._unexpected(error, f"row {index + 1} (line {index + 2})")}

    def _replacement(self, index: int, generator: Generator) -> int:
        """A row at random; `by_length`, of some the first that is no longer than ``index``, else the shortest."""
        drawn = torch.randint(len(self), (DRAWN if self.by_length else 1,), generator=generator).numpy()
        if not self.by_length:
            return int(drawn[0])
        units = self.units[drawn]
        fits = units <= self.units[index]  # into the batch
        return int(drawn[fits.argmax() if fits.any() else units.argmin()])

    def collater(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Samples -> batch.

        Returns:
            ``{"stand_in": True}`` for none (on a rank whose shard is shorter), ``{"error": message}`` if any sample is
            one, else a dict of

            - ``id``: int64[B], row of the manifest; ``nsentences``: B; ``ntokens``: units without padding
            - ``skipped``: messages of the corrupt samples that were replaced
            - ``item_keys``: {modality: int64[B]}, see `key`
            - ``net_input``: {``inputs``: {modality: what its reader collates}, ``others``: the same for each further
              instance of the modalities that have several, ``masks``: {names of the pass joined by "+": {modality:
              {``mask_indices``, ``keep_ids``}}}}, see `collate_masks`
            - ``target``: {name: tensor} where there is one, what is no whole number in float32; in evaluation also
              ``reference``, the same in float64, which training in half precision does not round
        """
        errors = [sample["error"] for sample in samples if "error" in sample]
        if errors:
            return {"error": errors[0]}
        if not samples:
            return {"stand_in": True}
        try:
            return self._collate(samples)
        except Exception as error:
            rows = ", ".join(str(sample["id"] + 1) for sample in samples)
            return {"error": self._unexpected(error, f"batch of rows {rows}")}

    def _collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        instances = [self._instance(samples, i) for i in range(max(map(len, samples[0]["values"].values())))]
        masks = {
            "+".join(modalities): {
                m: collate_masks([sample["masks"][modalities][m] for sample in samples]) for m in rules
            }
            for modalities, rules in self.mask_plan.items()
        }
        batch = {
            "id": torch.tensor([sample["id"] for sample in samples]),
            "nsentences": len(samples),
            "ntokens": sum(sample["units"] for sample in samples),
            "skipped": [message for sample in samples for message in sample["skipped"]],
            "item_keys": {m: torch.tensor([sample["keys"][m] for sample in samples]) for m in self.sources},
            "net_input": {"inputs": instances[0], "others": instances[1:], "masks": masks},
        }
        return batch if self.target is None else batch | self._collate_targets(samples, instances[0])

    def _instance(self, samples: Sequence[dict[str, Any]], number: int) -> dict[str, dict[str, Tensor]]:
        """The ``number``-th input of each modality that has so many; those of several rows follow one another."""
        return {
            m: self.readers[m].collate([row for sample in samples for row in sample["values"][m][number]])
            for m in self.sources
            if number < len(samples[0]["values"][m])
        }

    def _collate_targets(
        self, samples: Sequence[dict[str, Any]], inputs: dict[str, dict[str, Tensor]]
    ) -> dict[str, dict[str, Tensor]]:
        reference = self.target.collate([sample["target"] for sample in samples])
        target = {name: value.float() if value.is_floating_point() else value for name, value in reference.items()}
        if not self.train:
            return {"target": target, "reference": reference}
        if self.mixing is not None:
            mixed, rows = inputs[self.mixing.modality], [sample["id"] for sample in samples]
            generator = Generator().manual_seed(stable_hash("mixing", self.seed, self.epoch, *rows))
            mixed["values"], target = self.mixing(mixed["values"], target, generator)
        return {"target": target}

    def check_rows(self) -> None:
        """Look at all rows without loading them: their cells, and whether what they name is there.

        Raises:
            DataError: of the first row that cannot be used.
        """

        def problem(index: int) -> str:
            try:
                row = self.cells(index)
                for modality in self.sources:
                    reader = self.readers[modality]
                    self._read(modality, row, None, lambda cell, reader=reader: reader.check(cell, self.root))
                if self.target is not None:
                    self._read_target(row)
            except (SampleError, DataError) as error:
                return self._locate(error, index)
            return ""

        problems = in_threads(problem, range(len(self)), f"check {self.manifest.path.name}", "row")
        if found := next(filter(None, problems), None):
            raise DataError(found)

    def cells(self, index: int) -> dict[str, str]:
        """The cells of a row that the manifest reads, by column."""
        return dict(zip(self.manifest.columns, self.manifest[index], strict=True))

    def key(self, modality: str, row: Mapping[str, str]) -> int:
        """A hash of a row's cells of a modality: equal for what is read as the same."""
        return stable_hash(*(self.readers[modality].key(row[column]) for column in self.sources[modality].columns))

    def _sample(self, index: int, generator: Generator) -> dict[str, Any]:
        row = self.cells(index)
        sample: dict[str, Any] = {"id": index, "units": 0, "values": {}, "keys": {}}
        for modality in self.sources:
            values = self._load(modality, row, generator if self.train else None)
            sample["values"][modality] = values
            sample["units"] += sum(self.readers[modality].num_units(value) for rows in values for value in rows)
            sample["keys"][modality] = self.key(modality, row)
        if self.target is not None:
            sample["target"] = self._read_target(row)
        return sample | {"masks": self._masks(sample["values"], generator)}

    def _read_target(self, row: Mapping[str, str]) -> Any:
        columns = self.target.columns
        return _named(columns, lambda: self.target.read([row[column] for column in columns], self.root))

    def _load(self, modality: str, row: Mapping[str, str], generator: Generator | None) -> list[list[Tensor]]:
        """The values of a modality: instances x rows."""
        reader = self.readers[modality]
        return self._read(modality, row, generator, lambda cell: reader.load(cell, self.root, generator))

    def _read(
        self, modality: str, row: Mapping[str, str], generator: Generator | None, read: Callable[[str], Any]
    ) -> list[list[Any]]:
        """What ``read`` makes of the cells of a modality: instances x rows."""
        source = self.sources[modality]
        cells = _named(source.columns, lambda: source.split([row[c] for c in source.columns], generator))
        # instance i comes from the i-th of several columns
        columns = source.columns if len(source.columns) > 1 else source.columns * len(cells)
        return [
            [_named([column], lambda cell=cell: read(cell)) for cell in rows]
            for column, rows in zip(columns, cells, strict=True)
        ]

    def _masks(
        self, values: Mapping[str, list[list[Tensor]]], generator: Generator
    ) -> dict[tuple[str, ...], dict[str, BoolTensor]]:
        masks: dict[tuple[str, ...], dict[str, BoolTensor]] = {}
        for modalities, rules in self.mask_plan.items():
            masks[modalities] = {
                m: self.readers[m].mask(
                    values[m][0][0], rule.strategy, rule.ratio, generator, previous=masks.get((m,), {}).get(m)
                )
                for m, rule in rules.items()
            }
        return masks

    def _locate(self, error: Exception, index: int) -> str:
        """The message with file and row; a DataError of the manifest has them already."""
        return str(error if isinstance(error, DataError) else DataError(str(error), file=self.manifest.path, row=index))

    def _unexpected(self, error: Exception, where: str) -> str:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"{self.manifest.path}, {where}: {type(error).__name__}: {error} "
            f"(raised at {Path(frame.filename).name}:{frame.lineno} in {frame.name})"
        )


def _named(columns: Sequence[str], read: Callable[[], Any]) -> Any:
    """What ``read`` gives; a `SampleError` of it with the column's name."""
    try:
        return read()
    except SampleError as error:
        raise SampleError(f"column {columns[0]!r}: {error}") from error
