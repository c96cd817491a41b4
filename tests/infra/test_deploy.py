"""A promoted model reaches a running API by moving one annotation, and goes back the same way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from components.errors import UserError
from components.labs import find
from infra import deploy, pods
from infra.deploy import DIGEST, PREVIOUS, SERVED
from tests.components.steps.test_promote import make_candidate, run_promote
from tests.infra.cluster import Cluster, cluster, no_room, no_such_model, write_configuration
from tests.infra.manifests import objects

PROJECT = Path(__file__).resolve().parent.parent.parent
FIRST, SECOND, THIRD = "1" * 64, "2" * 64, "3" * 64


@pytest.fixture
def running(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster with the music API as the manifests have it, and an empty registry."""
    (found,) = (
        one for one in objects("local") if one["kind"] == "Deployment" and one["metadata"]["name"] == "music-api"
    )
    connected_from(workplace, monkeypatch)
    with cluster(yaml.safe_load(yaml.safe_dump(found))) as here:
        write_configuration(workplace / "kubeconfig", here.address)
        yield here


def connected_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has Kubernetes' client read `kubeconfig` in a folder."""
    monkeypatch.setattr(deploy, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
    # The client reads the variable once, when it is imported, and keeps it in two places.
    for place in ("kubernetes.config", "kubernetes.config.kube_config"):
        monkeypatch.setattr(f"{place}.KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "kubeconfig"))


def roll(digest: str) -> None:
    deploy.deploy(connected(), "music", digest, 600)


def connected() -> pods.Cluster:
    return pods.Cluster.connect(None, "labs")


def served(here: Cluster) -> str:
    return str(here.deployment["spec"]["template"]["metadata"]["annotations"][DIGEST])


def command(capsys: pytest.CaptureFixture[str], lab: str, **options: Any) -> tuple[int, str]:
    """The command's exit code and what it says on standard error."""
    try:
        deploy.main(
            lab, **{"digest": None, "back": False, "namespace": "labs", "context": None, "seconds": 600, **options}
        )
    except typer.Exit as end:
        return end.exit_code, capsys.readouterr().err
    return 0, capsys.readouterr().err


def test_the_champion_is_rolled_out_and_one_command_goes_back(
    running: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_candidate(weight=2.0).digest
    run_promote()
    assert command(capsys, "music")[0] == 0
    assert served(running) == first

    second = make_candidate(weight=3.0, bits_per_char=1.2).digest
    run_promote()
    assert command(capsys, "music")[0] == 0
    assert served(running) == second
    assert running.deployment["metadata"]["annotations"][PREVIOUS] == first

    words = [sys.executable, "-m", "infra.deploy", "music", "--back"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert f"music serves {first} (before: {second})" in done.stderr
    assert served(running) == first
    assert running.rolled == [first, second, first]


def test_a_model_that_no_pod_gets_ready_with_is_taken_back_to_the_pods_that_are_still_there(running: Cluster) -> None:
    roll(FIRST)
    running.troubles[SECOND] = no_room()
    with pytest.raises(UserError, match=f"did not take {SECOND}: .*went back to {FIRST}, which is served"):
        roll(SECOND)
    assert served(running) == FIRST
    assert running.rolled == [FIRST, SECOND, FIRST]
    assert len(running.replica_sets) == 2, "going back needs no new pod, which might find no room either"


def test_the_first_model_has_nothing_to_go_back_to(running: Cluster) -> None:
    running.troubles[FIRST] = no_room()
    with pytest.raises(UserError, match="ProgressDeadlineExceeded"):
        roll(FIRST)
    assert running.rolled == [FIRST]


def test_after_a_deploy_that_failed_back_goes_to_the_model_served_before_and_not_to_the_one_that_failed(
    running: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    roll(FIRST)
    roll(SECOND)
    running.troubles[THIRD] = no_room()
    with pytest.raises(UserError, match=f"went back to {SECOND}"):
        roll(THIRD)
    annotations = running.deployment["metadata"]["annotations"]
    assert (annotations[SERVED], annotations[PREVIOUS]) == (SECOND, FIRST)
    assert command(capsys, "music", back=True)[0] == 0
    assert served(running) == FIRST
    assert command(capsys, "music", back=True)[0] == 0
    assert served(running) == SECOND


def test_after_a_rollout_that_was_left_alone_back_goes_to_the_model_that_is_served(
    running: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after Ctrl-C: the pods are told another model than the one that every pod served last."""
    roll(FIRST)
    running.troubles[SECOND] = no_room()
    deploy._move(connected(), "music", SECOND, "now", deploy.read(connected(), "music"))
    assert command(capsys, "music", back=True)[0] == 0
    assert served(running) == FIRST


def test_a_deploy_that_was_cut_off_after_it_had_succeeded_is_remembered_by_the_next(running: Cluster) -> None:
    roll(FIRST)
    deploy._move(connected(), "music", SECOND, "now", deploy.read(connected(), "music"))
    for _ in range(3):  # the rollout takes its time, and nobody is there to write down that it succeeded
        deploy.read(connected(), "music")
    running.troubles[THIRD] = no_room()
    with pytest.raises(UserError, match=f"went back to {SECOND}"):
        roll(THIRD)


def test_the_same_model_is_tried_again_with_new_pods_once_the_cause_is_mended(running: Cluster) -> None:
    running.troubles[FIRST] = no_room()
    with pytest.raises(UserError, match="Insufficient cpu"):
        roll(FIRST)
    with pytest.raises(UserError, match="Insufficient cpu"):
        roll(FIRST)
    assert len(running.replica_sets) == 2
    running.troubles.clear()
    roll(FIRST)
    assert served(running) == FIRST


def test_the_failure_of_the_rollout_before_is_not_taken_for_this_ones(running: Cluster) -> None:
    """Kubernetes goes on reporting it until it has looked at the new one."""
    running.troubles[FIRST] = no_room()
    with pytest.raises(UserError):
        roll(FIRST)
    old = deploy.read(connected(), "music").failure
    assert old is not None
    running.troubles[SECOND] = no_such_model("error: nothing here")
    with pytest.raises(UserError, match="nothing here"):
        roll(SECOND)


def test_a_failed_deploy_says_what_its_own_pods_say(running: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    running.troubles[FIRST] = no_room()
    with pytest.raises(UserError, match=r"no node takes the pod: 0/1 nodes are available: 1 Insufficient cpu\.$"):
        roll(FIRST)
    line = f"error: MLflow has no model of music with the digest {SECOND}"
    running.troubles[SECOND] = no_such_model(line)
    with pytest.raises(UserError, match=rf"container bundle ended \(Error, exit code 2\): {line}$"):
        roll(SECOND)


def test_a_pod_that_changes_at_the_same_moment_is_no_conflict(running: Cluster) -> None:
    running.busy = 2
    roll(FIRST)
    assert served(running) == FIRST


def test_what_is_served_already_is_left_alone(running: Cluster) -> None:
    roll(FIRST)
    version = running.deployment["metadata"]["resourceVersion"]
    roll(FIRST)
    assert running.deployment["metadata"]["resourceVersion"] == version


def test_two_at_once_do_not_overwrite_each_other(running: Cluster) -> None:
    seen = deploy.read(connected(), "music")
    roll(FIRST)
    with pytest.raises(UserError, match="somebody changed it"):
        deploy._move(connected(), "music", SECOND, "now", seen)
    assert served(running) == FIRST


def test_what_goes_wrong_is_one_line(
    running: Cluster, workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(lab: str, **options: Any) -> str:
        code, said = command(capsys, lab, **options)
        assert code == 2
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        return said

    assert "no champion" in refused("music")
    assert "nothing to go back to" in refused("music", back=True)
    assert "no model's digest" in refused("music", digest="latest")
    assert "no such Deployment" in refused("faces", digest=FIRST)
    monkeypatch.setattr(type(find("transfer")), "api", None)
    assert "has no API" in refused("transfer")
    write_configuration(workplace / "kubeconfig", running.address, token="another")
    assert "log in" in refused("music", digest=FIRST)
    write_configuration(workplace / "kubeconfig", "http://127.0.0.1:9")
    assert "cannot be reached" in refused("music", digest=FIRST)
    (workplace / "kubeconfig").unlink()
    assert "no cluster is configured" in refused("music", digest=FIRST)
