"""Fetches and unpacks a Debian package without root: nothing is installed."""

import shutil
import subprocess
from pathlib import Path


class PackageError(RuntimeError):
    """The package could not be had; the message says what to do."""


def fetch_package(name: str, cache: Path) -> Path:
    """Downloads package `name` into `cache` with apt-get, once; returns the .deb file.

    Uses the system's package lists, or, where they are empty and cannot be renewed for want of rights, own ones below
    `cache`.
    """
    if known := _newest(name, cache):
        return known
    if not shutil.which("apt-get"):
        raise PackageError(f"no apt-get here: download {name} from packages.debian.org and put the .deb into {cache}")
    cache.mkdir(parents=True, exist_ok=True)
    own = [f"-oDir::State::Lists={cache / 'lists'}", f"-oDir::Cache={cache / 'apt'}", "-oAPT::Sandbox::User="]
    for options, update in (([], False), (own, True)):
        if update:
            for folder in ("lists/partial", "apt/archives/partial"):
                (cache / folder).mkdir(parents=True, exist_ok=True)
            print("no package lists: fetching them (not installing anything)", flush=True)
            _apt([*options, "update"], cache)
        answer = _apt([*options, "download", name], cache)
        if found := _newest(name, cache):
            return found
    raise PackageError(f"apt-get download {name} failed:\n{answer}\nDownload it by hand and put the .deb into {cache}")


def unpack_package(package: Path, out: Path) -> Path:
    """Unpacks the .deb into `out`, once; returns `out`. A half unpacked folder is never taken for a whole one."""
    if out.is_dir():
        return out
    if not shutil.which("dpkg-deb"):
        raise PackageError("no dpkg-deb here: install dpkg")
    half = out.with_name(out.name + ".part")
    shutil.rmtree(half, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    answer = subprocess.run(["dpkg-deb", "-x", package, half], capture_output=True, text=True)
    if answer.returncode:
        raise PackageError(
            f"{package} is no readable Debian package; delete it and try again:\n{answer.stderr.strip()}"
        )
    half.rename(out)
    return out


def fetch_unpacked(name: str, cache: Path, package: Path | None = None) -> Path:
    """The folder, in `cache`, of what is in the .deb file `package`, or else in package `name`, which is fetched.

    Raises:
        PackageError: it cannot be had.
    """
    package = package or fetch_package(name, cache)
    return unpack_package(package, cache / package.stem)


def _newest(name: str, cache: Path) -> Path | None:
    return max(cache.glob(f"{name}_*.deb"), default=None)


def _apt(arguments: list[str], folder: Path) -> str:
    answer = subprocess.run(["apt-get", "-q", *arguments], cwd=folder, capture_output=True, text=True)
    return (answer.stdout + answer.stderr).strip()
