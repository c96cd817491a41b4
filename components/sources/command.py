"""Other programs (git, pip, dvc), run so that they never ask, never hang and fail in one line."""

import subprocess
from pathlib import Path

from components.sources.errors import UnavailableError


def run(
    *command: str | Path, cwd: Path, stdin: bytes = b"", timeout: float = 600, variables: dict[str, str] | None = None
) -> bytes:
    """Runs a program and returns its standard output.

    `variables` are added to the environment. Raises UnavailableError with the last two lines of its errors when it
    fails, is not installed, or takes longer than `timeout` seconds.
    """
    name = command[2] if command[1] == "-m" else command[0]
    additions = [f"{name}={value}" for name, value in (variables or {}).items()]
    try:
        # A session of its own has no terminal, so that nothing can stop to ask for a password.
        done = subprocess.run(
            ["env", *additions, *command],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{name} took longer than {timeout:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").splitlines()
        # DVC's last word is where to ask for help.
        lines = [line for line in said if line.strip() and not line.startswith("Having any troubles?")]
        lines = lines or [f"exit code {done.returncode}"]
        raise UnavailableError(f"{name}: {' '.join(' '.join(lines[-2:]).split())}")
    return done.stdout
