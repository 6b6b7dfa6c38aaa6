"""What all criterions share: fairseq's contract around ``compute``, and how values are logged and reduced."""

import re

from fairseq import metrics
from fairseq.criterions import FairseqCriterion
from torch import Tensor

_CORRECT = re.compile(r"n_?correct$")


class Loss(FairseqCriterion):
    """A criterion whose ``compute`` tasks also call, to have the model's output for metrics over a whole data set."""

    def forward(self, model, sample: dict, reduce: bool = True) -> tuple[Tensor, int, dict]:
        """fairseq's contract: loss, sample size (what the gradient is divided by), values to log."""
        loss, log, _ = self.compute(model, sample)
        return loss, log["sample_size"], log

    def compute(self, model, sample: dict) -> tuple[Tensor, dict, dict]:
        """Loss, values to log, and the model's output."""
        raise NotImplementedError

    @staticmethod
    def log(sample: dict, loss: Tensor, values: dict, sample_size: int = 1) -> dict:
        """fairseq's logging output."""
        counts = {key: sample[key] for key in ("nsentences", "ntokens") if key in sample}
        return {"loss": loss.detach(), "sample_size": sample_size, **counts, **values}

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict]) -> None:
        """Losses and the temperature as means over what they were summed over, counts of right ones as accuracies."""
        total = {key: sum(log.get(key, 0) for log in logging_outputs) for key in logging_outputs[0]}
        sample_size, sentences = total.get("sample_size", 0), total.get("nsentences", 0)
        for key, value in total.items():
            if sample_size and (key == "loss" or key.endswith("_loss") or key == "logit_scale_exp"):
                metrics.log_scalar(key, value / sample_size, sample_size, round=3)
            elif sentences and _CORRECT.search(key):
                # of the batches so far; "accuracy" alone is the name of the task's, over a whole data set
                name = _CORRECT.sub("accuracy", key) if key != "n_correct" else "batch_accuracy"
                metrics.log_scalar(name, 100 * value / sentences, sentences, round=2)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
