"""Who may import whom, read from the folders; no circles; and what is loaded when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.datasets import DATASETS, find_dataset
from components.labs import LABS, find

PROJECT = Path(__file__).resolve().parent.parent
FOLDERS = ("components", "infra", "serving", "pipelines")
MODULES = sorted(
    path for folder in FOLDERS for path in (PROJECT / folder).rglob("*.py") if "node_modules" not in path.parts
)
NAMES = {".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
OWN_ENVIRONMENT = ("components/settings.py", "infra/docker/tracking.py")
"""The second runs in an image that holds MLflow and not this project."""
SLOW = ("torch", "pytorch_lightning", "mlflow", "great_expectations", "pandas", "bentoml", "onnxruntime", "music21")
CONTRACT = ("components.labs", "components.datasets", "components.families")


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that code imports: `from a import b` is a.b where that is a module of ours, else a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in NAMES else node.module


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at the top or late."""
    return set(imported(ast.parse(path.read_text())))


def top_imports_of(path: Path) -> set[str]:
    """What a file imports when it is loaded or type-checked: not what its functions import late."""
    body: list[ast.stmt] = [
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom | ast.If)
    ]
    return set(imported(ast.Module(body=body, type_ignores=[])))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_go_one_way(path: Path) -> None:
    inside = path.relative_to(PROJECT).parts
    for name in imports_of(path):
        parts = name.split(".")
        assert inside[0] == "pipelines" or parts[0] != "pipelines", "nothing imports pipelines"
        if inside[0] == "pipelines":
            assert parts[0] not in ("serving", "dvc", "bentoml", "infra")
            assert not (name.startswith(CONTRACT) and len(parts) > 2), "an engine knows no lab and no dataset"
        if inside[0] == "components":
            assert parts[0] not in ("serving", "kfp", "bentoml", "dvc", "infra")
        if inside[:2] in (("components", "labs"), ("components", "datasets"), ("components", "families")):
            assert not name.startswith("components.steps"), "a lab and a dataset know no step"
        if inside[:2] == ("components", "labs") and len(inside) > 3 and parts[:2] == ["components", "labs"]:
            assert len(parts) == 2 or parts[2] == inside[2], "a lab knows no other lab"
        if inside[:2] == ("components", "datasets"):
            assert parts[:2] not in (["components", "labs"], ["components", "families"]), "a dataset knows no lab"
            if len(inside) > 3 and parts[:2] == ["components", "datasets"] and len(parts) > 2:
                shared = parts[2] not in DATASETS
                assert parts[2] == inside[2] or shared, "a dataset knows no other dataset"
        if inside[:2] in (("components", "families"), ("components", "steps"), ("components", "training")):
            assert not (parts[:2] == ["components", "labs"] and len(parts) > 2), "what labs share knows none"
        if inside[0] == "serving" and name.startswith(CONTRACT) and len(parts) > 3:
            assert parts[3] in ("params", "runtime", "features") or parts[1] == "datasets", (
                "serving knows a lab's torch-free half"
            )


TRAINING = [
    path
    for path in MODULES
    if path.relative_to(PROJECT).parts[1] in ("labs", "families")
    and ("training" in path.parts or (path.stem == "model" and "runtime" not in path.parts))
]


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: str(path.relative_to(PROJECT)))
def test_what_decides_weights_imports_nothing_that_only_runs_or_judges_them(path: Path) -> None:
    """Its hash is of the training half and the dataset's readers: whatever else it used could change unnoticed."""
    for name in imports_of(path):
        parts = name.split(".")
        if parts[:2] in (["components", "labs"], ["components", "families"]) and len(parts) > 3:
            assert parts[3] in ("training", "model", "params"), name
        if parts[:2] == ["components", "datasets"] and len(parts) > 3:
            assert parts[3].endswith("reader"), name


def test_no_module_imports_itself_around_a_corner() -> None:
    """At load time or for types only: either makes it hard to say what stands on what."""
    edges = {name: {other for other in top_imports_of(path) if other in NAMES} for name, path in NAMES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in edges[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in NAMES:
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_environment_is_read_in_one_file(path: Path) -> None:
    if path.relative_to(PROJECT).as_posix() not in OWN_ENVIRONMENT:
        text = path.read_text()
        assert "os.getenv" not in text
        assert "environ[" not in text
        assert "environ.get" not in text


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_module_is_longer_than_three_hundred_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_onnx_is_exported_in_one_place() -> None:
    calls = [name for name, path in NAMES.items() if "torch.onnx.export(" in path.read_text()]
    assert calls == ["components.onnx.export"]


@pytest.mark.parametrize("name", LABS)
def test_a_labs_folders_say_which_half_code_is_in(name: str) -> None:
    known = {"__init__", "params", "training", "model", "export", "runtime", "features", "evaluation", "audit"}
    known |= {"__pycache__"}
    assert {path.stem for path in (PROJECT / "components" / "labs" / name).iterdir()} <= known


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_has_its_own_folder_of_everything(name: str) -> None:
    """Or, where datasets of its kind share them, in that folder: a game is a name, and expectations of its own."""
    folders = {
        Path(str(sys.modules[kind.__module__].__file__)).parent for kind in type(find_dataset(name)).__mro__[:-3]
    }
    for file in ("prepare.py", "tables.py", "reader.py"):
        assert [folder for folder in folders if (folder / file).is_file()]
    assert list((PROJECT / "components" / "datasets" / name / "expectations").glob("*.json"))


def test_every_lab_learns_from_a_dataset_that_there_is() -> None:
    for lab in map(find, LABS):
        assert lab.dataset in DATASETS
        assert set(lab.reference_models) < set(LABS)
        assert 0 < len(lab.headline) <= 6


def loaded_after(statement: str) -> set[str]:
    """Top-level packages in memory after a statement, in a fresh interpreter."""
    script = f"{statement}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_loads_nothing_slow() -> None:
    assert not loaded_after("import components.__main__") & set(SLOW)
    assert not loaded_after("import pipelines.__main__") & {*SLOW, "kfp", "kubernetes", "docker"}


def test_lightning_loads_no_package_for_metrics_that_no_lab_has_and_leaves_them_to_be_used() -> None:
    load = "from components.lightning import OPTIONAL, load_lightning; load_lightning(); import sys"
    unused = "assert not {*OPTIONAL} & {*sys.modules}, sys.modules"
    used = "import importlib.metadata, matplotlib, scipy.signal; importlib.metadata.version('scipy')"
    trainer = "import pytorch_lightning; pytorch_lightning.Trainer(logger=False, accelerator='cpu')"
    assert {"matplotlib", "scipy"} <= loaded_after("; ".join((load, unused, used, trainer)))


def test_lightning_loads_where_a_package_for_metrics_is_loaded_in_part_already() -> None:
    assert "pytorch_lightning" in loaded_after(
        "import scipy; from components.lightning import load_lightning; load_lightning()"
    )


TORCH_FREE = [
    name
    for name in NAMES
    if name == "components.bundle"
    or (name.startswith(("components.labs.", "components.families.")) and (name.count(".") == 2 or ".runtime" in name))
    or (name.startswith("serving.") and name.endswith(".service"))
]
"""What serving loads: bundles, the labs' declarations and runtimes, and its own services."""


def test_what_serves_loads_no_torch() -> None:
    statement = "; ".join(f"import {name}" for name in TORCH_FREE)
    assert not loaded_after(statement) & {"torch", "pytorch_lightning", "mlflow", "great_expectations"}
