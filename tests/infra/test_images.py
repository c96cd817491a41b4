"""What images are made of, as far as it can be known without building them."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.docker.requirements import CUDA, LOCK, PIN, packages, pins, requirements, with_builds
from infra.images import IMAGES
from infra.manifests import K8S

PROJECT = K8S.parent.parent
DOCKERFILES = sorted((PROJECT / "infra" / "docker").glob("*.Dockerfile"))


def installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def test_every_line_of_the_locks_is_a_package_of_one_version_with_hashes() -> None:
    for name in (LOCK, CUDA):
        text = (PROJECT / name).read_text()
        assert all(line[0] in " #" for line in PIN.sub("", text).splitlines() if line)
        assert all(HASH.search(pin.lines) for pin in pins(PROJECT / name).values())


def test_the_lock_has_files_of_other_platforms_and_the_cpu_build_of_torch_but_no_cuda() -> None:
    lock, cuda = pins(PROJECT / LOCK), pins(PROJECT / CUDA)
    assert len(HASH.findall(lock["numpy"].lines)) > 20
    assert len(HASH.findall(lock["torch"].lines)) > 20
    assert re.search(r"--hash=sha256:[0-9a-f]{64}  # torch-[0-9.]+\+cpu-\S+\.whl", lock["torch"].lines)
    assert {"nvidia-cublas", "triton"} <= set(cuda)
    assert not set(cuda) & set(lock)
    assert all("sys_platform == 'linux'" in pin.lines for pin in cuda.values())


def test_a_build_of_torch_that_is_here_goes_before_the_package_indexs(tmp_path: Path) -> None:
    """Or pip takes the index's, and three gigabytes of CUDA with it."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    ours, another = (
        f"torch-9.0+cpu-{tag}-{tag}-linux_{platform.machine()}.whl",
        "torch-9.0+cpu-cp27-cp27-linux_x86_64.whl",
    )
    index = "torch==9.0 \\\n    --hash=sha256:" + "0" * 64
    lines = index + "".join(f" \\\n    --hash=sha256:{n * 64}  # {file}" for n, file in (("1", ours), ("2", another)))
    assert with_builds(lines, None) == with_builds(lines, tmp_path) == lines
    (tmp_path / another).touch()
    assert with_builds(lines, tmp_path) == lines, "another Python's"
    (tmp_path / ours).touch()
    assert with_builds(lines, tmp_path) == f"torch==9.0+cpu --hash=sha256:{'1' * 64}"
    assert with_builds(index, tmp_path) == index


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_installs_all_that_its_packages_need(image: str) -> None:
    """By what the installed packages say themselves, not by the lock."""
    chosen = {**requirements(list(IMAGES[image].extras), "gpu"), **dict.fromkeys(pins(PROJECT / CUDA), " ; ")}
    for name, pin in chosen.items():
        if " ; " in pin.splitlines()[0] and not installed(name):
            continue  # another platform's
        for line in requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in chosen, f"{name} needs {needed}"


def test_an_api_installs_what_its_labs_declare_and_others_do_not() -> None:
    assert IMAGES["agents"].arguments["EXTRAS"] == "serve games"
    assert "gymnasium" in requirements(list(IMAGES["agents"].extras), "cpu")
    assert "gymnasium" not in requirements(list(IMAGES["music"].extras), "cpu")


def test_no_image_has_what_a_search_needs() -> None:
    """A search chooses parameters on the machine that asks; images train and serve what was chosen."""
    assert "optuna" in requirements(["search"], "none")
    assert [image for image in IMAGES if "optuna" in requirements(list(IMAGES[image].extras), "cpu")] == []


def test_an_image_has_one_onnxruntime_in_the_locks_version() -> None:
    for flavour, name, other in (("cpu", "onnxruntime", "onnxruntime-gpu"), ("gpu", "onnxruntime-gpu", "onnxruntime")):
        lines = requirements(["serve", "fetch"], flavour)
        assert re.match(rf"{name}==[0-9.]+ +\\\n", lines[name])
        assert other not in lines
        assert not {"torch", "mlflow", "pandas"} & set(lines)
    assert not {"onnxruntime", "onnxruntime-gpu"} & set(requirements(["tracking"], "none"))


def test_the_client_that_fetches_brings_only_what_the_api_lacks() -> None:
    api, client = requirements(["serve"], "cpu"), requirements(["fetch"], "none", beside=["serve"])
    assert "mlflow-skinny" in client
    assert set(client) == set(requirements(["serve", "fetch"], "cpu")) - set(api)


def test_everything_that_is_installed_is_checked_against_its_hash() -> None:
    for path in (PROJECT / "Makefile", *DOCKERFILES):
        text = path.read_text().replace("\\\n", " ")
        commands = re.findall(r"pip install [^&|\n;]*", text)
        assert commands
        for command in commands:
            assert "--require-hashes --no-deps" in command or "--no-deps --no-build-isolation --editable ." in command


@pytest.mark.parametrize("same", [True, False], ids=["the locked file", "another file"])
def test_pip_refuses_a_file_whose_hash_is_not_in_the_lock(same: bool, tmp_path: Path) -> None:
    """pip itself, with the options of `make environment`."""
    options = re.findall(r"(?m)^INSTALL := python -m pip install \S+ (.*)$", (PROJECT / "Makefile").read_text())
    wheel = tmp_path / "labs_test-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("labs_test.py", "")
        about = {
            "METADATA": "Metadata-Version: 2.1\nName: labs-test\nVersion: 1.0\n",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        for name, text in about.items():
            archive.writestr(f"labs_test-1.0.dist-info/{name}", text)
    digest = hashlib.sha256(wheel.read_bytes() if same else b"").hexdigest()
    (tmp_path / "lock").write_text(f"labs-test==1.0 \\\n    --hash=sha256:{digest}\n    # via nobody\n")
    words = (*options[0].split(), "--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "there"))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *words, "--requirement", str(tmp_path / "lock")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is same, done.stderr
    assert (tmp_path / "there" / "labs_test.py").exists() is same
    assert same or "DO NOT MATCH THE HASHES" in done.stderr


def test_a_package_that_the_lock_does_not_pin_is_one_line() -> None:
    with pytest.raises(SystemExit, match=r"error: requirements\.lock does not pin no-such-package: `make lock`"):
        packages(["no-such-package"])


def test_an_unknown_extra_is_one_line() -> None:
    script = str(PROJECT / "infra" / "docker" / "requirements.py")
    done = subprocess.run([sys.executable, script, "servce"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: pyproject.toml has no extra 'servce'")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_ends_as_a_stranger_and_takes_its_base_as_an_argument(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"(?m)^ARG BASE_IMAGE=(.*)$", text) == ["python:3.11-slim"]
    stages = re.findall(r"(?m)^FROM (\S+)(?: AS (\S+))?", text)
    made_here = {name for _, name in stages}
    assert {base for base, _ in stages} <= {"${BASE_IMAGE}", *made_here}
    assert re.findall(r"(?m)^USER (.*)$", text) == ["10001:10001"]
    assert "--no-cache-dir" in text
    assert "ADD " not in text
    commands = re.findall(r"(?m)^(?:CMD|ENTRYPOINT) (.*)$", text)
    assert commands
    assert all(json.loads(command)[0] == "python" for command in commands), "started by a shell"


def test_nothing_gets_into_an_image_that_was_not_named() -> None:
    lines = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert not {name for name in let_in if re.search(r"secret|\.env|\.git$|^data$|tests|build", name)}
