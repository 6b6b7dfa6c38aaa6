"""What tasks over a pair of modalities share: pairs from manifests, the temperature, recall both ways over the set."""

import math

import torch

from one_peace.metrics import RetrievalMeter
from one_peace.metrics.retrieval import RetrievalItems
from one_peace.models.retrieval import clamp_logit_scale
from one_peace.optim.param_groups import trained_as

from .manifest_task import ManifestTask
from .options import ManifestTaskConfig
from .results import Results

METRIC_NAMES = {"text": "txt", "image": "img"}  # the release's prefixes; any other modality goes by its own name
SHOWN_BEST = 10


class PairTask(ManifestTask):
    """Reads pairs; the first modality is the anchor (text in the released tasks)."""

    modalities: tuple[str, str]

    def __init__(self, cfg: ManifestTaskConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        self.meter = RetrievalMeter(*(METRIC_NAMES.get(name, name) for name in self.modalities))

    def begin_epoch(self, epoch: int, model) -> None:
        super().begin_epoch(epoch, model)
        if getattr(model.cfg, "stage2_pretrain", False) and not model.loaded:
            raise ValueError(
                "stage2_pretrain keeps what stage 1 has learnt as it is, and nothing has been loaded: name stage 1's "
                "checkpoint with --finetune-from-model"
            )

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        if update_num == 0 and model.cfg.reset_logit_scale:  # a run that goes on from its own checkpoint has updates
            with torch.no_grad():
                for logit_scale in {model.logit_scale, trained_as(model.logit_scale, optimizer.params)}:
                    logit_scale.fill_(math.log(model.cfg.logit_scale_init))
        return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)

    def optimizer_step(self, optimizer, model, update_num):
        super().optimizer_step(optimizer, model, update_num)
        clamp_logit_scale(trained_as(model.logit_scale, optimizer.params))  # the model only sees a rounded copy

    def measure(self, sample: dict, model, criterion) -> tuple[torch.Tensor, dict]:
        """Loss of the batch; its embeddings go into the recall over the whole set."""
        loss, log, embeddings = criterion.compute(model, sample)
        a, b = self.modalities
        self.meter.add(sample["item_keys"][a], embeddings[a], sample["item_keys"][b], embeddings[b])
        return loss, log

    def write_results(self, results: Results, gathered: RetrievalItems) -> None:
        """``{split}_predictions.tsv``: for each item of either modality the ids of the ten best of the other."""
        ids = self.item_ids()
        keys = [key.tolist() for key in (gathered.key_A, gathered.key_B)]
        rows: list[list[str]] = []
        for i, best in enumerate(self.meter.best(gathered, SHOWN_BEST)):
            own, others = (ids[self.modalities[j]] for j in (i, 1 - i))
            found = dict(zip(keys[i], best.tolist(), strict=True))
            for key in (key for key in own if key in found):
                names = [others[keys[1 - i][place]] for place in found[key]]
                rows.append([self.modalities[i], own[key], *names, *[""] * (SHOWN_BEST - len(names))])
        results.write_predictions(["modality", "id", *(f"best{i + 1}" for i in range(SHOWN_BEST))], rows)

    def item_ids(self) -> dict[str, dict[int, str]]:
        """Per modality what to call an item, by its key: the id of the first row that shows it. In order."""
        dataset, ids = self.datasets[self._split], {name: {} for name in self.modalities}
        for row in range(len(dataset)):
            cells = dataset.cells(row)
            for name in dataset.sources:
                ids[name].setdefault(dataset.key(name, cells), self.row_id(self._split, row))
        return ids
