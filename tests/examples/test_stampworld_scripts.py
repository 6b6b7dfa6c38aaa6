"""Stampworld's three scripts: what they say, what they refuse, what they run."""

import subprocess
from pathlib import Path

import pytest

from one_peace.examples.stampworld import build


@pytest.mark.parametrize("script", ["prepare.sh", "train.sh", "evaluate.sh"])
def test_scripts_explain_themselves_from_anywhere(script, tmp_path):
    path = Path(build.__file__).with_name(script)
    answer = subprocess.run(["bash", path, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("Usage: ") and "outputs/stampworld" in answer.stdout


def test_prepare_joins_the_three_refcocos_and_picks_backgrounds(tmp_path):
    python = tmp_path / "python"  # in place of every preparation: two rows, of which one is about a background
    python.write_text(
        """#!/bin/bash
        for word; do [ "$before" != --out ] || out=$word; before=$word; done
        [ -n "$out" ] || exit 0
        mkdir -p "$out"
        printf 'id\\ttext\\n1\\ta red background\\n2\\ta bird\\n' > "$out/train.tsv"\n"""
    )
    python.chmod(0o755)
    environment = {"PYTHON": str(python), "OUT": str(tmp_path / "out"), "PATH": "/usr/bin:/bin"}
    path = Path(build.__file__).with_name("prepare.sh")
    subprocess.run(["bash", path], env=environment, check=True, capture_output=True)
    manifests = tmp_path / "out/manifests"
    assert (manifests / "refcoco/all_three.tsv").read_text() == "id\ttext\n" + 3 * "1\ta red background\n2\ta bird\n"
    assert (manifests / "nlvr2/backgrounds.tsv").read_text() == "id\ttext\n1\ta red background\n"


def test_training_needs_manifests(tmp_path):
    path = Path(build.__file__).with_name("train.sh")
    answer = subprocess.run(
        ["bash", path], env={"OUT": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert answer.returncode == 1 and "run prepare.sh first" in answer.stderr


@pytest.fixture
def prepared(tmp_path):
    """What prepare.sh leaves, as far as the scripts look at it."""
    out = tmp_path / "out"
    manifests = [f"manifests/{name}" for name in ("avqa/train.tsv", "refcoco+/testA.tsv", "coco_retrieval/train.tsv")]
    manifests += [f"manifests/{name}/train.tsv" for name in ("stage2", "vqa", "nlvr2", "refcoco", "vggsound")]
    for file in (*manifests, "data/bpe/dict.txt", "checkpoints/refcoco/checkpoint_best.pt"):
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        (out / file).touch()
    return out


@pytest.mark.parametrize(("script", "name"), [("train.sh", "refcoco+"), ("train.sh", "esc50"), ("evaluate.sh", "coco")])
def test_only_the_benchmarks_that_are_listed_run(script, name, prepared):
    path = Path(build.__file__).with_name(script)
    environment = {"OUT": str(prepared), "PATH": "/usr/bin:/bin", "CPU": "1"}
    answer = subprocess.run(["bash", path, name], env=environment, capture_output=True, text=True)
    assert answer.returncode == 2 and answer.stderr.startswith(f"{name} is none of: coco_retrieval refcoco ")


def test_one_model_is_evaluated_on_all_three_refcocos(prepared, tmp_path):
    tools, calls = tmp_path / "bin", tmp_path / "calls"
    tools.mkdir()
    (tools / "fairseq-validate").write_text('#!/bin/bash\necho "$@" > "$CALLS"\n')
    (tools / "python").write_text("#!/bin/bash\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    environment = {"PYTHON": tools / "python", "OUT": prepared, "CALLS": calls, "PATH": "/usr/bin:/bin", "CPU": "1"}
    path = Path(build.__file__).with_name("evaluate.sh")
    subprocess.run(["bash", path, "refcoco+"], env=environment, check=True, capture_output=True)
    call = calls.read_text()
    assert f"{prepared}/manifests/refcoco+ " in call and "--valid-subset testA " in call
    assert f"--path {prepared}/checkpoints/refcoco/checkpoint_best.pt" in call
    assert f"--results-dir {prepared}/checkpoints/refcoco+/results" in call


def test_pretraining_is_what_the_benchmarks_need_and_done_once(prepared, tmp_path):
    out, mine = prepared, tmp_path / "mine.pt"
    mine.touch()
    tools, calls, broken = (tmp_path / name for name in ("bin", "calls", "calls.broken"))
    tools.mkdir()
    # a training that writes down what it starts from, or else where it saves, and fails while `broken` is there
    (tools / "fairseq-hydra-train").write_text(
        "#!/bin/bash\n"
        """for word; do case $word in
        checkpoint.save_dir=*) folder=${word#*=} ;;
        checkpoint.finetune_from_model=*) start=${word#*=} ;;
        esac; done
        mkdir -p "$folder" && touch "$folder/checkpoint_best.pt" && echo "$@" > "$folder/command"
        basename "${start:-$folder}" >> "$CALLS"
        [ ! -e "$CALLS.broken" ]\n"""
    )
    (tools / "python").write_text('#!/bin/bash\n[[ $* != *merge* ]] || touch "${@: -1}"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)

    def train(*benchmarks: str, **variables: str) -> list[str]:
        calls.write_text("")
        environment = {"PYTHON": tools / "python", "OUT": out, "CALLS": calls, "PATH": "/usr/bin:/bin", "CPU": "1"}
        path = Path(build.__file__).with_name("train.sh")
        run = subprocess.run(
            ["bash", path, *benchmarks], env={**environment, **variables}, capture_output=True, text=True
        )
        assert (run.returncode != 0) == broken.exists(), run.stderr
        return calls.read_text().split()

    broken.touch()
    assert train("vqa") == ["stage1"]
    broken.unlink()
    assert train("vqa", "refcoco") == ["stage1", "stage1.pt", "stage1.pt"], "what was interrupted goes on"
    assert train("vqa", "vggsound", "avqa") == ["stage1.pt", "stage1.pt", "pretrained.pt", "pretrained.pt"]
    assert train("vggsound") == ["pretrained.pt"]
    assert train("vggsound", PRETRAINED=str(mine)) == ["mine.pt"]
    assert train("vqa", "vggsound", SCRATCH="1") == ["vqa", "vggsound"]
    assert sorted(path.name for path in (out / "scratch").iterdir()) == ["vggsound", "vqa"]
    # nlvr2 is two runs, of which the second goes on from the first
    assert train("nlvr2", "vqa") == ["stage1.pt", "checkpoint_best.pt", "stage1.pt"]
    assert train("nlvr2", "vqa", PRETRAINED=str(mine)) == ["mine.pt", "checkpoint_best.pt", "mine.pt"]
    assert train("nlvr2", SCRATCH="1") == ["nlvr2_backgrounds", "checkpoint_best.pt"]
    first, second = ((out / "scratch" / run / "command").read_text() for run in ("nlvr2_backgrounds", "nlvr2"))
    assert "task.train_manifests=backgrounds.tsv" in first and "backgrounds.tsv" not in second
    assert f"{out}/scratch/nlvr2_backgrounds/checkpoint_best.pt" in second
    assert sorted(path.name for path in (out / "scratch").glob("n*")) == ["nlvr2", "nlvr2_backgrounds"]
