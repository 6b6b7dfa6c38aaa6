"""What the code imports is what setup.py asks for, and what setup.py asks for is pinned."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "benchmarks",
    "criterions",
    "data",
    "examples",
    "metrics",
    "modalities",
    "models",
    "optim",
    "tasks",
    "user_module",
)
DISTRIBUTION = {
    "PIL": "pillow",
    "espeakng_loader": "espeakng-loader",
    "fairseq": "ve-fairseq",
    "fairseq_cli": "ve-fairseq",
    "hydra": "hydra-core",
    "resvg_py": "resvg-py",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
ARROWS = {  # docs/architecture.md
    "criterions": {"models"},
    "data": {"modalities"},
    "metrics": set(),
    "modalities": {"data"},
    "models": {"data", "modalities"},
    "optim": set(),
    "tasks": {"data", "metrics", "modalities", "models", "optim"},
    "user_module": {"criterions", "models", "optim", "tasks"},
}
# built from source by those who want it (NVIDIA's); not to be installed with its requirements (examples/instruments);
# PyTorch brings the one that fits, where there is one
OPTIONAL = {"apex", "tinysoundfont", "triton"}


def asked_for(*lists: str) -> set[str]:
    """Names of the distributions in those lists of setup.py, lower-case."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        named = {node.arg: node.value} if isinstance(node, ast.keyword) else {}
        if isinstance(node, ast.Dict):
            named = {key.value: value for key, value in zip(node.keys, node.values, strict=True) if key is not None}
        for name in named.keys() & set(lists):
            requirements = ast.literal_eval(named[name])
            names |= {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements}
    return names


def modules() -> set[tuple[str, str]]:
    """(module, file) of every absolute import in the rooms, ``from one_peace import models`` as one_peace.models."""
    found = set()
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {(name, str(path.relative_to(ROOT))) for name in names}
    return found


def imported() -> set[tuple[str, str]]:
    """(project, file) of every import that is not Python's own."""
    found = {(name.split(".")[0], path) for name, path in modules()}
    return {(name, path) for name, path in found if name not in sys.stdlib_module_names}


def test_imports_are_declared():
    declared, more = asked_for("install_requires"), asked_for("examples")
    missing = {
        (name, path)
        for name, path in imported()
        if name not in OPTIONAL | {"one_peace"}
        and DISTRIBUTION.get(name, name).lower() not in declared | (more if path.startswith("examples/") else set())
    }
    assert not missing


def test_nothing_is_declared_in_vain():
    used = {DISTRIBUTION.get(name, name).lower() for name, _ in imported()}
    assert asked_for("install_requires", "examples") <= used


@pytest.mark.parametrize("name", sorted(asked_for("install_requires", "dev", "examples") | {"tinysoundfont"}))
def test_requirement_is_pinned(name):
    pins = (ROOT / "constraints.txt").read_text().lower()
    assert re.search(rf"^{re.escape(name)}==", pins, re.MULTILINE)


def test_rooms_import_each_other_by_the_one_name():
    """``import models`` would register everything a second time."""
    assert not {(name, path) for name, path in imported() if name in ROOMS}


@pytest.mark.parametrize("room", ARROWS)
def test_arrows_between_rooms(room):
    own = {(name.split(".")[1], path) for name, path in modules() if name.startswith("one_peace.")}
    wrong = {(name, path) for name, path in own if path.startswith(f"{room}/") and name not in ARROWS[room] | {room}}
    assert not wrong
