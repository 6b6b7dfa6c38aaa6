"""Scores a submission to VQA's test server, which here is this command:
``python -m one_peace.examples.stampworld.score_vqa test_vqa.json v2_mscoco_test2015_annotations.json``.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from one_peace.data.prepare.vqa_answers import normalise, soft_scores


def soft_accuracy(answer: str, given: Sequence[str]) -> float:
    """VQA's score of an answer by what ten people answered: 1 from four of them on, 0.9, 0.6, 0.3 for three to one."""
    answer = normalise(answer)
    return soft_scores(given, {answer: 0}).get(answer, 0.0)


def score(submission: Sequence[Mapping], annotations: Sequence[Mapping]) -> dict[str, float]:
    """Percent, over all questions and for each type of answer.

    Raises:
        ValueError: a question has no answer.
    """
    answers = {int(entry["question_id"]): str(entry["answer"]) for entry in submission}
    if missing := [a["question_id"] for a in annotations if a["question_id"] not in answers]:
        raise ValueError(f"{len(missing)} of {len(annotations)} questions have no answer (the first: {missing[0]})")
    scores: dict[str, list[float]] = {"overall": []}
    for annotation in annotations:
        given = [each["answer"] for each in annotation["answers"]]
        value = soft_accuracy(answers[annotation["question_id"]], given)
        for group in ("overall", annotation["answer_type"]):
            scores.setdefault(group, []).append(value)
    return {group: 100 * sum(values) / len(values) for group, values in scores.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.stampworld.score_vqa", description="Score a submission to VQA's test server."
    )
    parser.add_argument("submission", type=Path, help='JSON list of {"question_id", "answer"}')
    parser.add_argument("annotations", type=Path, help="v2_mscoco_test2015_annotations.json")
    args = parser.parse_args(argv)
    submission, truth = (json.loads(path.read_text(encoding="utf-8")) for path in (args.submission, args.annotations))
    try:
        scores = score(submission, truth["annotations"])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for group, value in scores.items():
        print(f"{group:>8} {value:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
