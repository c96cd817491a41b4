"""Known vulnerabilities, as a service of OSV's form on this machine answers, and bills of materials."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from components.errors import UserError
from infra.docker.requirements import LOCK, pins, requirements
from infra.images import IMAGES
from infra.supply_chain import ADVISORIES, Exempt, exceptions, judged
from tests.infra.test_images import PROJECT

FLAW = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "details": "A flaw that a test made up.",
    "affected": [
        {
            "package": {"name": "pyyaml", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}
ENTRY = '[[exception]]\nid = "{id}"\npackage = "pyyaml"\nreason = "a test"\nuntil = {until}\n'


class Osv(BaseHTTPRequestHandler):
    """Answers one query for each package: one of them has a flaw."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": [FLAW]} if asked["package"]["name"] == "pyyaml" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Not into the tests' output."""


@pytest.fixture(scope="module")
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(address: str, folder: Path, *entries: str) -> subprocess.CompletedProcess[str]:
    (folder / "advisories.toml").write_text("\n".join(entries))
    words = ("audit", "--osv-url", address, "--exempt", str(folder / "advisories.toml"))
    return subprocess.run(
        [sys.executable, "-m", "infra.supply_chain", *words], capture_output=True, text=True, check=False
    )


def test_a_known_vulnerability_of_what_the_lock_pins_fails(osv: str, tmp_path: Path) -> None:
    done = audit(osv, tmp_path)
    version = pins(PROJECT / LOCK)["pyyaml"].lines.split("==")[1].split()[0]
    assert done.returncode == 1
    assert done.stderr == f"error: pyyaml {version}: PYSEC-2026-1, fixed in 99.0\n"


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-1"])
def test_an_exception_lets_it_pass_by_any_of_its_names(name: str, osv: str, tmp_path: Path) -> None:
    done = audit(osv, tmp_path, ENTRY.format(id=name, until="9999-12-31"))
    assert (done.returncode, done.stdout) == (0, "no known vulnerability, with 1 exceptions\n")


def test_an_exception_whose_day_is_over_fails_with_what_it_let_pass(osv: str, tmp_path: Path) -> None:
    done = audit(osv, tmp_path, ENTRY.format(id="CVE-2026-1", until="2026-01-01"))
    assert done.returncode == 1
    assert "PYSEC-2026-1" in done.stderr
    assert "error: the exception for CVE-2026-1 of pyyaml ended on 2026-01-01" in done.stderr


def test_an_exception_counts_on_its_last_day_and_for_its_package_only() -> None:
    found = [{"name": "pyyaml", "version": "6.0", "vulns": [{"id": "A-1", "aliases": [], "fix_versions": []}]}]
    ours = Exempt(id="A-1", package="pyyaml", reason="a test", until=date(2026, 5, 1))
    assert judged(found, [ours], date(2026, 5, 1)) == []
    assert len(judged(found, [ours], date(2026, 5, 2))) == 2
    another = ours.model_copy(update={"package": "numpy"})
    assert judged(found, [another], date(2026, 5, 1)) == ["pyyaml 6.0: A-1, fixed in no version"]


def test_a_service_that_cannot_be_asked_is_one_line_and_no_pass(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # and does not listen: a connection is refused
        done = audit(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/query", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nothing was audited: pip-audit could not ask the service osv: ")
    assert done.stderr.count("\n") == 1


def test_a_package_that_the_service_does_not_answer_for_is_no_pass() -> None:
    """pip-audit itself calls this a success."""
    entries: list[dict[str, Any]] = [
        {"name": "a", "version": "1", "vulns": []},
        {"name": "b", "skip_reason": "not found"},
    ]
    with pytest.raises(UserError, match=r"^1 of 2 packages were not audited, the first is b: "):
        judged(entries, [], date(2026, 5, 1))


def test_the_exceptions_are_of_locked_packages_and_have_reasons() -> None:
    for one in exceptions(PROJECT / ADVISORIES):
        assert one.package in pins(PROJECT / LOCK)
        assert len(one.reason) > 20


def test_an_exception_without_a_day_is_one_line(tmp_path: Path) -> None:
    done = audit("http://127.0.0.1:9", tmp_path, '[[exception]]\nid = "A"\npackage = "b"\nreason = "c"\n')
    assert done.returncode == 2
    assert done.stderr.startswith("error: advisories.toml: ")
    assert "until" in done.stderr


def test_the_bills_of_materials_name_all_that_is_installed(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "infra.supply_chain", "sbom", "--into", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.cdx.json" for name in (*IMAGES, "environment")}
    for name in ("music", "environment"):
        text = (tmp_path / f"{name}.cdx.json").read_text()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    named = {one["name"].lower(): one for one in json.loads((tmp_path / "music.cdx.json").read_text())["components"]}
    assert set(named) == set(requirements(["serve"], "cpu"))
    assert named["numpy"]["externalReferences"][0]["hashes"]
    assert "torch" not in named
