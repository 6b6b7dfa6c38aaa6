"""The chain of commands behind the demo: what is reused, what is run again, what a failure shows."""

import json
import os
import re
import sys

import pytest

from one_peace.examples.steps import Step, StepFailed, read_progress, run_steps
from one_peace.examples.world import demo


def _step(name, out, text="x"):
    """Appends `text` to out/<name>, so that the file counts the runs."""
    code = f"open({str(out / name)!r}, 'a').write({text!r}); print(' ' + str(50) + '%|##')"
    return Step(name, [sys.executable, "-c", code], [out / name], 1.0)


def _run(out, *steps, **options):
    run_steps(steps, out, os.environ, **options)


def test_done_steps_are_reused_and_changed_ones_run_again_with_all_that_follow(tmp_path):
    a, b = _step("a", tmp_path), _step("b", tmp_path)
    _run(tmp_path, a, b)
    _run(tmp_path, a, b)
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "x"
    _run(tmp_path, _step("a", tmp_path, "y"), b)
    assert (tmp_path / "a").read_text() == "y", "the old output had to go first"
    log = (tmp_path / "logs" / "b.log").read_text()
    assert (tmp_path / "b").read_text() == "x" and "status 0" in log and "50%" not in log
    (tmp_path / "b").unlink()
    _run(tmp_path, _step("a", tmp_path, "y"), b)
    assert (tmp_path / "a").read_text() == "y" and (tmp_path / "b").read_text() == "x"


def test_fresh_starts_over(tmp_path):
    (tmp_path / "mine").write_text("keep")
    _run(tmp_path, _step("a", tmp_path))
    (tmp_path / "a").write_text("tampered")
    _run(tmp_path, _step("a", tmp_path), fresh=True)
    assert (tmp_path / "a").read_text() == "x" and (tmp_path / "mine").read_text() == "keep"


def test_a_failure_shows_the_end_of_the_log_and_is_tried_again(tmp_path):
    code = f"open({str(tmp_path / 'tries')!r}, 'a').write('x'); raise SystemExit('no luck')"
    broken = Step("broken", [sys.executable, "-c", code], [tmp_path / "never"], 1.0)
    for _ in range(2):
        with pytest.raises(StepFailed, match="no luck"):
            _run(tmp_path, broken)
    assert (tmp_path / "tries").read_text() == "xx"


def test_a_cut_off_step_finds_what_it_left(tmp_path):
    """fairseq-train resumes: outputs stay when the command is the same."""
    step = _step("a", tmp_path)
    (tmp_path / ".steps").mkdir()
    _run(tmp_path, step)
    marker = tmp_path / ".steps" / "a.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "done": False}))
    _run(tmp_path, step)
    assert (tmp_path / "a").read_text() == "xx"


@pytest.mark.parametrize(
    "line, updates, share",
    [
        ('2024-01-01 | INFO | train_inner | {"epoch": 1, "loss": "2.5", "num_updates": "30"}', 120, 0.25),
        ('2024-01-01 | INFO | train | {"epoch": 1, "train_num_updates": "30"}', 120, None),
        ("world:  40%|####      | 1/2", None, 0.4),
        ("world:  40%|####      | 1/2", 100, None),
        ("40 % of it | done", None, None),
    ],
)
def test_progress_lines(line, updates, share):
    assert read_progress(line, updates)[0] == share


def test_demo_commands_depend_on_each_other(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(demo, "run_steps", lambda steps, *_, **__: seen.extend(steps))
    (tmp_path / "report.md").write_text("")
    assert demo.main(["--out", str(tmp_path), "--updates", "8", "12"]) == 0
    names = [step.name for step in seen]
    assert names == ["world", "tokenizer", "stage1", "stage2", "merge", "report"]
    flat = {step.name: " ".join(map(str, step.command)) for step in seen}
    assert (
        str(tmp_path / "stage1" / "checkpoint_best.pt") in flat["stage2"]
        and str(tmp_path / "one_peace.pt") in flat["report"]
    )
    assert {step.name: step.updates for step in seen if step.updates} == {"stage1": 8, "stage2": 12}
    assert not re.search(r"\{\w+\}", "".join(flat.values())), "a placeholder was left in a command"


def test_demo_rejects_nonsense(tmp_path):
    with pytest.raises(SystemExit):
        demo.main(["--out", str(tmp_path), "--updates", "0", "5"])
