"""Signatures in a published format, by a key that is its owner's only."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from components.errors import UserError
from components.records import Verdict
from components.settings import local_keys, settings
from components.signing import ATTESTATION, SignatureError, sign, verify
from components.signing_keys import PRIVATE, PUBLIC, local_key, make_key


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pair of its own, which this process signs with and trusts."""
    folder = tmp_path / "keys"
    make_key(folder)
    use(monkeypatch, SIGNING_KEY=str(folder / PRIVATE), SIGNING_PUBLIC_KEYS=str(folder))
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "plots").mkdir(parents=True)
    (folder / "decision.json").write_text("{}")
    (folder / "plots" / "loss.svg").write_text("<svg/>")
    return folder


@pytest.fixture(autouse=True)
def _forget_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    settings.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


def test_an_envelope_is_what_its_specifications_say(keys: Path, bundle: Path) -> None:
    """DSSE v1 and in-toto's statement v1, checked without the library that writes them."""
    sign(bundle, Verdict.WAIVED)
    envelope = json.loads((bundle / ATTESTATION).read_text())
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    assert kind == "application/vnd.in-toto+json"
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    public = load_pem_public_key((keys / PUBLIC).read_bytes())
    public.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)  # type: ignore[union-attr,call-arg]
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["result"] == "WARNED"
    assert [subject["name"] for subject in statement["subject"]] == ["decision.json", "plots/loss.svg"]
    verify(bundle)


def test_a_file_in_a_folder_below_counts_like_any_other(keys: Path, bundle: Path) -> None:
    sign(bundle, Verdict.PASS)
    (bundle / "plots" / "loss.svg").write_text("<svg></svg>")
    with pytest.raises(SignatureError, match=r"loss\.svg was changed after it was signed"):
        verify(bundle)


def test_a_key_is_readable_by_its_owner_only_and_is_never_replaced(keys: Path, bundle: Path) -> None:
    assert stat.S_IMODE((keys / PRIVATE).stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    with pytest.raises(UserError, match="exists: move it away"):
        make_key(keys)
    (keys / PRIVATE).chmod(0o644)
    with pytest.raises(UserError, match="may be read by others"):
        sign(bundle, Verdict.PASS)


def test_a_machine_makes_its_own_key_once_outside_the_project(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, HOME=str(tmp_path / "home"), SIGNING_KEY="", SIGNING_PUBLIC_KEYS="")
    key = local_key().read_bytes()
    sign(bundle, Verdict.PASS)
    verify(bundle)
    assert local_key().read_bytes() == key
    assert local_keys().is_relative_to(tmp_path / "home")
    assert key not in b"".join(path.read_bytes() for path in bundle.rglob("*") if path.is_file())


def test_several_keys_are_trusted_while_one_takes_another_s_place(
    keys: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(bundle, Verdict.PASS)
    make_key(tmp_path / "new")
    (tmp_path / "new" / PUBLIC).rename(keys / "new.pub")
    verify(bundle)
    use(monkeypatch, SIGNING_KEY=str(tmp_path / "new" / PRIVATE))
    sign(bundle, Verdict.PASS)
    verify(bundle)
    (keys / "new.pub").unlink()
    with pytest.raises(SignatureError, match="not signed by a key that is trusted here"):
        verify(bundle)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON"),
        ("[]", "not signed by a key"),
        ('{"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": []}', "not signed by a key"),
        ('{"payload": 7, "payloadType": null, "signatures": [null]}', "not signed by a key"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_envelope_is_one_line(keys: Path, bundle: Path, content: str, words: str) -> None:
    (bundle / ATTESTATION).write_text(content)
    with pytest.raises(SignatureError, match=words) as raised:
        verify(bundle)
    assert "\n" not in str(raised.value)


def test_nothing_is_trusted_where_there_is_no_key(
    keys: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(bundle, Verdict.PASS)
    for place in (tmp_path / "none", bundle):
        use(monkeypatch, SIGNING_PUBLIC_KEYS=str(place))
        with pytest.raises(SignatureError, match="names no public key"):
            verify(bundle)
    use(monkeypatch, SIGNING_PUBLIC_KEYS=str(keys / PRIVATE))
    with pytest.raises(UserError, match="is no public key in PEM"):
        verify(bundle)


def test_a_service_s_key_that_cannot_be_used_is_one_line(
    keys: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, SIGNING_KEY="awskms:alias/labs")
    with pytest.raises(UserError, match=r"^SIGNING_KEY awskms cannot be used: [^\n]*$"):
        sign(bundle, Verdict.PASS)
    use(monkeypatch, SIGNING_KEY=f"file2:{keys / PRIVATE}")
    sign(bundle, Verdict.PASS)
    verify(bundle)


def test_every_file_of_the_folder_is_signed_and_none_besides(keys: Path, bundle: Path) -> None:
    sign(bundle, Verdict.PASS)
    verify(bundle)
    plot = bundle / "plots" / "loss.svg"
    plot.write_text("<svg></svg>")
    with pytest.raises(SignatureError, match=r"plots/loss\.svg was changed after it was signed"):
        verify(bundle)
    plot.unlink()
    with pytest.raises(SignatureError, match=r"plots/loss\.svg was signed and is missing"):
        verify(bundle)
    plot.write_text("<svg/>")
    (bundle / "more.json").write_text("{}")
    with pytest.raises(SignatureError, match=r"more\.json was added after the bundle was signed"):
        verify(bundle)


def test_equal_bundles_are_signed_in_equal_words(keys: Path, bundle: Path) -> None:
    sign(bundle, Verdict.PASS)
    payload = base64.b64decode(json.loads((bundle / ATTESTATION).read_text())["payload"])
    assert payload.decode() == json.dumps(json.loads(payload), sort_keys=True)
