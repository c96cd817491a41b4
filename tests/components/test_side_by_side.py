"""Commands that run at the same time: real processes, which wait for each other."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from components.side_by_side import SideBySide, fitting

MEETING = """
import sys, time
from pathlib import Path
mine, other = Path(sys.argv[1]), Path(sys.argv[2])
mine.touch()
while not other.exists():
    time.sleep(0.01)
print(mine.name, "has met", other.name)
"""


def meeting(folder: Path, mine: str, other: str) -> list[str]:
    return [sys.executable, "-c", MEETING, str(folder / mine), str(folder / other)]


def test_two_run_at_the_same_time_and_each_line_names_its_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One after another, the first would wait for ever."""
    commands = {"music": meeting(tmp_path, "a", "b"), "digits + mlp": meeting(tmp_path, "b", "a")}
    assert SideBySide(commands, at_once=2).run() == {"music": 0, "digits + mlp": 0}
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "digits + mlp | b has met a",
        "music        | a has met b",
    ]


def test_no_more_run_than_may(tmp_path: Path) -> None:
    alone = f"from pathlib import Path; p = Path({str(tmp_path)!r}, 'x'); p.mkdir(); p.rmdir()"
    commands = {str(number): [sys.executable, "-c", alone] for number in range(6)}
    assert set(SideBySide(commands, at_once=1).run().values()) == {0}


def test_one_that_fails_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    commands = {"faces": ["sh", "-c", f"echo no >&2; touch {tmp_path}/b; exit 7"], "music": meeting(tmp_path, "a", "b")}
    commands["pong"] = ["echo", "later"]
    assert SideBySide(commands, at_once=2).run() == {"faces": 7, "music": 0, "pong": 0}
    assert {"faces | no", "music | a has met b", "pong  | later"} == {*capsys.readouterr().out.splitlines()}
    assert "faces failed with exit code 7" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_it_stops_all_and_starts_no_more(number: signal.Signals, tmp_path: Path) -> None:
    script = f"""
from components.side_by_side import SideBySide
sleeping = ["sh", "-c", "echo asleep; sleep 1000; true"]  # the shell waits for a process of its own
SideBySide({{"a": sleeping, "b": sleeping, "c": ["touch", {str(tmp_path / "c")!r}]}}, at_once=2).run()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert {process.stdout.readline() for _ in range(2)} == {"a | asleep\n", "b | asleep\n"}
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(number)
        _, errors = process.communicate()
    assert "KeyboardInterrupt" in errors.splitlines()[-1]
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert not (tmp_path / "c").exists()


def test_what_did_not_hear_that_it_should_stop_is_asked_again() -> None:
    script = """
from components import side_by_side
side_by_side.ASKED_AGAIN_SECONDS = 0.1
deaf = ["sh", "-c", "trap 'trap - INT' INT; echo asleep; while true; do sleep 0.1; done"]  # to the first time
side_by_side.SideBySide({"a": deaf}, at_once=1).run()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a | asleep\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert "KeyboardInterrupt" in errors.splitlines()[-1]


def test_how_many_fit_depends_on_cores_and_free_memory() -> None:
    assert fitting(1, 0.001) == 1
    assert fitting(1000, 0.001) == len(psutil.Process().cpu_affinity() or ())
    assert fitting(1000, 1e6) == 1
