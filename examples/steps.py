"""Runs a chain of commands under one progress bar: output goes to log files, finished steps are not run again."""

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

TAIL_LINES = 30


class StepFailed(RuntimeError):
    """A command ended with an error; the message holds the end of its log."""


@dataclass(frozen=True)
class Step:
    """A command, what it leaves behind, and its share of the progress bar.

    `outputs` are this step's alone: they are removed before the step starts with other settings than last time.
    `updates` is how many a fairseq-train run makes; None for other commands (their own tqdm bar is followed).
    """

    name: str
    command: Sequence[str]
    outputs: Sequence[Path]
    share: float
    updates: int | None = None


def run_steps(steps: Sequence[Step], out: Path, environment: Mapping[str, str], fresh: bool = False) -> None:
    """Runs the steps in order; a step done before with the same command and the same steps before it is skipped.

    Writes out/commands.sh, out/logs/<step>.log and the markers out/.steps/<step>.json. A step that was cut off is
    started again over what it left (fairseq-train resumes from its last checkpoint).

    Raises:
        StepFailed: a command returned an error.
    """
    markers = out / ".steps"
    if fresh:
        for path in [markers, *(path for step in steps for path in step.outputs)]:
            _remove(path)
    for folder in (markers, out / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    commands = "\n\n".join(f"# {step.name}\n{shlex.join(step.command)}" for step in steps)
    (out / "commands.sh").write_text(f"#!/bin/sh\nset -e\n{commands}\n", encoding="utf-8")
    key = ""
    layout = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {desc}{postfix}"
    with tqdm(total=sum(step.share for step in steps), bar_format=layout) as bar:
        reached = 0.0
        for step in steps:
            key = hashlib.sha256(json.dumps([key, *step.command]).encode()).hexdigest()
            marker = markers / f"{step.name}.json"
            if not _is_done(step, marker, key):
                bar.set_description_str(step.name)
                _run(step, marker, key, out / "logs" / f"{step.name}.log", environment, bar, reached)
            reached += step.share
            _move(bar, reached)
        bar.set_postfix_str("")
        bar.set_description_str("done")


def _is_done(step: Step, marker: Path, key: str) -> bool:
    """Also settles what may stay: outputs of other settings, and markers that say they are done, go."""
    known = json.loads(marker.read_text()) if marker.is_file() else {}
    if known.get("key") != key:
        for path in step.outputs:
            _remove(path)
        known = {"key": key, "done": False}
        marker.write_text(json.dumps(known))
    return known["done"] and all(path.exists() for path in step.outputs)


def _run(
    step: Step, marker: Path, key: str, log: Path, environment: Mapping[str, str], bar: tqdm, reached: float
) -> None:
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        file.write(shlex.join(step.command) + "\n")
        process = subprocess.Popen(
            step.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True, errors="replace"
        )
        try:
            for line in _lines(process.stdout):
                share, note = read_progress(line, step.updates)
                if share is None or step.updates:  # a tqdm bar's redraws are no log
                    file.write(line + "\n")
                    file.flush()
                if share is not None:
                    _move(bar, reached + share * step.share)
                    bar.set_postfix_str(note)
            status = process.wait()
        finally:
            if process.poll() is None:  # interrupted: do not leave a training run behind
                process.terminate()
                process.wait()
        file.write(f"ended with status {status} after {time.monotonic() - began:.0f} s\n")
    if status:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-TAIL_LINES:])
        raise StepFailed(f"\n{step.name} failed (status {status}). The end of {log}:\n\n{tail}")
    marker.write_text(json.dumps({"key": key, "done": True}))


def _lines(stream: IO[str]) -> Iterator[str]:
    """Lines as they come; a progress bar's carriage returns end a line too (universal newlines)."""
    for line in stream:
        if stripped := line.rstrip():
            yield stripped


def read_progress(line: str, updates: int | None) -> tuple[float | None, str]:
    """What a line of output says: (share of the step done or None, a note for the bar).

    fairseq's json log lines count updates (of `updates` in all); other steps' lines are searched for a tqdm percentage.
    """
    if updates is None:
        found = re.search(r"(\d+)%\|", line)
        return (int(found[1]) / 100, "") if found else (None, "")
    record = re.search(r"\| train_inner \| (\{.*\})", line)
    if not record:
        return None, ""
    values = json.loads(record[1])
    done = int(values["num_updates"])
    return min(1.0, done / updates), f"update {done}/{updates} loss {values.get('loss', '?')}"


def _move(bar: tqdm, position: float) -> None:
    bar.n = position
    bar.refresh()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
