"""The images, built and run for real: `make test-containers`. Skipped with a reason where no engine can start."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from components.apis import apis
from components.bundle import Bundle
from components.settings import settings
from components.signing_keys import PRIVATE, PUBLIC, make_key
from infra.images import build, stage
from tests.infra.engine import NoEngineError, docker, engine, make_base
from tests.serving.conftest import EASY
from tests.workspace import SMOKE, Workspace

pytestmark = pytest.mark.containers

VERSION = "test"
BASE = "labs-base:test"
STEPS = ("prepare", "validate", "train", "export", "evaluate", "gate", "promote")
HARDENED = (
    *("--read-only", "--user", "12345", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--tmpfs", "/tmp:size=256m,mode=1777"),  # noqa: S108 - inside the container
)


@pytest.fixture(scope="session")
def running_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # Without its plug-in for builds the command line only has the old builder.
        if "buildx" not in docker_plugins():
            patch.setenv("DOCKER_BUILDKIT", "0")
        try:
            with engine(tmp_path_factory.mktemp("engine")):
                yield
                images = docker("images", "--quiet", "--filter", "label=labs.version=test").split()
                docker("rmi", "--force", *set(images), check=False, seconds=900)
                docker("image", "prune", "--force", "--filter", "label=labs.stage=build", check=False, seconds=900)
        except NoEngineError as error:
            pytest.skip(f"NO CONTAINER ENGINE, no image was tested: {error}")


def docker_plugins() -> str:
    if shutil.which("docker") is None:
        return ""
    done = subprocess.run(["docker", "buildx", "version"], capture_output=True, text=True, check=False, timeout=60)
    return "buildx" if done.returncode == 0 else ""


@pytest.fixture(scope="session")
def project(running_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its data, and what the images install staged in it; a base image beside it."""
    folder = tmp_path_factory.mktemp("context")
    try:
        if not docker("images", "--quiet", BASE):
            make_base(BASE, folder)
    except NoEngineError as error:
        pytest.skip(f"NO BASE IMAGE, no image was tested: {error}")
    workspace = Workspace(folder / "project")
    stage(["training", "tracking", "fetch", "music"], workspace.folder)
    return workspace.folder


def built(name: str, project: Path) -> str:
    """An image, built without a network from what is staged."""
    return build(
        name, VERSION, BASE, project=project, offline=True, options=["--quiet", "--label", f"labs.version={VERSION}"]
    )


@pytest.fixture(scope="session")
def serving_image(project: Path) -> str:
    return built("music", project)


@pytest.fixture(scope="session")
def training_image(project: Path) -> str:
    """For every step of the graph, and so for Kubeflow's tasks."""
    return built("training", project)


def megabytes(image: str) -> int:
    return int(docker("image", "inspect", "--format", "{{.Size}}", image)) // 10**6


def run(image: str, *command: str, check: bool = True, options: tuple[str, ...] = ()) -> str:
    """Runs a command in a container that may do nothing it need not do."""
    return docker("run", "--rm", "--network", "none", *HARDENED, *options, image, *command, check=check, seconds=900)


def test_the_serving_image_holds_what_serving_needs_and_no_more(serving_image: str) -> None:
    added = megabytes(serving_image) - megabytes(BASE)
    print(f"{serving_image}: {added} MB over its base of {megabytes(BASE)} MB")
    assert added < 350
    script = """
import importlib.util, os, pathlib, shutil, sys
for name in ("torch", "mlflow", "pandas", "pip", "pytest"):
    assert importlib.util.find_spec(name) is None, name
for name in ("gcc", "cc", "git", "node", "sh", "bash", "dash", "busybox"):
    assert shutil.which(name) is None, name
venv = pathlib.Path(sys.prefix)
found = [path.name for path in venv.rglob("onnxruntime*.dist-info")]
assert len(found) == 1 and "gpu" not in found[0], found
app = sorted(path.name for path in pathlib.Path("/app").iterdir())
assert app == ["LICENSE", "NOTICE", "components", "params.yaml", "pyproject.toml", "serving"], app
assert pathlib.Path("/app/serving/page/node_modules/abcjs/LICENSE.md").exists()
assert not list(pathlib.Path("/").glob("root/.cache/*"))
"""
    run(serving_image, "python", "-c", script)
    user = docker("image", "inspect", "--format", "{{.Config.User}}", serving_image)
    assert user == "10001:10001"
    commit = docker(
        "image", "inspect", "--format", '{{index .Config.Labels "org.opencontainers.image.revision"}}', serving_image
    )
    assert len(commit) >= 40


@dataclass
class Container:
    """A running API, reached from here, which itself reaches nobody."""

    name: str
    address: str
    answers: list[Answer] = field(default_factory=list)


@dataclass
class Answer:
    sent: float
    ended: float
    status: int
    complete: bool


@contextmanager
def served(image: str, bundle: Path, network: str) -> Iterator[Container]:
    """A ready API."""
    name = f"labs-test-{uuid.uuid4().hex[:8]}"
    limits = ("--memory", "512m", "--memory-swap", "512m", "--network", network)
    volumes = ("--volume", f"{bundle}:/bundle:ro", "--volume", f"{bundle.parent / 'keys'}:/keys:ro")
    docker("run", "--detach", "--name", name, *HARDENED, *limits, *volumes, "--env", "SIGNING_PUBLIC_KEYS=/keys", image)
    try:
        address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
        ready = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/readyz', timeout=10)"
        for _ in range(100):
            assert docker("inspect", "--format", "{{.State.Running}}", name) == "true", docker("logs", name)
            if "Error" not in docker("exec", name, "python", "-c", ready, check=False):
                break
            time.sleep(1)
        else:
            raise AssertionError(docker("logs", name))
        yield Container(name, f"http://{address}:3000")
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


@pytest.fixture
def inner_network(running_engine: None) -> Iterator[str]:
    """Joins containers and this machine, and leads nowhere else."""
    name = f"labs-test-{uuid.uuid4().hex[:8]}"
    docker("network", "create", "--internal", name)
    yield name
    docker("network", "rm", name, check=False)


@pytest.fixture
def mounted_bundle(promoted_bundle: Path, tmp_path: Path) -> Path:
    """The bundle where a stranger may read it, and beside it the key that it was signed with."""
    (tmp_path / "keys").mkdir()
    shutil.copy(Path(str(settings().signing_public_keys)) / PUBLIC, tmp_path / "keys")
    folder = tmp_path / "bundle"
    shutil.copytree(promoted_bundle, folder)
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


def test_the_api_serves_from_a_locked_down_container(serving_image: str, mounted_bundle: Path) -> None:
    """No root, no capabilities, nothing to write to, no way out: it is called from inside."""
    script = """
import json, pathlib, socket, sys, urllib.request
lines = pathlib.Path("/proc/1/status").read_text().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
assert status["Uid"].split() == ["12345"] * 4, status["Uid"]
assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
assert status["NoNewPrivs"] == "1"
for path in ("/app/x", "/bundle/x", "/opt/venv/x"):
    try:
        open(path, "w")
    except OSError:
        continue
    raise SystemExit(path + " can be written")
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as error:
    assert error.errno == 101, error  # there is no route, rather than no answer
address, headers = "http://127.0.0.1:3000", {"content-type": "application/json"}
assert b"abcjs" in urllib.request.urlopen(address + "/static/abcjs/abcjs-basic-min.js", timeout=60).read()
request = urllib.request.Request(address + "/generate", sys.argv[1].encode(), headers)
with urllib.request.urlopen(request, timeout=120) as answer:
    print(json.dumps({"headers": {name.lower(): value for name, value in answer.headers.items()}, **json.load(answer)}))
"""
    with served(serving_image, mounted_bundle, "none") as container:
        said = docker("exec", container.name, "python", "-c", script, json.dumps({**EASY, "seed": 3}))
        answer = json.loads(said)
        assert answer["tunes"][0]["valid"] is True
        assert answer["headers"]["x-model-digest"] == Bundle.open(mounted_bundle).digest
        assert answer["headers"]["x-promoted"] == "true"


def test_a_container_stopped_under_load_loses_no_answer(
    serving_image: str, mounted_bundle: Path, inner_network: str
) -> None:
    """What was sent before SIGTERM is answered in full; the container ends by itself, with 0."""
    wish = {**EASY, "count": 4, "valid_only": False}
    with served(serving_image, mounted_bundle, inner_network) as container:
        crowd = [threading.Thread(target=_ask, args=(container, {**wish, "seed": seed})) for seed in range(8)]
        for one in crowd:
            one.start()
        _wait(lambda: len(container.answers) >= 40)
        stopped = time.monotonic()
        docker("stop", "--time", "60", container.name)
        for one in crowd:
            one.join(120)
            assert not one.is_alive()
        before = [answer for answer in container.answers if answer.sent < stopped]
        under_way = [answer for answer in before if answer.ended >= stopped]
        print(f"{len(before)} requests before SIGTERM, {len(under_way)} of them under way")
        assert under_way, "nothing ran when it was stopped: the test says nothing"
        assert [answer for answer in before if not answer.complete] == []
        assert {answer.status for answer in before} <= {200, 503}
        state = json.loads(docker("inspect", "--format", "{{json .State}}", container.name))
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


def _ask(container: Container, wish: dict[str, object]) -> None:
    """Asks until the server says no, or is gone."""
    with httpx.Client(base_url=container.address, timeout=120) as client:
        status = 200
        while status == 200:
            sent = time.monotonic()
            try:
                answer = client.post("/generate", json=wish)
            except httpx.TransportError:
                container.answers.append(Answer(sent, time.monotonic(), 0, complete=False))
                return
            status = answer.status_code
            container.answers.append(Answer(sent, time.monotonic(), status, complete=bool(answer.json())))


def _wait(condition: object, seconds: float = 180) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def test_an_api_without_a_bundle_says_so_in_one_line(serving_image: str, tmp_path: Path) -> None:
    said = run(serving_image, check=False)
    assert said.startswith("error: ")
    assert "/bundle" in said
    assert "\n" not in said


@pytest.mark.parametrize("api", apis())
def test_there_is_an_image_for_each_api(api: str, project: Path) -> None:
    said = run(built(api, project), check=False)
    assert said.startswith("error: ")
    assert "Traceback" not in said


def test_the_graph_of_a_lab_runs_in_the_training_image(training_image: str, project: Path, tmp_path: Path) -> None:
    """Every step, as a stranger without a network on a read-only root; only the working folder is written to."""
    print(f"{training_image}: {megabytes(training_image) - megabytes(BASE)} MB over its base")
    workspace = Workspace(tmp_path / "work")
    workspace.set_params(SMOKE)
    subprocess.run(["chown", "-R", "12345", str(workspace.folder)], check=True, timeout=60)
    mounts = (
        "--volume",
        f"{workspace.folder}:/work",
        "--workdir",
        "/work",
        "--env",
        "OMP_NUM_THREADS=1",
        "--env",
        "HOME=/work",
    )
    for step in STEPS:
        name = "digits" if step in ("prepare", "validate") else "mlp"
        run(training_image, "python", "-m", "components", step, name, options=mounts)
    made = workspace.folder / "build" / "mlp"
    bundle = Bundle.open(made / "export")
    decision = json.loads((made / "gate" / "decision.json").read_text())
    assert decision["model_digest"] == bundle.digest
    assert json.loads((made / "promote" / "promotion.json").read_text())["verdict"] == decision["verdict"]
    assert (made / "export").stat().st_uid == 12345


AS_A_STRANGER = """
import os, sys
os.umask(0)  # a task writes where its runner, who is root here, made folders
os.getuid = os.getgid = lambda: 12345
from pipelines.__main__ import main
sys.argv = ["pipelines", *sys.argv[1:]]
main()
"""


def test_the_pipeline_of_a_lab_runs_task_by_task_in_containers(training_image: str, tmp_path: Path) -> None:
    """By Kubeflow's own runner, without a network, as nobody in particular; what it leaves says who made it."""
    workspace = Workspace(tmp_path / "work")
    workspace.set_params(SMOKE)
    make_key(workspace.folder / "keys")
    keys = {
        "SIGNING_KEY": str(workspace.folder / "keys" / PRIVATE),
        "SIGNING_PUBLIC_KEYS": str(workspace.folder / "keys"),
    }
    (workspace.folder / ".dvc" / "cache").mkdir()  # closed to others than its owner, who is not the tasks' user else
    subprocess.run(["chown", "-R", "12345", str(workspace.folder)], check=True, timeout=60)
    words = ("run", "mlp", "--engine", "docker", "-S", f"pipelines.image={training_image}")
    done = subprocess.run(
        [sys.executable, "-c", AS_A_STRANGER, *words],
        cwd=workspace.folder,
        env={**workspace.environment(), **keys, "PYTHONPATH": str(workspace.folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    made = list((workspace.folder / "build" / "kubeflow").rglob("decision.json"))
    assert made, done.stdout
    assert {path.stat().st_uid for path in made} == {12345}


def test_the_training_image_is_for_kubeflow_too(training_image: str) -> None:
    script = """
import torch, pytorch_lightning, mlflow, great_expectations, dvc, dvc_s3, onnxruntime, kfp, components
import pathlib
for name in ("data", ".git", "tests", "infra"):
    assert not (pathlib.Path("/app") / name).exists(), name
for name in ("components", "pipelines", "params.yaml", "dvc.yaml", "data.dvc"):
    assert (pathlib.Path("/app") / name).exists(), name
"""
    run(training_image, "python", "-c", script)


def test_the_tracking_image_refuses_the_example_secrets(project: Path) -> None:
    image = built("tracking", project)
    print(f"{image}: {megabytes(image) - megabytes(BASE)} MB over its base")
    example = str(project / "infra" / "k8s" / "secrets" / "tracking.example.env")
    said = run(image, check=False, options=("--env-file", example))
    assert said.startswith("error: the tracking server does not start: ")
    assert "still says CHANGE-ME" in said
    assert "\n" not in said


def test_the_image_that_fetches_is_the_serving_image_and_a_small_client(serving_image: str, project: Path) -> None:
    image = built("fetch", project)
    print(f"{image}: {megabytes(image) - megabytes(serving_image)} MB over the serving image")
    run(image, "python", "-c", "import mlflow.artifacts, components.tracking.registry")
    options = ("--env", "MLFLOW_TRACKING_URI=http://127.0.0.1:9")
    arguments = ("download", "music", "--digest", "0" * 64, "--into", "/tmp/model")  # noqa: S108
    said = run(image, "python", "-m", "components", *arguments, check=False, options=options)
    assert said.startswith("error: MLflow at http://127.0.0.1:9")
