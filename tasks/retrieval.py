"""Fine-tuning and evaluation of retrieval, texts by pictures or sounds and the other way round."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import torch
import torch.distributed as dist
from fairseq.tasks import register_task

from one_peace.data.dataset import stable_hash
from one_peace.data.errors import DataError
from one_peace.data.labels import read_candidates
from one_peace.data.sources import Columns

from .manifest_task import ID
from .options import ManifestTaskConfig
from .pair_task import PairTask
from .texts import embed_texts

logger = logging.getLogger(__name__)


@dataclass
class RetrievalTaskConfig(ManifestTaskConfig):
    """Options of retrieval tasks."""

    candidates: Optional[str] = field(
        default=None,
        metadata={
            "help": "JSON {id: [texts]}: validate on these texts instead of those of the rows, which are then one a "
            "picture or sound, known by its id"
        },
    )


class RetrievalTask(PairTask):
    """Pairs of a text and something else. With ``candidates`` a validation has no loss."""

    def __init__(self, cfg: RetrievalTaskConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        self.media = self.modalities[1]
        self.candidates: Mapping[str, list[str]] = read_candidates(Path(cfg.candidates)) if cfg.candidates else {}
        self._texts_are_in = False

    def sources(self, train: bool) -> Columns:
        sources = super().sources(train)
        return {self.media: sources[self.media]} if self.candidates and not train else sources

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs) -> None:
        super().load_dataset(split, epoch, combine, **kwargs)
        dataset = self.datasets[split]
        if not self.candidates or dataset.train:
            return
        path = dataset.manifest.path
        if self.columns[ID] not in dataset.manifest.columns:
            raise DataError(f"no column {self.columns[ID]!r}: candidates are found by it", file=path)
        for row in range(len(dataset)):
            if (id := self.row_id(split, row)) not in self.candidates:
                hint = f"Is {self.cfg.candidates} the file of this split?"
                raise DataError(f"{id!r} has no candidates", file=path, row=row, remedy=hint)

    def begin_epoch(self, epoch: int, model) -> None:
        super().begin_epoch(epoch, model)
        if self.candidates and self.cfg.best_checkpoint_metric == "loss":
            raise ValueError("a validation on candidates has no loss: use --best-checkpoint-metric r_mean, maximized")

    def begin_measuring(self, split: str) -> None:
        super().begin_measuring(split)
        self._texts_are_in = False

    def valid_step(self, sample, model, criterion):
        if self.candidates and not self._texts_are_in:  # also on a rank that has no sample
            self._add_texts(model)
        return super().valid_step(sample, model, criterion)

    def _add_texts(self, model) -> None:
        """Embeds this rank's share of all candidates, each once."""
        self._texts_are_in = True
        texts = list({self._text_key(text): text for texts in self.candidates.values() for text in texts}.values())
        logger.info("embedding %d candidates", len(texts))
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        for batch, embeddings in embed_texts(model, self.readers["text"], texts, rank, world):
            self.meter.add_a(torch.tensor([self._text_key(text) for text in batch]), embeddings)

    def _text_key(self, text: str) -> int:
        return stable_hash(self.readers["text"].key(text))

    def measure(self, sample: dict, model, criterion) -> tuple[torch.Tensor, dict]:
        if not self.candidates:
            return super().measure(sample, model, criterion)
        ids = [self.row_id(self._split, row) for row in sample["id"].tolist()]
        keys = torch.tensor([stable_hash(id) for id in ids])
        self.meter.add_b(keys, model(sample["net_input"]["inputs"])["embeddings"][self.media])
        pairs = [(self._text_key(text), stable_hash(id)) for id in ids for text in self.candidates[id]]
        self.meter.add_pairs(*torch.tensor(pairs).unbind(1))
        return torch.zeros(()), {"sample_size": 1, "nsentences": sample["nsentences"], "ntokens": sample["ntokens"]}

    def item_ids(self) -> dict[str, dict[int, str]]:
        """A candidate is called ``{id}#{its number from 0}``."""
        if not self.candidates:
            return super().item_ids()
        texts: dict[int, str] = {}
        for id, own in self.candidates.items():
            for number, text in enumerate(own):
                texts.setdefault(self._text_key(text), f"{id}#{number}")
        return {"text": texts, self.media: {stable_hash(id): id for id in self.candidates}}


@dataclass
class ImageTextRetrievalConfig(RetrievalTaskConfig):
    """Options of ``image_text_retrieval``."""

    selected_cols: str = field(
        default="image_id,image,caption", metadata={"help": "manifest columns of id, image and text"}
    )


@register_task("image_text_retrieval", dataclass=ImageTextRetrievalConfig)
class ImageTextRetrievalTask(RetrievalTask):
    """COCO, Flickr30K."""

    modalities = ("text", "image")
    column_roles = (ID, "image", "text")


@dataclass
class AudioTextRetrievalConfig(RetrievalTaskConfig):
    """Options of ``audio_text_retrieval``."""

    selected_cols: str = field(
        default="uniq_id,audio,text,duration", metadata={"help": "manifest columns of id, audio and text"}
    )


@register_task("audio_text_retrieval", dataclass=AudioTextRetrievalConfig)
class AudioTextRetrievalTask(RetrievalTask):
    """AudioCaps, Clotho."""

    modalities = ("text", "audio")
    column_roles = (ID, "audio", "text")
