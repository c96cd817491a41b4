"""Runs reach MLflow whole: through outages, kills and uploads that were cut short."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from components.errors import UserError
from components.settings import project_root, settings
from components.steps import lab_step
from components.steps.promote import roll_back
from components.tracking import runs as tracking_runs
from components.tracking.journal import JOURNALS, Run, journals
from components.tracking.mlflow_client import MlflowError, check_reachable, connect
from components.tracking.runs import lightning_logger, repro, tracked
from components.tracking.upload import upload
from tests.components.bundles import PROVENANCE
from tests.small_disk import run_on_small_disk

PROJECT = project_root()
TAGS = {"lab": "music"} | {name: str(value) for name, value in PROVENANCE}
DATA = (PROVENANCE.data_profile, PROVENANCE.data_version)


def runs(condition: str = "") -> list[MlflowRun]:
    mlflow = connect()
    experiment = mlflow.get_experiment_by_name("labs")
    return mlflow.search_runs([experiment.experiment_id], condition) if experiment else []


def run_of(step: str) -> MlflowRun:
    (run,) = runs(f"tags.step = '{step}'")
    return run


def test_a_step_is_recorded_with_parameters_metrics_data_and_provenance(workplace: Path) -> None:
    report = workplace / "report.json"
    report.write_text("{}")
    with tracked("music", "prepare", {"limit": 0, "deep": {"er": None}}, TAGS, DATA) as run:
        run.log_metrics({"tunes": 806})
        run.log_artifact(report)
        report.unlink()
    upload()
    found = run_of("prepare")
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "music prepare"
    assert found.data.params == {"limit": "0", "deep.er": "None"}
    assert found.data.metrics["tunes"] == 806
    assert "system/system_memory_usage_megabytes" in found.data.metrics
    assert found.data.tags["code_hash"] == PROVENANCE.code_hash
    assert (found.data.tags["subject"], found.data.tags["step"]) == ("music", "prepare")
    assert found.inputs
    (dataset,) = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("course", PROVENANCE.data_version)
    assert [file.path for file in connect().list_artifacts(found.info.run_id)] == ["report.json"]
    assert journals() == []


def test_the_version_of_data_with_pretrained_weights_is_recorded_though_mlflow_cuts_it_off(workplace: Path) -> None:
    version = f"{'a' * 32}.dir+{'b' * 32}.dir"
    with tracked("transfer", "train", {}, TAGS, ("course", version)):
        pass
    upload()
    assert journals() == []
    inputs = run_of("train").inputs
    assert inputs is not None
    (dataset,) = inputs.dataset_inputs
    assert version.startswith(dataset.dataset.digest) and dataset.dataset.source == version


def test_steps_lie_below_the_run_of_their_make_repro(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with repro(("music",)) as parent:
        monkeypatch.setenv("REPRO_RUN", parent.id)
        settings.cache_clear()
        with tracked("music", "prepare", {}, {}, None):
            pass
    (found,) = runs("tags.labs = 'music'")
    assert found.info.run_name == "repro music"
    assert run_of("prepare").data.tags["mlflow.parentRunId"] == found.info.run_id


@pytest.mark.parametrize("uploaded", [True, False])
def test_a_run_that_goes_on_in_another_process_is_one_run_with_all_below_it(workplace: Path, uploaded: bool) -> None:
    """As a search does, which was stopped: whether or not its journal had reached MLflow by then."""
    own = "a" * 32
    with pytest.raises(KeyboardInterrupt), tracked("mlp", "search", {"seed": 1}, TAGS, DATA, id=own) as run:
        with tracked("mlp", "trial", {}, TAGS, DATA, parent=run):
            pass
        raise KeyboardInterrupt
    if uploaded:
        upload()
        assert run_of("search").info.status == "KILLED"
    with tracked("mlp", "search", {"seed": 1}, TAGS, DATA, id=own) as run:
        with tracked("mlp", "trial", {}, TAGS, DATA, parent=run):
            pass
        run.log_metrics({"trials": 2})
        upload()
        assert [journal.status for journal in journals()] == ["RUNNING"]
    upload()
    parent = run_of("search")
    assert (parent.info.status, parent.data.metrics["trials"]) == ("FINISHED", 2)
    trials = runs("tags.step = 'trial'")
    assert [trial.data.tags["mlflow.parentRunId"] for trial in trials] == [parent.info.run_id] * 2


def test_skipped_stages_are_linked_to_the_run_that_made_their_output(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_repro(*steps: str) -> MlflowRun:
        monkeypatch.delenv("REPRO_RUN", raising=False)
        with repro(("music",)) as parent:
            monkeypatch.setenv("REPRO_RUN", parent.id)
            settings.cache_clear()
            for step in steps:
                with tracked("music", step, {}, {}, None):
                    pass
            write_lock()
        (found,) = runs(f"tags.journal = '{parent.id}'")
        return found

    def write_lock(train: str = "b") -> None:
        outs = {"prepare@music": "a", "train@music": train, "train@faces": "c"}
        lines = [f"  {stage}:\n    outs: [{{path: build, md5: {md5}}}]" for stage, md5 in outs.items()]
        Path("dvc.lock").write_text("\n".join(["stages:", *lines]) + "\n")

    first = make_repro("prepare")
    assert first.data.tags["skipped/music/train"] == "unknown"
    assert "skipped/music/prepare" not in first.data.tags
    assert "skipped/faces/train" not in first.data.tags
    second = make_repro("train")
    assert second.data.tags["skipped/music/prepare"] == run_of("prepare").info.run_id
    third = make_repro()
    assert third.data.tags["skipped/music/train"] == run_of("train").info.run_id


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_step_that_fails_is_marked_and_its_error_is_its_own(
    workplace: Path, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), tracked("music", "prepare", {}, {}, None):
        raise error
    upload()
    assert run_of("prepare").info.status == status


def test_a_step_killed_outright_is_marked_by_the_next_command_with_what_it_had_recorded(workplace: Path) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            with tracked("music", "train", {"seed": 1}, {}, None) as run:
                run.log_metrics({"loss": 2.0}, step=7)
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with tracked("music", "prepare", {}, {}, None):
        found = run_of("train")
        assert found.info.status == "KILLED"
        assert found.data.metrics == {"loss": 2.0}


def test_a_process_that_has_the_pid_of_a_dead_one_does_not_keep_its_run_alive(workplace: Path) -> None:
    run = Run.open("music train", None, {"step": "train"})
    start = run.folder / "start.json"
    start.write_text(json.dumps({**json.loads(start.read_text()), "process_started": 1.0}))
    upload()
    assert run_of("train").info.status == "KILLED"


def test_a_line_cut_by_a_kill_is_left_out(workplace: Path) -> None:
    run = Run.open("music train", None, {"step": "train"})
    run.log_metrics({"loss": 1.0}, 1)
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"metrics": {"lo')
    upload()
    assert run_of("train").data.metrics == {"loss": 1.0}


def test_lightning_logs_every_step_of_a_curve(workplace: Path) -> None:
    with tracked("music", "train", {}, {}, None, live=True) as run:
        logger = lightning_logger(run)
        logger.log_hyperparams({"seed": 1})
        for step in range(1234):
            logger.log_metrics({"loss": 1 / (step + 1)}, step)
    history = connect().get_metric_history(run_of("train").info.run_id, "loss")
    assert sorted(point.step for point in history) == list(range(1234))


def test_a_live_run_is_seen_while_it_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_runs, "UPLOAD_SECONDS", 0.05)
    with tracked("music", "train", {}, {}, None, live=True) as run:
        run.log_metrics({"loss": 1.0})
        _wait_for(lambda: runs("tags.step = 'train' and metrics.loss > 0"))
        assert run_of("train").info.status == "RUNNING"


def _wait_for(condition: object) -> None:
    import time

    for _ in range(6000):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_system_metrics_are_taken_while_torch_is_still_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that uploads starts before a lab imports torch, and must outlive that."""
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert "system/cpu_utilization_percentage" in tracking_runs._system_metrics()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:9", "refused"),
        ("sqlite:///broken.db", "not a database"),
        ("sqlite:///nowhere/mlflow.db", "cannot be written"),
        ("./mlruns", "not an address"),
    ],
)
def test_an_mlflow_that_is_not_there_stops_a_step_before_it_begins(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, uri: str, reason: str
) -> None:
    Path("broken.db").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings.cache_clear()
    with pytest.raises(MlflowError, match=reason) as raised, tracked("music", "train", {}, {}, None):
        pytest.fail("the step began")
    assert uri in str(raised.value)
    assert "\n" not in str(raised.value)
    assert journals() == []


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_that_answers_with_its_own_failure_is_not_there(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with (
        served(status, monkeypatch) as uri,
        pytest.raises(MlflowError, match=str(status)) as raised,
        tracked("music", "train", {}, {}, None),
    ):
        pytest.fail("the step began")
    assert uri in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("status", [200, 401, 403, 404])
def test_a_server_that_wants_to_know_who_asks_is_there(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with served(status, monkeypatch):
        check_reachable()


@contextmanager
def served(status: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """MLflow's address is that of a server that answers every request with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            uri = f"http://127.0.0.1:{server.server_port}"
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            settings.cache_clear()
            yield uri
        finally:
            server.shutdown()
            thread.join()


def test_an_outage_in_the_middle_costs_nothing_but_a_warning_and_the_next_command_catches_up(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracking_runs, "UPLOAD_SECONDS", 0.05)
    with caplog.at_level(logging.WARNING), tracked("music", "train", {}, {}, None, live=True) as run:
        run.log_metrics({"loss": 2.0}, 1)
        _wait_for(lambda: runs("tags.step = 'train'"))
        Path("away.db").hardlink_to("mlflow.db")
        Path("nothing").mkdir()
        Path("link").symlink_to("nothing")
        Path("link").replace("mlflow.db")  # at once: in between, the uploading thread would make a new database
        run.log_metrics({"loss": 1.0}, 2)
        _wait_for(lambda: "music train goes on" in caplog.text)
    assert "NOT RECORDED YET: music train" in caplog.text
    assert caplog.text.count("music train goes on") == 1
    Path("away.db").replace("mlflow.db")
    upload()
    found = run_of("train")
    assert found.info.status == "FINISHED"
    assert len(connect().get_metric_history(found.info.run_id, "loss")) == 2


@pytest.mark.parametrize("call", ["create_run", "log_batch", "log_inputs", "log_artifacts", "set_terminated"])
@pytest.mark.parametrize("after", [False, True])
def test_an_upload_cut_anywhere_is_finished_by_the_next_without_doubles(
    workplace: Path, call: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracked("music", "prepare", {"a": 1}, TAGS, DATA) as run:
        run.log_metrics({"loss": 1.0}, 3)
        (workplace / "report.json").write_text("{}")
        run.log_artifact(workplace / "report.json")
    original = getattr(MlflowClient, call)

    def cut(*arguments: object, **options: object) -> None:
        if after:
            original(*arguments, **options)
        raise OSError("the line went dead")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, cut)
        with pytest.raises(MlflowError, match="the line went dead"):
            upload()
    upload()
    found = run_of("prepare")
    assert found.info.status == "FINISHED"
    assert len(connect().get_metric_history(found.info.run_id, "loss")) == 1
    assert found.inputs
    assert len(found.inputs.dataset_inputs) == 1
    assert [path.name for path in JOURNALS.iterdir()] == [".lock"]


def test_a_database_that_was_removed_is_filled_again_with_the_whole_run(workplace: Path, empty_database: Path) -> None:
    run = Run.open("music train", None, {"step": "train"})
    run.log_metrics({"loss": 2.0}, 1)
    upload()
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{workplace / 'other.db'}"  # restored by the fixture
    (workplace / "other.db").write_bytes(empty_database.read_bytes())
    settings.cache_clear()
    run.log_metrics({"loss": 1.0}, 2)
    upload()
    assert len(connect().get_metric_history(run_of("train").info.run_id, "loss")) == 2


def test_a_folder_that_cannot_be_written_is_one_line(workplace: Path) -> None:
    Path("build").write_text("a file")
    with pytest.raises(UserError, match="cannot write"), tracked("music", "prepare", {}, {}, None):
        pytest.fail("the step began")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "music tr', '{"name": "music train", "time": "noon"}'])
def test_a_damaged_journal_is_set_aside_with_one_warning_and_the_others_arrive(
    workplace: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    damaged = Run.open("music train", None, {"step": "train"})
    damaged.log_metrics({"loss": 1.0})
    (damaged.folder / "start.json").write_text(text)
    with tracked("music", "prepare", {}, {}, None):
        pass
    upload()
    assert run_of("prepare").info.status == "FINISHED"
    assert caplog.text.count("is damaged") == 1
    assert (damaged.folder / "start.json.damaged").read_text() == text
    assert (damaged.folder / "events.jsonl").exists()


def test_a_line_that_a_full_disk_cut_and_the_next_was_appended_to_is_left_out(workplace: Path) -> None:
    run = Run.open("music train", None, {"step": "train"})
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"metrics": {"lo')
    run.log_metrics({"loss": 2.0}, 1)
    run.log_metrics({"loss": 1.0}, 2)
    run.end("FINISHED")
    upload()
    assert run_of("train").info.status == "FINISHED"
    assert run_of("train").data.metrics == {"loss": 1.0}


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_a_damaged_note_of_what_is_uploaded_makes_no_doubles(workplace: Path, text: str) -> None:
    run = Run.open("music train", None, {"step": "train"})
    run.log_metrics({"loss": 2.0}, 1)
    upload()
    (run.folder / "uploaded.json").write_text(text)
    upload()
    assert len(connect().get_metric_history(run_of("train").info.run_id, "loss")) == 1


def test_runs_of_another_build_folder_are_journalled_there(workplace: Path) -> None:
    Path("data.dvc").write_text("outs: [{md5: aaaa.dir, path: data/music}]\n")
    with lab_step("train", "music", PROJECT / "params.yaml", Path("elsewhere"), live=True) as this:
        assert [journal.id for journal in journals(Path("elsewhere/.runs"))] == [this.run.id]
    assert run_of("train").info.status == "FINISHED"
    with pytest.raises(UserError, match="no version 7"):
        roll_back(this.lab, "7", this.run.folder.parent)
    assert not Path("build").exists()


FILLED = """
import os, sys
from pathlib import Path
from components.errors import UserError
from components.files import output_folder
from components.tracking.runs import tracked

os.chdir(sys.argv[1])
with tracked("music", "prepare", {}, {}, None) as run:
    Path("report.json").write_text("{}")
    Path("filler").write_bytes(bytes(1 << 18))
    try:
        with Path("filler").open("ab", buffering=0) as file:
            while file.write(bytes(100)):
                pass
    except OSError:
        pass
    for step in range(1000):
        run.log_metrics({"loss": 1.0}, step)
    run.log_artifact(Path("report.json"))
    try:
        with output_folder(Path("out")) as folder:
            (folder / "half").write_bytes(bytes(1 << 18))
    except UserError as error:
        print(error)
"""


def test_a_full_disk_costs_a_step_its_record_and_leaves_it_its_own_error(workplace: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = run_on_small_disk(disk, 512, FILLED, str(disk))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cannot write out: the disk is full")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "NOT RECORDED: music prepare" in done.stderr
