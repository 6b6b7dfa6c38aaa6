"""The three ways to have one_peace: a plain checkout, an editable install, a wheel. Real interpreters and commands."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_SOURCE = (".venv", ".git", "outputs", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis")
WHERE = "import one_peace.models as m, one_peace.user_module; print(m.__file__)"


def copy_checkout(folder: Path) -> Path:
    """The repository as ``git clone`` leaves it."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    return folder


def run(command: list[object], **options: object) -> str:
    """The output of a command; the test shows it if the command fails."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


class Interpreter:
    """A virtual environment with the dependencies, but without the one_peace the tests themselves run on."""

    def __init__(self, folder: Path):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        self.site = next((folder / "lib").glob("python*")) / "site-packages"
        # Only the folder: the .pth files in it, an editable one_peace among them, are not read.
        (self.site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    def run(self, *command: object, cwd: Path) -> str:
        """The output of ``python *command``; the output is shown if it fails."""
        hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        return run([self.python, *command], cwd=cwd, env=environment)

    def install(self, *arguments: object, cwd: Path) -> None:
        """pip install, offline: with the tests' pip and build tools."""
        offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", *offline, *arguments]
        run(pip, cwd=cwd)

    def known_tasks(self, user_dir: object, cwd: Path) -> str:
        """What fairseq-train offers with that --user-dir."""
        return self.run(console_script("fairseq-train"), "--user-dir", user_dir, "--help", cwd=cwd)


def console_script(name: str) -> Path:
    return Path(sys.executable).with_name(name)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a clean checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_checkout(folder / "source")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    run(build, cwd=folder)
    return next(folder.glob("*.whl"))


def test_plain_checkout(tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    bare = Interpreter(tmp_path / "bare")
    assert str(checkout / "models") in bare.run("-c", WHERE, cwd=checkout)
    assert "image_text_pretrain" in bare.known_tasks("user_module", cwd=checkout)


def test_wheel(tmp_path, wheel):
    bare = Interpreter(tmp_path / "bare")
    bare.install(wheel, cwd=tmp_path)
    assert str(bare.site / "one_peace" / "models") in bare.run("-c", WHERE, cwd=tmp_path)
    assert "image_text_pretrain" in bare.known_tasks(bare.site / "one_peace" / "user_module", cwd=tmp_path)


def test_checkout_wins_over_an_installed_wheel(tmp_path, wheel):
    checkout = copy_checkout(tmp_path / "checkout")
    bare = Interpreter(tmp_path / "bare")
    bare.install(wheel, cwd=tmp_path)
    assert str(checkout / "models") in bare.run("-c", WHERE, cwd=checkout)


def test_editable_install(tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    bare = Interpreter(tmp_path / "bare")
    bare.install("--editable", checkout, cwd=tmp_path)
    assert str(checkout / "models") in bare.run("-c", WHERE, cwd=tmp_path)
    assert "image_text_pretrain" in bare.known_tasks(checkout / "user_module", cwd=tmp_path)


def test_wheel_holds_the_rooms_and_the_recipes(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()} - {"one_peace", "tests"}
    modules = {f"one_peace/{path.relative_to(ROOT)}" for room in rooms for path in (ROOT / room).rglob("*.py")}
    recipes = {
        f"one_peace/{path.relative_to(ROOT)}"
        for path in (ROOT / "run_scripts").rglob("*")
        if path.suffix in (".yaml", ".sh", ".json")
    }
    assert modules | recipes <= held
    strangers = {name.split("/")[1] for name in held} - rooms - {"run_scripts"}
    assert not strangers
