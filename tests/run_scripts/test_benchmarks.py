"""The scripts of the benchmarks: help, commands, recipes; the programs they start are played."""

from pathlib import Path

import pytest

from tests.run_scripts.conftest import SCRIPTS, calls, composed

GIVEN = {"DATA": "data", "BPE": "bpe", "PRETRAINED": "one-peace.pt"}
EVALUATED_WITH = {"BPE": "bpe", "CHECKPOINT": "one-peace.pt"}
FINETUNED = sorted(path.parent.name for path in SCRIPTS.glob("*/finetune.sh"))
EVALUATED = sorted(path.parent.name for path in SCRIPTS.glob("*/evaluate.sh"))
PREPARED = sorted(path.parent.name for path in SCRIPTS.glob("*/prepare.sh"))
SOUND_ONLY = {"fsd50k", "vggsound"}
WITHOUT_TEXT = SOUND_ONLY | {"imagenet"}
SPLITS = ("valid", "test", "test_dev", "testA", "testB", "audiocaps_test", "clotho_test")

# docs/benchmarks.md: epochs, lr, layer decay, drop path; batch, accumulation; what the pictures or sounds are cut to
RECIPES = {
    "coco_retrieval": (15, 8e-5, 0.9, 0.5, 2, 1, {"patch_image_size": 256}, "txt_r1"),
    "flickr30k_retrieval": (20, 7e-5, 0.9, 0.4, 2, 1, {"patch_image_size": 256}, "txt_r1"),
    "audiocaps_clotho_retrieval": (10, 1.5e-4, 0.95, 0.9, 2, 1, {"max_duration": 20}, "txt_r1"),
    "fsd50k": (10, 1e-4, 0.9, 0.5, 8, 2, {"max_duration": 15}, "map"),
    "vggsound": (10, 8e-5, 0.95, 0.6, 8, 8, {"max_duration": 15}, "accuracy"),
    "avqa": (10, 7e-5, 0.9, 0.5, 1, 16, {"max_duration": 15}, "accuracy"),
    "vqa": (10, 3e-4, 0.85, 0.5, 8, 8, {"patch_image_size": 256}, "vqa_score"),
    "nlvr2": (25, 1e-4, 0.9, 0.4, 8, 2, {"patch_image_size": 256}, "accuracy"),
    "refcoco": (30, 1.5e-4, 0.9, 0.4, 4, 8, {"patch_image_size": 384}, "acc_iou50"),
    "imagenet": (15, 5e-5, 0.9, 0.4, 16, 1, {"patch_image_size": 512}, "accuracy"),
    "imagenet 21k": (40, 1e-4, 0.85, 0.4, 16, 1, {"patch_image_size": 256}, "accuracy"),
    "refcocog": (30, 1.5e-4, 0.9, 0.4, 4, 8, {"patch_image_size": 384}, "acc_iou50"),
}
VARIANTS = {
    "imagenet 21k": ("imagenet", {"RECIPE": "finetune_21k"}),
    "refcocog": ("refcoco", {"DATASET": "refcocog"}),
}
NAMES = {  # task, criterion, model
    "coco_retrieval": ("image_text_retrieval", "image_text_retrieval_criterion", "one_peace_retrieval"),
    "flickr30k_retrieval": ("image_text_retrieval", "image_text_retrieval_criterion", "one_peace_retrieval"),
    "audiocaps_clotho_retrieval": ("audio_text_retrieval", "audio_text_retrieval_criterion", "one_peace_retrieval"),
    "fsd50k": ("fsd50k", "classify_criterion", "one_peace_classify"),
    "vggsound": ("vggsound", "classify_criterion", "one_peace_classify"),
    "avqa": ("aqa", "hinge_loss", "one_peace_classify"),
    "vqa": ("vqa", "classify_criterion", "one_peace_classify"),
    "nlvr2": ("nlvr2", "classify_criterion", "one_peace_classify"),
    "refcoco": ("refcoco", "refcoco_criterion", "one_peace_classify"),
    "imagenet": ("image_classify", "classify_criterion", "one_peace_classify"),
}


def config_of(start, recipe: str, *arguments: str, **variables: str):
    """The config of a recipe as fairseq-hydra-train would see it."""
    benchmark, variant = VARIANTS.get(recipe, (recipe, {}))
    status, output = start(f"{benchmark}/finetune.sh", *arguments, **{**GIVEN, **variant, **variables})
    assert status == 0, output
    return composed(calls(output)[0])


def flags_of(call: list[str]) -> dict[str, str]:
    """The flags of a call of fairseq-validate that have a value."""
    flags = {}
    for flag, value in zip(call, [*call[1:], ""], strict=True):
        if flag.startswith("--"):
            assert flag not in flags, f"{flag} twice"
            flags[flag] = value
    return flags


@pytest.fixture
def data(tmp_path) -> Path:
    """A folder with every split and labels."""
    for name in (*(f"{split}.tsv" for split in SPLITS), "labels.txt"):
        (tmp_path / name).touch()
    return tmp_path


def test_every_benchmark_is_here():
    assert set(FINETUNED) == set(NAMES)
    assert set(EVALUATED) == set(PREPARED) == set(NAMES) | {"esc50", "zero_shot"}


@pytest.mark.parametrize("benchmark", FINETUNED)
def test_help_of_finetune(start, benchmark):
    status, output = start(f"{benchmark}/finetune.sh", "--help")
    assert status == 0 and f"outputs/{benchmark}" in output
    variables = {"DATA", "PRETRAINED", "OUT", "SIZE", "BF16", "SMOKE", "CPU", "RANKS", "NODES", "NODE_RANK"}
    assert all(name in output for name in variables)
    assert ("BPE" in output) == (benchmark not in WITHOUT_TEXT)


@pytest.mark.parametrize("benchmark", EVALUATED)
def test_help_of_evaluate(start, benchmark):
    status, output = start(f"{benchmark}/evaluate.sh", "--help")
    assert status == 0
    assert all(name in output for name in ("DATA", "CHECKPOINT", "RESULTS", "SPLITS", "BATCH", "GPUS", "CPU", "RANKS"))


@pytest.mark.parametrize("benchmark", PREPARED)
def test_prepare_calls_the_module(start, benchmark):
    _, output = start(f"{benchmark}/prepare.sh", "--help", "--out", "a b")
    module = "labelled_folder" if benchmark == "zero_shot" else benchmark
    assert calls(output) == [["python", "-m", f"one_peace.data.prepare.{module}", "--help", "--out", "a b"]]
    assert (SCRIPTS.parent / f"data/prepare/{module}.py").is_file()


@pytest.mark.parametrize("benchmark", FINETUNED)
@pytest.mark.parametrize("variable", ["DATA", "BPE", "PRETRAINED"])
def test_missing_variable_of_finetune(start, benchmark, variable):
    given = {name: value for name, value in GIVEN.items() if name != variable}
    status, output = start(f"{benchmark}/finetune.sh", **given)
    if variable == "BPE" and benchmark in WITHOUT_TEXT:
        assert status == 0
    else:
        assert status == 2 and output.startswith(f"{variable} is not set")


@pytest.mark.parametrize(
    ("script", "variable", "message"),
    [
        ("vqa/finetune.sh", "DATA", "DATA is gone, but there is no such folder"),
        ("vqa/finetune.sh", "BPE", "BPE is gone, but that is no folder with a vocabulary (dict.txt)"),
        ("vqa/finetune.sh", "PRETRAINED", "PRETRAINED is gone, but there is no such file"),
        ("vqa/finetune.sh", "SIZE", "SIZE is gone, expected one of: tiny small base large 4b"),
        ("vqa/evaluate.sh", "CHECKPOINT", "CHECKPOINT is gone, but there is no such file"),
        ("refcoco/evaluate.sh", "DATASET", "DATASET is gone, expected one of: refcoco refcoco+ refcocog"),
        ("pretrain/stage2.sh", "STAGE1", "STAGE1 is gone, but there is no such file"),
    ],
)
def test_what_is_not_there_is_said_at_once(start, script, variable, message):
    given = {**GIVEN, "CHECKPOINT": "one-peace.pt", "STAGE1": "one-peace.pt", variable: "gone"}
    assert start(script, **given) == (2, message + "\n")


def test_without_the_environment(start, tmp_path):
    for program in ("fairseq-hydra-train", "fairseq-validate"):
        (tmp_path / "programs" / program).unlink()
    path = f"{tmp_path / 'programs'}:/usr/bin:/bin"
    assert "there is no fairseq-hydra-train: activate" in start("vqa/finetune.sh", **GIVEN, PATH=path)[1]
    assert (
        "there is no fairseq-validate: activate"
        in start("vqa/evaluate.sh", DATA="data", **EVALUATED_WITH, PATH=path)[1]
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_of_the_release(start, recipe):
    epochs, lr, layer_decay, drop_path, batch, accumulation, task, metric = RECIPES[recipe]
    config = config_of(start, recipe)
    assert (config.optimization.max_epoch, list(config.optimization.lr)) == (epochs, [lr])
    assert (config.optimizer.layer_decay, config.model.encoder.drop_path_rate) == (layer_decay, drop_path)
    assert (config.dataset.batch_size, list(config.optimization.update_freq)) == (batch, [accumulation])
    assert {key: config.task[key] for key in task} == task
    if config.dataset.disable_validation:  # ImageNet-21k has no official split to choose by
        assert recipe == "imagenet 21k"
    else:
        assert config.checkpoint.best_checkpoint_metric == metric and config.checkpoint.maximize_best_checkpoint_metric
    assert (config.optimizer._name, config.optimizer.adam_betas) == ("adjust_adam", "(0.9, 0.999)")
    assert (config.optimizer.weight_decay, config.optimization.clip_norm) == (0.05, 0.0)
    assert (config.lr_scheduler._name, config.lr_scheduler.warmup_ratio, config.lr_scheduler.min_lr) == (
        "adjust_cosine",
        0.1,
        1e-6,
    )
    assert config.common.fp16 and config.common.fp16_no_flatten_grads and config.model.size == "4b"
    names = NAMES[VARIANTS.get(recipe, (recipe,))[0]]
    assert (config.task._name, config.criterion._name, config.model._name) == names


def test_documentation_says_the_same():
    table = (SCRIPTS.parent / "docs/benchmarks.md").read_text().replace(", 21k classes", " 21k").replace("`", "")
    rows = {cells[0].removesuffix(", 1k classes"): cells[1:] for cells in map(_cells, table.splitlines()) if cells}
    for recipe in RECIPES.keys() - {"refcocog"}:
        epochs, lr, layer_decay, drop_path, batch, accumulation, _, metric = RECIPES[recipe]
        task, schedule, decay, size, _, metrics, _ = rows[recipe]
        assert [float(number) for number in schedule.split(", ")] == [epochs, lr]
        assert [float(number) for number in decay.split(", ")] == [layer_decay, drop_path]
        assert size == (f"{batch} x {accumulation}" if accumulation > 1 else str(batch))
        assert task == NAMES[recipe.partition(" ")[0]][0]
        assert metric in metrics or metrics == "the same"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")] if line.count("|") == 9 else []


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("coco_retrieval", {"model.copy_rel_pos_table": True, "optimization.skip_remainder_batch": True}),
        ("coco_retrieval", {"task.candidates": "data/valid.json"}),
        ("audiocaps_clotho_retrieval", {"task.candidates": "data/valid.json", "model.copy_rel_pos_table": True}),
        ("fsd50k", {"criterion.use_multi_label": True}),
        ("vggsound", {"dataset.valid_subset": "test"}),
        ("avqa", {"criterion.num_choices": 4}),
        ("vqa", {"criterion.use_multi_label": True, "model.use_pooler": True, "task.ans2label": "data/ans2label.json"}),
        ("nlvr2", {"model.encoder.image_adapter.add_type_embedding": True}),
        ("nlvr2", {"model.encoder.text_adapter.add_type_embedding": True}),
        ("refcoco", {"model.use_image_features": True}),
        ("refcocog", {"model.use_image_features": False}),
        ("imagenet", {"criterion.label_smoothing": 0.3}),
        (
            "imagenet",
            {"task.mixup_alpha": 0.8, "task.cutmix_alpha": 1.0, "task.rand_augment": 9, "task.erase_prob": 0.25},
        ),
    ],
)
def test_what_else_a_recipe_says(start, recipe, settings):
    config = config_of(start, recipe)
    for key, value in settings.items():
        group, *rest = key.split(".")
        found = config[group]
        for part in rest:
            found = found[part]
        assert found == value, key


def test_variables_and_overrides_reach_the_config(start, tmp_path):
    (tmp_path / "my data").mkdir()
    config = config_of(
        start, "vqa", "dataset.batch_size=3", DATA="my data", PRETRAINED="it's.pt", OUT="o", BF16="1", SIZE="base"
    )
    assert (config.task.data, config.task.bpe_dir) == ("my data", "bpe")
    assert (config.checkpoint.finetune_from_model, config.checkpoint.save_dir) == ("it's.pt", "o")
    assert (config.common.fp16, config.common.bf16, config.model.size) == (False, True, "base")
    assert config.dataset.batch_size == 3
    assert Path(config.common.user_dir).samefile(SCRIPTS.parent / "user_module")


def test_smoke_needs_no_checkpoint(start):
    assert config_of(start, "coco_retrieval", PRETRAINED="none").checkpoint.finetune_from_model is None
    for exported in ("", GIVEN["PRETRAINED"]):
        config = config_of(start, "coco_retrieval", PRETRAINED=exported, SMOKE="1")
        assert (config.model.size, config.optimization.max_update) == ("tiny", 2)
        assert not config.common.fp16 and not config.optimization.skip_remainder_batch
        assert config.checkpoint.finetune_from_model is None


def test_smoke_leaves_the_folders_of_real_runs_alone(start, data, tmp_path):
    assert config_of(start, "vqa", SMOKE="1").checkpoint.save_dir == "outputs/smoke/vqa"
    assert config_of(start, "vqa", SMOKE="1", OUT="o").checkpoint.save_dir == "o"
    assert config_of(start, "vqa").checkpoint.save_dir == "outputs/vqa"
    for benchmark in ("vqa", "imagenet"):
        path = tmp_path / f"outputs/smoke/{benchmark}/checkpoint_best.pt"
        path.parent.mkdir(parents=True)
        path.touch()
        for given in ({}, {"CHECKPOINT": "it's.pt"}):
            _, output = start(f"{benchmark}/evaluate.sh", DATA=str(data), BPE="bpe", SMOKE="1", **given)
            for call in calls(output):
                flags = flags_of(call)
                assert flags["--path"] == given.get("CHECKPOINT", str(path.relative_to(tmp_path)))
                assert flags["--results-dir"].startswith(f"outputs/smoke/{benchmark}/results")


@pytest.mark.parametrize("benchmark", ["vggsound", "imagenet"])
def test_labels_are_named_where_there_are_some(start, benchmark, data):
    given = {"DATA": str(data), "CHECKPOINT": "it's.pt"}
    for call in calls(start(f"{benchmark}/evaluate.sh", **given)[1]):
        assert flags_of(call)["--label-file"] == str(data / "labels.txt")
    (data / "labels.txt").unlink()
    called = calls(start(f"{benchmark}/evaluate.sh", **given)[1])
    assert called and all("--label-file" not in call for call in called)


@pytest.mark.parametrize(("benchmark", "variable"), [("refcoco", "DATASET"), ("imagenet", "RECIPE")])
def test_unknown_variant(start, benchmark, variable):
    status, output = start(f"{benchmark}/finetune.sh", **GIVEN, **{variable: "mine"})
    assert status == 2 and output.startswith(f"{variable} is mine, expected one of: ")


@pytest.mark.parametrize("benchmark", sorted(NAMES))
def test_evaluate(start, benchmark, data):
    status, output = start(f"{benchmark}/evaluate.sh", DATA=str(data), BPE="bpe", CHECKPOINT="it's.pt", RESULTS="r")
    assert status == 0, output
    assert calls(output)
    for call in calls(output):
        flags = flags_of(call)
        assert call[:2] == ["fairseq-validate", str(data)]
        assert Path(flags.pop("--user-dir")).samefile(SCRIPTS.parent / "user_module")
        splits = flags.pop("--valid-subset")
        assert all((data / f"{split}.tsv").is_file() for split in splits.split(","))
        expected = {
            "--task": NAMES[benchmark][0],
            "--path": "it's.pt",
            "--results-dir": "r",
            "--batch-size": "16",
            "--num-workers": "4",
        }
        if benchmark not in WITHOUT_TEXT:
            expected["--bpe-dir"] = "bpe"
        if "retrieval" in benchmark:
            expected["--candidates"] = f"{data}/{splits}.json"
        if benchmark == "vqa":
            expected["--ans2label"] = f"{data}/ans2label.json"
        if benchmark in ("vggsound", "imagenet"):
            expected["--label-file"] = f"{data}/labels.txt"
        if benchmark == "imagenet":
            size = flags["--patch-image-size"]
            expected |= {"--patch-image-size": size, "--results-dir": f"r/{size}"}
        assert flags == expected


@pytest.mark.parametrize(
    ("benchmark", "splits"),
    [
        ("coco_retrieval", ["valid", "test"]),
        ("audiocaps_clotho_retrieval", ["audiocaps_test", "clotho_test"]),
        ("vqa", ["valid", "test_dev", "test"]),
        ("refcoco", ["valid", "testA", "testB", "test"]),
        ("imagenet", ["valid"] * 3),
    ],
)
def test_evaluate_takes_the_splits_that_are_there(start, benchmark, splits, data):
    def found(**variables: str) -> list[str]:
        _, output = start(f"{benchmark}/evaluate.sh", DATA=str(data), **EVALUATED_WITH, **variables)
        return [split for call in calls(output) for split in flags_of(call)["--valid-subset"].split(",")]

    assert found() == splits
    assert set(found(SPLITS="mine")) == {"mine"}
    (data / f"{splits[0]}.tsv").unlink()
    assert found() == [split for split in splits if split != splits[0]]


def test_evaluate_takes_flags(start, data):
    variables = {**EVALUATED_WITH, "DATA": str(data), "SPLITS": "test", "GPUS": "4"}
    (call,) = calls(start("vqa/evaluate.sh", "--max-src-length", "30", **variables)[1])
    assert call[:4] == ["torchrun", "--standalone", "--nproc-per-node", "4"] and call[4].endswith("/fairseq-validate")
    assert call[-6:-2] == ["--max-src-length", "30", "--distributed-world-size", "4"]


def test_evaluate_as_one_of_several_processes(start, data):
    variables = {
        **EVALUATED_WITH,
        "RANKS": "2",
        "RANK": "1",
        "INIT": "tcp://first:1",
        "LOCAL_RANK": "1",
        "DATA": str(data),
    }
    (call,) = calls(start("vggsound/evaluate.sh", **variables)[1])
    end = (
        "--distributed-world-size 2 --distributed-rank 1 --distributed-init-method tcp://first:1 --distributed-no-spawn"
    )
    assert call[-11:-2] == [*end.split(" "), "--device-id", "1"]


def test_without_gpus_one_process_evaluates_alone(start, data):
    variables = {**EVALUATED_WITH, "RANKS": "2", "INIT": "tcp://first:1", "CPU": "1", "DATA": str(data)}
    (call,) = calls(start("vggsound/evaluate.sh", **variables, RANK="0")[1])
    assert call[-1] == "--cpu" and "--distributed-world-size" not in call
    assert start("vggsound/evaluate.sh", **variables, RANK="1") == (0, "")


def test_evaluate_without_data(start, tmp_path):
    status, output = start("vqa/evaluate.sh", **EVALUATED_WITH)
    assert status == 2 and output.startswith("DATA is not set")
    (tmp_path / "empty").mkdir()
    status, output = start("vqa/evaluate.sh", DATA="empty", **EVALUATED_WITH)
    assert status == 2 and output == "empty has none of valid test_dev test: run prepare.sh\n"


def test_a_failing_split_is_a_failure(start, data, tmp_path):
    failing = tmp_path / "programs/fairseq-validate"
    failing.write_text("#!/usr/bin/env bash\nexit 3\n")
    assert start("vqa/evaluate.sh", DATA=str(data), **EVALUATED_WITH)[0] == 3


def test_esc50_is_zero_shot_with_the_prompt_of_the_release(start, data):
    (call,) = calls(start("esc50/evaluate.sh", DATA=str(data), **EVALUATED_WITH)[1])
    expected = {
        "--task": "zero_shot_classify",
        "--results-dir": "outputs/esc50/results",
        "--modalities": "text,audio",
        "--selected-cols": "uniq_id,audio,label",
        "--labels": f"{data}/labels.txt",
        "--prompts": "This is a sound of {label}",
        "--valid-subset": "test",
    }
    assert expected.items() <= flags_of(call).items()


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_zero_shot_has_prompts_for_pictures_and_sounds(start, data, modality):
    (call,) = calls(start("zero_shot/evaluate.sh", DATA=str(data), **EVALUATED_WITH, MODALITY=modality)[1])
    flags = flags_of(call)
    prompts = Path(flags["--prompts"]).read_text().splitlines()
    assert len(prompts) >= 5 and all(prompt.count("{label}") == 1 for prompt in prompts)
    assert flags["--modalities"] == f"text,{modality}" and modality in flags["--selected-cols"]
    assert start("zero_shot/evaluate.sh", DATA="data", **EVALUATED_WITH, MODALITY="smell")[0] == 2
