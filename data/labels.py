"""Names of classes, as files give them."""

import json
from pathlib import Path

from one_peace.data.errors import DataError

_MAX_BYTES = 1 << 28


def read_labels(path: Path) -> list[str]:
    """The names of classes 0, 1, ...: a JSON list, a JSON object {name: number}, or text with one name a line.

    Raises:
        DataError: the file cannot be read, holds something else, or its numbers are not 0 to N - 1.
    """
    text = _read(path)
    if path.suffix.lower() != ".json":
        names = [line.strip() for line in text.split("\n")]  # as it is written: names may hold other line breaks
        while names and not names[-1]:
            names.pop()
        if not names or not all(names):
            raise DataError("a line without a name" if names else "no line", file=path, remedy="Give one name a line")
        return names
    labels = _parse(path, text)
    if isinstance(labels, dict):
        numbers = {name: _number(value) for name, value in labels.items()}
        labels = sorted(numbers, key=lambda name: numbers[name])
        if [numbers[name] for name in labels] != list(range(len(labels))):
            raise DataError("the numbers of the classes are not 0 to N - 1, each once", file=path)
    if not isinstance(labels, list) or not labels or not all(isinstance(name, str) for name in labels):
        raise DataError("no names of classes", file=path, remedy='It reads ["cat", "dog"] or {"cat": 0, "dog": 1}')
    return labels


def read_candidates(path: Path) -> dict[str, list[str]]:
    """Texts by the id of what they describe: a JSON object {id: [texts]}.

    Raises:
        DataError: the file cannot be read or holds something else.
    """
    candidates = _parse(path, _read(path))
    if not isinstance(candidates, dict) or not candidates:
        raise DataError("no candidates", file=path, remedy='It reads {"id": ["a text", "another text"], ...}')
    for id, texts in candidates.items():
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise DataError(f"the candidates of {id!r} are not a list of texts, at least one", file=path)
    return candidates


def _parse(path: Path, text: str) -> object:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"no JSON ({error})", file=path) from None


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"the file is larger than {_MAX_BYTES >> 20} MiB", file=path)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot be read ({reason})", file=path, remedy="Check the path") from None


def _number(value: object) -> int:
    """A class's number; files of the release hold some as texts."""
    try:
        return int(value) if isinstance(value, int | str) else -1
    except ValueError:
        return -1
