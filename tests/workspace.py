"""A scratch copy of the project that runs the real graph on small slices: `make smoke`, and the pipeline tests.

The copy holds the files git would hold (committed or not), the data by link, and params.yaml with SMOKE laid over it.
It has made nothing yet and shares nothing: it has neither the project's dvc.lock nor its DVC remote.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PROJECT = Path(__file__).resolve().parent.parent

SMOKE: dict[str, dict[str, Any]] = {
    "datasets": {
        "faces": {"limit": 300, "crops": 3},
        "music": {"limit": 60},
        "digits": {"limit": 1000},
        "cartpole": {"limit": 2},
        "pong": {"limit": 1, "options": {"max_num_frames_per_episode": 800}},
        "driving": {"options": {"max_episode_steps": 100}},
        "uci": {"limit": 200},
        "styles": {"limit": 200},
    },
    "music": {
        "train": {"hidden_size": 64, "embedding_size": 64, "max_epochs": 2},
        "evaluate": {"samples": 8, "requests": 5},
    },
    "faces": {
        "train": {"widths": [8, 16, 24], "hidden_size": 32, "latent_dim": 8, "max_epochs": 2},
        "export": {"calibration": 64, "pictures": 4},
        "evaluate": {"scenes": 4},
        "audit": {"draws": 200, "simulation": {"audits": 50}},
    },
    "digits": {
        "train": {"channels": [8, 16], "dense_size": 32, "max_epochs": 2},
        "export": {"detectors": {"angle": [32]}, "outliers": 20},
    },
    "mlp": {
        "train": {"hidden_sizes": [32], "max_epochs": 2},
        "export": {"detectors": {"angle": [32]}, "outliers": 20},
    },
    "digit_generation": {
        "train": {"widths": [16, 8], "discriminator_widths": [16, 8], "max_epochs": 2},
        "evaluate": {"samples": 200, "manifold_samples": 200},
    },
    "face_generation": {
        "train": {"widths": [16, 8, 8], "discriminator_widths": [16, 8, 8], "max_epochs": 2},
        "evaluate": {"samples": 100, "manifold_samples": 100, "likelihood_pictures": 10, "importance_samples": 5},
    },
    "transfer": {
        "train": {"input_size": 32, "labelled": 1, "head_steps": 10, "max_epochs": 2},
        "export": {"calibration": 32},
    },
    "cartpole": {
        "train": {
            "max_epochs": 2,
            "validation_episodes": 4,
            "ppo": {"hidden_sizes": [8], "updates": 2, "steps": 32, "passes": 1},
            "reinforce": {"hidden_sizes": [8], "updates": 2, "games": 4},
            "dqn": {"hidden_sizes": [8], "updates": 2, "steps": 16, "warmup": 64, "replay": 500},
        },
        "export": {"calibration": 32, "film_steps": 20, "film_pictures": 4},
        "evaluate": {"episodes": 4, "robustness_episodes": 1, "resamples": 100},
    },
    "pong": {
        "train": {
            "max_epochs": 2,
            "validation_episodes": 2,
            "ppo": {"hidden_sizes": [8], "games": 4, "updates": 2, "steps": 32, "passes": 1},
            "dqn": {"hidden_sizes": [8], "games": 4, "updates": 2, "steps": 16, "warmup": 64, "replay": 500},
        },
        "export": {"calibration": 32, "film_steps": 20, "film_pictures": 4},
        "evaluate": {"episodes": 2, "robustness_episodes": 1, "resamples": 100},
    },
    "driving": {
        "train": {
            "expert_tracks": 2,
            "student_tracks": 1,
            "updates": 10,
            "final_updates": 20,
            "validation_tracks": 1,
            "film_rounds": [1, 2],
            "fine_tuning": {"updates": 2, "tracks": 1, "passes": 2, "minibatch": 16},
            "max_epochs": 2,
        },
        "export": {"calibration_tracks": 1},
        "evaluate": {"tracks": 2, "variant_tracks": 1, "robustness_tracks": 1, "noises": [16.0], "delays": [1, 4]},
    },
    "uncertainty": {
        "train": {
            "folds": 2,
            "max_epochs": 2,
            "sets": {
                name: {"hidden_sizes": [8], "steps": 30, "batch_size": 16, "repeats": 1}
                for name in ("concrete", "energy", "kin8nm", "naval", "power", "protein", "wine", "yacht", "diabetes")
            },
            "toy": {
                "recipe": {"hidden_sizes": [16], "steps": 60},
                "rows": [50, 200],
                "penalties": [0.01],
                "standard_rows": 200,
                "seeds": 2,
            },
        },
        "evaluate": {"toy_points": 41},
    },
    "chat": {
        "train": {"steps": 1, "validation": 1, "max_epochs": 2},
        "export": {"context": 512},
        "evaluate": {
            "questions": 2,
            "other_questions": 2,
            "facts": 2,
            "likelihood": 2,
            "slots": 2,
            "sampling": {"max_tokens": 8},
        },
    },
}
"""Numbers small enough for half a minute a lab; laid over params.yaml."""


ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Two threads that share a busy core mostly wait for each other; a small model is as fast on one."""


class Workspace:
    """A folder in which `dvc repro` and `python -m components` run for real, without touching the project's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=PROJECT).stdout
        for name in sorted({*listed.split("\0")} - {"", "dvc.lock"}):
            source, target = PROJECT / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        _forget_remote(folder / ".dvc" / "config")
        _run("git", "init", "-q", cwd=folder)
        _run("git", "add", "-A", cwd=folder)
        _run("git", "-c", "user.name=smoke", "-c", "user.email=smoke@localhost", "commit", "-qm", "scratch", cwd=folder)
        if (PROJECT / "data").exists():
            shutil.copytree(PROJECT / "data", folder / "data", copy_function=_link)

    def set_params(self, values: Mapping[str, object]) -> None:
        """Lays nested values over params.yaml, keeping its comments."""
        overlaid(self.folder / "params.yaml", values, self.folder / "params.yaml")

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the workspace with the project's own environment first in PATH."""
        return _run(*command, cwd=self.folder, check=check, environment={**self.environment(), **environment})

    def environment(self) -> dict[str, str]:
        """Variables for a process of the caller's own: the copy's code runs, not the project's."""
        return {**_environment(), "PYTHONPATH": str(self.folder)}


def _forget_remote(config: Path) -> None:
    settings = configparser.ConfigParser()
    settings.read(config)
    settings.remove_option("core", "remote")
    with config.open("w") as file:
        settings.write(file)


def _link(source: str, target: str) -> None:
    """A hard link costs nothing; between two file systems there is none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def overlaid(path: Path, values: Mapping[str, object], out: Path) -> None:
    """Writes a params.yaml with nested values laid over it."""
    yaml = YAML()
    params = yaml.load(path)
    _overlay(params, values)
    yaml.dump(params, out)


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **ONE_THREAD, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def _run(
    *command: str, cwd: Path, check: bool = True, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def _overlay(target: dict[str, object], values: Mapping[str, object]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _overlay(target[key], value)  # type: ignore[arg-type]
        else:
            target[key] = value


def main(labs: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        workspace = Workspace(Path(folder))
        workspace.set_params(SMOKE)
        command = [sys.executable, "-m", "components", "repro", *labs]
        return subprocess.run(command, cwd=folder, env=workspace.environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
