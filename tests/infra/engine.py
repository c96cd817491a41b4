"""A container engine for the tests: the one that runs, or Debian's, installed and started for the while."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PACKAGES = {"dockerd": "docker.io", "debootstrap": "debootstrap", "iptables": "iptables"}
SUITE = "bookworm"
"""Debian 12, whose Python is the images' 3.11."""


class NoEngineError(Exception):
    """No engine can run here: the message says why."""


@contextmanager
def engine(folder: Path) -> Iterator[None]:
    """A running engine. Raises NoEngineError; every wait has an end."""
    if shutil.which("docker") and _runs():
        yield
        return
    if os.geteuid() != 0:
        raise NoEngineError("no engine answers, and only root could start one")
    install("dockerd", "iptables")
    log = folder / "dockerd.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        for _ in range(90):
            if _runs():
                break
            if daemon.poll() is not None:
                raise NoEngineError(f"dockerd ended: {_last_line(log)}")
            time.sleep(1)
        else:
            raise NoEngineError(f"dockerd did not answer within 90 s: {_last_line(log)}")
        yield
    finally:
        daemon.terminate()
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()


def install(*commands: str) -> None:
    """Debian packages of the commands that are not there. Raises NoEngineError."""
    missing = [PACKAGES[command] for command in commands if shutil.which(command, path=SYSTEM_PATH) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NoEngineError(f"{', '.join(missing)}: not installed, and no apt-get as root to install it with")
    for arguments in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *missing)):
        done = _run("apt-get", *arguments, seconds=600, DEBIAN_FRONTEND="noninteractive")
        if done.returncode != 0:
            raise NoEngineError(f"apt-get {arguments[0]} failed: {done.stdout.strip()[-300:]}")


SYSTEM_PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"


def make_base(tag: str, folder: Path) -> None:
    """A Debian with Python as an image, since no registry of images need be reachable. Raises NoEngineError."""
    install("debootstrap")
    root = folder / "root"
    wanted = "python3,python3-venv,ca-certificates"
    done = _run("debootstrap", "--variant=minbase", f"--include={wanted}", SUITE, str(root), seconds=900)
    if done.returncode != 0:
        raise NoEngineError(f"debootstrap failed: {done.stdout.strip()[-300:]}")
    shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)
    shutil.rmtree(root / "var" / "lib" / "apt" / "lists", ignore_errors=True)
    archive = folder / "base.tar"
    for command in (
        ("tar", "-C", str(root), "-cf", str(archive), "."),
        ("docker", "import", str(archive), tag),
    ):
        done = _run(*command, seconds=600)
        if done.returncode != 0:
            raise NoEngineError(f"{command[0]} failed: {done.stdout.strip()[-300:]}")
    archive.unlink()
    shutil.rmtree(root)


def docker(*arguments: str, check: bool = True, seconds: float = 120, **environment: str) -> str:
    """A docker command's output, standard error included. A failed one fails the test."""
    done = _run("docker", *arguments, seconds=seconds, **environment)
    if check:
        assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}"
    return done.stdout.strip()


def _runs() -> bool:
    try:
        return _run("docker", "info", seconds=30).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def _run(*command: str, seconds: float, **environment: str) -> subprocess.CompletedProcess[str]:
    variables: Mapping[str, str] = {**os.environ, "PATH": SYSTEM_PATH, **environment}
    return subprocess.run(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds,
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else "it wrote nothing"
