"""Writing files so that a killed process leaves the old output or the new one, never half of either."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints

from components.errors import UserError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""As `sha256_file` writes it."""


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block succeeds.

    The old output stays until then. Raises UserError when the disk is full or the place can't be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.{os.getpid()}.", dir=path.parent))
        temporary.chmod(0o755)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        _swap(temporary, path)
    except OSError as error:
        if _is_about_writing(error):
            raise _cannot_write(path, error) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file by rename. Raises UserError when the disk is full or the place can't be written."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Writes sorted, indented JSON by rename; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads JSON. Raises UserError naming the file when it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step that writes it first") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None


def sha256_file(path: Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _swap(temporary: Path, path: Path) -> None:
    """Renames the old output aside, the new one in, then removes the old: no moment without a whole output on disk."""
    old = temporary.with_name(temporary.name + ".old")
    if path.exists():
        path.rename(old)
    try:
        temporary.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    """Clears what killed processes left, and puts back an output that a kill caught between the two renames."""
    # The process is a number: `.validate.failed.12` is of `validate.failed`, and no business of `validate`.
    ours = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})(\.\w+)?(\.old)?")
    for leftover in path.parent.iterdir():
        match = ours.fullmatch(leftover.name)
        if match is None or _is_running(int(match[1])):
            continue
        if match[3] and not path.exists():
            leftover.rename(path)
        elif leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_about_writing(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def _cannot_write(path: Path, error: OSError) -> UserError:
    reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else (error.strerror or str(error))
    return UserError(f"cannot write {path}: {reason}; make room or permission there, the old output is untouched")
