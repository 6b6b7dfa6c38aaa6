"""A tiny fairseq task, model and criterion around this repository's optimizer and schedule, for real training runs.

Environment: ``TOY_LOG`` names a file to which each forward pass appends its learning rates and loss as a JSON line;
at the update ``TOY_STOP_AT`` the process writes ``TOY_LOG.stopped`` and waits to be killed.
"""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.data import FairseqDataset
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from fairseq.models import BaseFairseqModel, register_model
from fairseq.tasks import FairseqTask, register_task
from torch import nn

from one_peace.optim import announce_epoch_batches, tag_parameters

WIDTH, SAMPLES = 4, 22


class ToyDataset(FairseqDataset):
    """Fixed random vectors."""

    def __init__(self):
        self.vectors = torch.randn(SAMPLES, WIDTH, generator=torch.Generator().manual_seed(0))

    def __getitem__(self, index):
        return self.vectors[index]

    def __len__(self):
        return SAMPLES

    def num_tokens(self, index):
        return 1

    size = num_tokens

    def collater(self, samples):
        return {"vectors": torch.stack(samples), "nsentences": len(samples), "ntokens": len(samples)} if samples else {}


class ToyAdapter(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_positions = nn.Embedding(1, WIDTH)

    def forward(self, x_BD):
        return x_BD + self.embed_positions.weight


@dataclass
class ToyModelConfig(FairseqDataclass):
    """No options."""


@register_model("optim_toy", dataclass=ToyModelConfig)
class ToyModel(BaseFairseqModel):
    """Two layers under the released kind of parameter names."""

    def __init__(self):
        super().__init__()
        layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(2)])
        self.encoder_wrapper = nn.ModuleDict(
            {"text_adapter": ToyAdapter(), "fusion_model": nn.ModuleDict({"layers": layers})}
        )
        self.text_proj = nn.Linear(WIDTH, 1)

    @classmethod
    def build_model(cls, cfg, task):
        return cls()

    def forward(self, x_BD):
        x_BD = self.encoder_wrapper["text_adapter"](x_BD)
        for layer in self.encoder_wrapper["fusion_model"]["layers"]:
            x_BD = torch.tanh(layer(x_BD))
        return self.text_proj(x_BD)[:, 0]


@dataclass
class ToyCriterionConfig(FairseqDataclass):
    """No options."""


@register_criterion("optim_toy", dataclass=ToyCriterionConfig)
class ToyCriterion(FairseqCriterion):
    """Squared distance of the output to the length of the input, summed."""

    def forward(self, model, sample, reduce=True):
        x_BD = sample["vectors"]
        loss = (model(x_BD) - x_BD.norm(dim=1)).square().sum()
        log = {"loss": loss.detach(), "sample_size": len(x_BD), "nsentences": len(x_BD), "ntokens": len(x_BD)}
        return loss, len(x_BD), log

    @staticmethod
    def reduce_metrics(logging_outputs):
        size = sum(log["sample_size"] for log in logging_outputs)
        metrics.log_scalar("loss", sum(log["loss"] for log in logging_outputs) / size, size)

    @staticmethod
    def logging_outputs_can_be_summed():
        return True


@dataclass
class ToyTaskConfig(FairseqDataclass):
    """No options."""


@register_task("optim_toy", dataclass=ToyTaskConfig)
class ToyTask(FairseqTask):
    """Does what a task owes the optimizer and the schedule, and keeps a log."""

    def load_dataset(self, split, **kwargs):
        self.datasets[split] = ToyDataset()

    def build_model(self, cfg, from_checkpoint=False):
        model = super().build_model(cfg, from_checkpoint)
        tag_parameters(model.named_parameters())
        return model

    def get_batch_iterator(self, dataset, **kwargs):
        iterator = super().get_batch_iterator(dataset, **kwargs)
        if dataset is self.datasets.get("train"):
            announce_epoch_batches(len(iterator))
        return iterator

    def max_positions(self):
        return None

    @property
    def source_dictionary(self):
        return None

    target_dictionary = source_dictionary

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        if os.environ.get("TOY_STOP_AT") == str(update_num):
            Path(os.environ["TOY_LOG"] + ".stopped").touch()
            signal.pause()
        result = super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)
        lrs = {f"{group['lr_scale']:.3f}": group["lr"] for group in optimizer.param_groups}
        with Path(os.environ["TOY_LOG"]).open("a") as log:
            log.write(json.dumps({"update": update_num, "lrs": lrs, "loss": result[0].item()}) + "\n")
        return result
