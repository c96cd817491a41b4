"""Signatures of promoted bundles: who promoted this folder, and that no byte of it has changed since.

The signature is an in-toto statement (v1, with the predicate `test-result`) that names the sha256 of every file of the
folder, in a DSSE envelope: formats that others' tools read, too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.errors import BundleError, UserError, one_line
from components.files import Sha256, read_json, sha256_file, write_json
from components.records import Verdict
from components.signing_keys import signer, trusted_keys

ATTESTATION = "attestation.json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
RESULTS = {Verdict.PASS: "PASSED", Verdict.WAIVED: "WARNED"}


class SignatureError(BundleError):
    """A folder without a signature, or with one that does not hold."""


class Digests(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: Sha256


class Subject(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    digest: Digests


class Statement(BaseModel):
    """What is signed. Fields that in-toto may add are not ours to refuse."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"] = Field(alias="predicateType")
    subject: tuple[Subject, ...]

    @property
    def files(self) -> dict[str, str]:
        return {subject.name: subject.digest.sha256 for subject in self.subject}


def sign(folder: Path, verdict: Verdict) -> str:
    """Signs every file of a folder, writes attestation.json into it and returns the key's id.

    Raises UserError where there is no key to sign with.
    """
    from securesystemslib.dsse import Envelope

    key = signer()
    files = _hashes(folder)
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(files.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "result": RESULTS[verdict],
            "configuration": [{"name": "decision.json", "digest": {"sha256": files["decision.json"]}}],
        },
    }
    envelope = Envelope(json.dumps(statement, sort_keys=True).encode(), PAYLOAD, {})
    envelope.sign(key)
    write_json(folder / ATTESTATION, envelope.to_dict())
    return str(key.public_key.keyid)


def signing_key_id() -> str:
    """The id of the key that `sign` takes. Raises UserError where there is none."""
    return str(signer().public_key.keyid)


def verify(folder: Path) -> None:
    """Raises SignatureError unless a trusted key has signed exactly what lies in the folder."""
    signed, found = read_attestation(folder / ATTESTATION), _hashes(folder)
    for name in sorted({*signed, *found}):
        if name not in found:
            raise SignatureError(f"{folder / name} was signed and is missing")
        if name not in signed:
            raise SignatureError(f"{folder / name} was added after the bundle was signed")
        if signed[name] != found[name]:
            raise SignatureError(f"{folder / name} was changed after it was signed")


def read_attestation(path: Path) -> dict[str, str]:
    """The sha256 of each file that a trusted key has signed. Raises SignatureError."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error

    if not path.is_file():
        raise SignatureError(f"{path.parent} is not signed: it has no {ATTESTATION}")
    keys = trusted_keys()
    if not keys:
        raise SignatureError(f"{path.parent} cannot be trusted: SIGNING_PUBLIC_KEYS names no public key (*.pub)")
    try:
        envelope = Envelope.from_dict(read_json(path))
        if envelope.payload_type != PAYLOAD:
            raise ValueError("it is no in-toto statement")
        envelope.verify(keys, 1)
        return Statement.model_validate_json(envelope.payload).files
    except ValidationError:
        raise SignatureError(f"{path} holds another statement than one about files") from None
    except (Error, UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SignatureError(f"{path} is not signed by a key that is trusted here ({one_line(error)})") from None


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: sha256_file(path) for name, path in names.items() if name != ATTESTATION}
