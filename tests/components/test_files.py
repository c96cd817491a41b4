"""Outputs land whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import UserError
from components.files import output_folder, read_json, write_json, write_text


def test_an_output_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("first", "second"):
        with output_folder(out) as folder:
            (folder / name).write_text(name)
    assert [file.name for file in out.iterdir()] == ["second"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_failed_step_leaves_the_old_output_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with output_folder(out) as folder:
        (folder / "kept").write_text("old")
    with pytest.raises(ValueError, match="broken"), output_folder(out) as folder:
        (folder / "half").write_text("new")
        raise ValueError("broken")
    assert [file.name for file in out.iterdir()] == ["kept"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_killed_step_leaves_the_old_output_and_the_next_run_clears_its_leftovers(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with output_folder(out) as folder:
        (folder / "kept").write_text("old")
    script = (
        "import sys, time; from pathlib import Path; from components.files import output_folder\n"
        "with output_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('new'); print('writing', flush=True); time.sleep(6000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(out)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert [file.name for file in out.iterdir()] == ["kept"]
    assert len(list(tmp_path.iterdir())) == 2
    with output_folder(out) as folder:
        (folder / "whole").write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_an_output_caught_between_the_two_renames_is_put_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    (tmp_path / f".out.{gone.pid}.abc.old").mkdir()
    (tmp_path / f".out.{gone.pid}.abc.old" / "kept").write_text("old")
    with pytest.raises(ValueError, match="broken"), output_folder(out):
        raise ValueError("broken")
    assert [file.name for file in out.iterdir()] == ["kept"]


@pytest.mark.parametrize("other", [".out.failed.{pid}.abc", ".out.failed.{pid}.abc.old", ".out.json.{pid}", ".out.12x"])
def test_leftovers_of_an_output_whose_name_begins_alike_are_left_alone(tmp_path: Path, other: str) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    (tmp_path / other.format(pid=gone.pid)).mkdir()
    with output_folder(tmp_path / "out") as folder:
        (folder / "whole").write_text("new")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([other.format(pid=gone.pid), "out"])


def test_a_file_that_a_killed_process_was_writing_is_cleared_by_the_next_writer(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    (tmp_path / f".notes.txt.{gone.pid}").write_text("ha")
    write_text(tmp_path / "notes.txt", "whole")
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_is_one_clear_line_and_the_old_output_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with output_folder(out) as folder:
        (folder / "kept").write_text("old")
    with pytest.raises(UserError, match="the disk is full") as raised, output_folder(out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(out) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [file.name for file in out.iterdir()] == ["kept"]


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that the process may not write to; root, who may write everywhere, becomes somebody else meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), os.geteuid() == 0
        folder.chmod(0o555)
        if root:
            os.seteuid(65534)
        yield folder
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


def test_a_read_only_folder_is_one_clear_line(read_only_folder: Path) -> None:
    with pytest.raises(UserError, match="cannot write"), output_folder(read_only_folder / "out"):
        pass


def test_an_output_below_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), output_folder(tmp_path / "file" / "out"):
        pass


def test_json_that_is_missing_or_broken_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.json is missing"):
        read_json(tmp_path / "gone.json")
    (tmp_path / "nested.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"nested\.json is not JSON"):
        read_json(tmp_path / "nested.json")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "nan.json", {"loss": float("nan")})
    assert not (tmp_path / "nan.json").exists()


def test_two_writers_of_one_output_do_not_remove_each_others_work(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = (
        "import sys; from pathlib import Path; from components.files import output_folder\n"
        "with output_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'first').write_text('1'); print('writing', flush=True); sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", script, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with output_folder(out) as folder:
            (folder / "second").write_text("2")
        process.communicate("\n", timeout=600)
        assert process.returncode == 0
    assert [file.name for file in out.iterdir()] == ["first"]
