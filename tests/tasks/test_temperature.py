"""The temperature in training: reset where a run starts, kept where it goes on, within its bounds in any precision."""

import math

import pytest
import torch
from fairseq.dataclass.configs import FairseqConfig
from fairseq.optim import AMPOptimizer, FP16Optimizer, build_optimizer
from omegaconf import OmegaConf

from one_peace.criterions.contrastive import ImageTextRetrievalCriterion
from one_peace.models.retrieval import MAX_LOGIT_SCALE
from one_peace.optim import AdjustAdamConfig, tag_parameters
from one_peace.optim.param_groups import trained_as
from one_peace.tasks.measured_task import _for_model
from tests.small_data import train_vocabulary, write_pictures
from tests.tasks.in_process import batch_of, make_model, make_task

START = math.log(1 / 0.07)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("temperature")
    write_pictures(folder / "data")
    train_vocabulary(folder / "bpe")
    return make_task("image_text_retrieval", folder / "data", "train", patch_image_size=32)


def training(task, half: bool, **options):
    """A model and its optimizer as the trainer builds them; and the temperature that the optimizer changes."""
    model = make_model("one_peace_retrieval", task, **options)
    tag_parameters(model.named_parameters())
    model = model.bfloat16() if half else model
    cfg = OmegaConf.structured(FairseqConfig())
    cfg.common.bf16 = half
    cfg.optimizer = OmegaConf.structured(AdjustAdamConfig(lr=[0.1]))
    cfg.optimizer._name = "adjust_adam"
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = FP16Optimizer.build_optimizer(cfg, parameters) if half else build_optimizer(cfg.optimizer, parameters)
    return model, optimizer, trained_as(model.logit_scale, optimizer.params)


@pytest.mark.parametrize("half", [False, True])
def test_it_is_reset_at_the_first_update_only(task, half: bool) -> None:
    model, optimizer, trained = training(task, half, reset_logit_scale=True)
    assert (trained is model.logit_scale) is not half
    criterion, sample = ImageTextRetrievalCriterion(task), batch_of(task, range(4), "train")
    for update, expected in ((0, START), (1, 1.5)):
        with torch.no_grad():
            for parameter in {trained, model.logit_scale}:
                parameter.fill_(1.5)
        task.train_step(_for_model(sample, model), model, criterion, optimizer, update)
        assert trained.item() == pytest.approx(expected)
        assert model.logit_scale.item() == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("half", [False, True])
def test_it_stays_within_its_bounds(task, half: bool) -> None:
    model, optimizer, trained = training(task, half)
    for direction, bound in ((-1.0, math.log(MAX_LOGIT_SCALE)), (1.0, 0.0)):
        for _ in range(150):
            optimizer.zero_grad()
            optimizer.backward(direction * model.logit_scale)
            task.optimizer_step(optimizer, model, 1)
        assert trained.item() == pytest.approx(bound)


@pytest.mark.parametrize("half", [False, True])
def test_frozen_it_stays_where_it_was_reset_to(task, half: bool) -> None:
    model, optimizer, trained = training(task, half, reset_logit_scale=True, freeze_logit_scale=True)
    model.logit_scale.fill_(1.0)
    criterion, sample = ImageTextRetrievalCriterion(task), batch_of(task, range(4), "train")
    before = model.text_proj.weight.clone()
    for update in range(2):
        task.train_step(_for_model(sample, model), model, criterion, optimizer, update)
        task.optimizer_step(optimizer, model, update)
    assert trained is model.logit_scale and not trained.requires_grad
    assert trained.item() == pytest.approx(START, rel=1e-2)
    assert not torch.equal(before, model.text_proj.weight)


def test_mixed_precision_inside_the_model_is_refused(task) -> None:
    model, *_ = training(task, False)
    with pytest.raises(ValueError, match="--bf16"):
        task.train_step({}, model, None, AMPOptimizer.__new__(AMPOptimizer), 0)
