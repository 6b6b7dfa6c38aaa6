"""Official download -> manifests -> fine-tuning -> evaluation, with SMOKE=1 and nothing played."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import run
from tests.data.prepare.official import write_classes, write_coco, write_fsd50k
from tests.run_scripts.conftest import SCRIPTS
from tests.small_data import train_vocabulary

ENVIRONMENT = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "SMOKE": "1", "BPE": "bpe"}


@pytest.fixture
def script(tmp_path):
    """``script("vqa/finetune.sh", "a=b", DATA="data")``: runs it and returns what it prints."""

    def script(name: str, *arguments: str, **variables: str) -> str:
        return run("bash", SCRIPTS / name, *arguments, cwd=tmp_path, **ENVIRONMENT, **variables)

    return script


def test_retrieval_and_classes_without_training(script, tmp_path):
    write_coco(tmp_path / "coco")
    write_classes(tmp_path / "folder")
    train_vocabulary(tmp_path / "bpe")
    download = ["--karpathy", "coco/dataset_coco.json", "--images", "coco/images"]
    script("coco_retrieval/prepare.sh", *download, "--out", "data")
    script("coco_retrieval/finetune.sh", "task.patch_image_size=64", DATA="data")
    script("coco_retrieval/evaluate.sh", DATA="data", SPLITS="test")
    results = tmp_path / "outputs/smoke/coco_retrieval/results"
    metrics = json.loads((results / "test_metrics.json").read_text())
    assert {"txt_r1", "txt_r10", "img_r1", "r_mean"} <= metrics.keys()
    predictions = [line.split("\t") for line in (results / "test_predictions.tsv").read_text().splitlines()]
    assert len(predictions) == 1 + 2 + 2 * 5, "two pictures, each with five captions"

    script("zero_shot/prepare.sh", "--folder", "folder", "--out", "classes")
    checkpoint = "outputs/smoke/coco_retrieval/checkpoint_best.pt"
    script("zero_shot/evaluate.sh", DATA="classes", CHECKPOINT=checkpoint, RESULTS="zero_shot")
    assert json.loads((tmp_path / "zero_shot/test_metrics.json").read_text()).keys() == {"accuracy"}


def test_classes_with_two_processes(script, tmp_path):
    write_fsd50k(tmp_path / "fsd50k")
    script("fsd50k/prepare.sh", "--fsd50k", "fsd50k", "--out", "data")
    given = {"CPU": "1", "RANKS": "2", "INIT": f"file://{tmp_path}/meet", "DATA": "data"}
    command = ["bash", str(SCRIPTS / "fsd50k/finetune.sh"), "dataset.batch_size=2"]
    processes = [
        subprocess.Popen(command, cwd=tmp_path, env=os.environ | ENVIRONMENT | given | {"RANK": rank})
        for rank in ("0", "1")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    script("fsd50k/evaluate.sh", **given, RANK="0")
    for split in ("valid", "test"):
        results = tmp_path / "outputs/smoke/fsd50k/results"
        assert 0 < json.loads((results / f"{split}_metrics.json").read_text())["map"] <= 100
        header, *rows = (results / f"{split}_predictions.tsv").read_text().splitlines()
        assert len(rows) == 4 and header.split("\t")[2:] == (tmp_path / "data/labels.txt").read_text().split()
