"""The rules of the house about who may import whom, and what is loaded when."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
FOLDERS = ("components", "infra", "serving", "pipelines")
MODULES = sorted(path for folder in FOLDERS for path in (PROJECT / folder).rglob("*.py"))
OWN_ENVIRONMENT = ("components/settings.py", "infra/docker/tracking.py")
"""The second runs in an image that holds MLflow and not this project."""
TORCH_FREE = ("", "params", "runtime", "abc", "abc_parser", "notation", "options", "detect", "images")
SLOW = ("torch", "pytorch_lightning", "mlflow", "great_expectations", "pandas", "bentoml", "onnxruntime", "music21")


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at the top or late."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_go_one_way(path: Path) -> None:
    inside = path.relative_to(PROJECT).parts
    for name in imports_of(path):
        assert inside[0] == "pipelines" or not name.startswith("pipelines"), "nothing imports pipelines"
        if inside[0] == "pipelines":
            assert not name.startswith(("serving", "dvc", "bentoml", "infra"))
            assert not name.startswith("components.labs.") or name.split(".")[2] in ("Lab", "find", "LABS"), (
                "an engine knows no lab"
            )
        if inside[0] == "components":
            assert not name.startswith(("serving", "kfp", "bentoml", "dvc"))
        if inside[:2] == ("components", "labs"):
            assert not name.startswith("components.steps"), "a lab knows no step"
            if len(inside) > 3 and name.startswith("components.labs."):
                assert name.split(".")[2] == inside[2] or name.split(".")[2] == "Lab", "a lab knows no other lab"
        if inside[:2] in (("components", "datasets"), ("components", "generation")):
            assert not name.startswith("components.labs.") or name == "components.labs.Lab", (
                "what labs share knows none"
            )
        if inside[:2] == ("components", "steps"):
            assert not name.startswith("components.labs.") or name.split(".")[2] in ("Lab", "find", "LABS")
        if inside[0] == "serving" and name.startswith("components.labs."):
            part = "".join(name.split(".")[3:4])
            assert part in TORCH_FREE, "serving knows a lab's torch-free half"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_environment_is_read_in_one_file(path: Path) -> None:
    if path.relative_to(PROJECT).as_posix() not in OWN_ENVIRONMENT:
        text = path.read_text()
        assert "os.getenv" not in text
        assert "environ[" not in text
        assert "environ.get" not in text


def loaded_after(statement: str) -> set[str]:
    """Top-level packages in memory after a statement, in a fresh interpreter."""
    script = f"{statement}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_loads_nothing_slow() -> None:
    assert not loaded_after("import components.__main__") & set(SLOW)
    assert not loaded_after("import pipelines.__main__") & {*SLOW, "kfp", "kubernetes", "docker"}


@pytest.mark.parametrize(
    "module",
    [
        "components.bundle",
        "components.labs.music.runtime.sampler",
        "components.families.classification.runtime",
        "components.families.generation.runtime",
        "components.labs.digits",
        "components.labs.digit_generation",
        "serving.music.service",
        "serving.faces.service",
        "serving.digits.service",
        "serving.generation.service",
    ],
)
def test_what_serves_loads_no_torch(module: str) -> None:
    assert not loaded_after(f"import {module}") & {"torch", "pytorch_lightning", "mlflow", "great_expectations"}
