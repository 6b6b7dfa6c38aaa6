"""The three ways to have one_peace, a plain checkout, a wheel, an editable install, each trained with for an update."""

import os
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.checkout import ROOT, copy_checkout, run
from tests.small_data import train_vocabulary, write_pictures

TASK = "--task image_text_pretrain --bpe-dir pictures/bpe --patch-image-size 32 --batch-size 6"
TRAINING = (
    f"{TASK} --arch one_peace_pretrain_tiny --criterion image_text_pretrain_loss --optimizer adjust_adam --lr 1e-4 "
    "--max-update 1 --num-workers 0"
)


class Interpreter:
    """A virtual environment with the dependencies, but without the one_peace that the tests themselves run on."""

    def __init__(self, folder: Path):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        self.site = next((folder / "lib").glob("python*")) / "site-packages"
        # Only the folder: the .pth files in it, an editable one_peace among them, are not read.
        (self.site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        for path in Path(sys.executable).parent.glob("fairseq-*"):
            script = folder / "bin" / path.name
            script.write_text(f"#!{self.python}\n" + path.read_text().partition("\n")[2])
            script.chmod(0o755)

    def run(self, *command: object, cwd: Path, **environment: str) -> str:
        """What a command of this environment prints."""
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        return run(*command, cwd=cwd, PATH=path, PYTHONPATH="", **environment)

    def where(self, cwd: Path) -> Path:
        """The folder that ``one_peace.models`` is."""
        code = "import importlib.util as u; print(u.find_spec('one_peace.models').origin)"
        return Path(self.run("python", "-c", code, cwd=cwd).strip()).parent

    def install(self, *arguments: object, cwd: Path) -> None:
        """pip install, offline, with the pip and the build tools of the tests."""
        offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
        run(sys.executable, "-m", "pip", "--python", self.python, "install", *offline, *arguments, cwd=cwd)

    def train(self, user_dir: object, cwd: Path) -> None:
        flags = shlex.split(TRAINING)
        self.run("fairseq-train", "pictures", "--user-dir", user_dir, *flags, "--save-dir", "out", cwd=cwd)

    def validate(self, user_dir: object, cwd: Path) -> None:
        flags = [*shlex.split(TASK), "--path", "out/checkpoint_best.pt"]
        assert "txt_r1" in self.run("fairseq-validate", "pictures", "--user-dir", user_dir, *flags, cwd=cwd)


@pytest.fixture
def bare(tmp_path) -> Interpreter:
    return Interpreter(tmp_path / "bare")


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """A folder outside the checkout, with data."""
    return add_pictures(tmp_path / "elsewhere")


def add_pictures(folder: Path) -> Path:
    write_pictures(folder / "pictures")
    train_vocabulary(folder / "pictures/bpe")
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a clean checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_checkout(folder / "source")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source, cwd=folder)
    return next(folder.glob("*.whl"))


def test_plain_checkout(tmp_path, bare):
    checkout = add_pictures(copy_checkout(tmp_path / "checkout"))
    assert bare.where(cwd=checkout) == checkout / "models"
    bare.train("user_module", cwd=checkout)
    bare.validate("user_module", cwd=checkout)


def test_wheel_with_the_recipe_it_holds(bare, wheel, elsewhere):
    bare.install(wheel, cwd=elsewhere)
    package = bare.site / "one_peace"
    assert bare.where(cwd=elsewhere) == package / "models"
    settings = {"SMOKE": "1", "DATA": "pictures", "BPE": "pictures/bpe", "OUT": "out"}
    script = package / "run_scripts/pretrain/stage1.sh"
    bare.run("bash", script, "task.patch_image_size=32", cwd=elsewhere, **settings)
    bare.validate(package / "user_module", cwd=elsewhere)


def test_editable_install(tmp_path, bare, elsewhere):
    checkout = copy_checkout(tmp_path / "checkout")
    bare.install("--editable", checkout, cwd=tmp_path)
    assert bare.where(cwd=elsewhere) == checkout / "models"
    bare.train(checkout / "user_module", cwd=elsewhere)


def test_checkout_wins_over_an_installed_wheel(tmp_path, bare, wheel):
    checkout = copy_checkout(tmp_path / "checkout")
    bare.install(wheel, cwd=tmp_path)
    assert bare.where(cwd=checkout) == checkout / "models"


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
