"""A package index in a folder, for pip: one package of tunes and faces whose source archive has data in it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

# A backend that needs nothing else: pip asks even a package that it only downloads for its metadata.
BACKEND = (
    "def get_requires_for_build_wheel(*_): return []\n"
    "def prepare_metadata_for_build_wheel(folder, *_):\n"
    "    import pathlib; info = pathlib.Path(folder, 'tunes-1.0.dist-info'); info.mkdir()\n"
    "    (info / 'METADATA').write_text('Metadata-Version: 2.1\\nName: tunes\\nVersion: 1.0\\n')\n"
    "    return info.name\n"
)
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
FACES = (("a.png", b"a"), ("b.png", b"b"))
"""What the package has below tunes/data/faces."""


def write_index(folder: Path, tunes: bytes, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Makes the index that pip asks from now on. Returns the keys of a place of the kind sdist, without its path.

    tunes: what the package has at tunes/data/a.abc.
    """
    members = {
        "PKG-INFO": b"Metadata-Version: 2.1\nName: tunes\nVersion: 1.0\n",
        "backend.py": BACKEND.encode(),
        "pyproject.toml": PROJECT.encode(),
        "tunes/data/a.abc": tunes,
        **{f"tunes/data/faces/{name}": content for name, content in reversed(FACES)},
    }
    folder.mkdir()
    archive = folder / "tunes-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"tunes-1.0/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return {"kind": "sdist", "package": "tunes", "version": "1.0", "sha256": sha256}
