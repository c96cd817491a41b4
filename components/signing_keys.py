"""Keys that sign and verify bundles: a pair of files on a laptop, a key of a key-management service elsewhere."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import UserError, one_line
from components.files import write_bytes
from components.settings import local_keys, settings

if TYPE_CHECKING:
    from securesystemslib.signer import Key, Signer, SSlibKey

log = logging.getLogger(__name__)

PRIVATE, PUBLIC = "signing.key", "signing.pub"
"""Files of a pair. Everything that ends in `.pub` in the folder of public keys is trusted."""


def trusted_keys() -> list[Key]:
    """The public keys in SIGNING_PUBLIC_KEYS, or of this machine's own pair. Raises UserError for one that is none."""
    place = settings().signing_public_keys or local_keys()
    files = sorted(place.glob("*.pub")) if place.is_dir() else [place] if place.is_file() else []
    return [_public_key(file) for file in files]


def local_key() -> Path:
    """This machine's own private key, made where there is none yet: readable by its owner only."""
    folder = local_keys()
    if not (folder / PRIVATE).exists():
        make_key(folder)
        log.warning("made %s, which signs what is promoted here; %s is for those who verify", folder / PRIVATE, PUBLIC)
    return folder / PRIVATE


def make_key(folder: Path) -> None:
    """Writes a new pair into a folder, which is the owner's only. Raises UserError where there is one already."""
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / PRIVATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{folder / PRIVATE} exists: move it away, with {PUBLIC}, to make another") from None
    except OSError as error:
        raise UserError(f"{folder} cannot hold a signing key: {error.strerror}; set SIGNING_KEY") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
    write_bytes(folder / PUBLIC, key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo))


def signer() -> Signer:
    """What `SIGNING_KEY` names, or this machine's own. Raises UserError where it cannot be used."""
    from securesystemslib.signer import Signer as SignerOf

    named = settings().signing_key or str(local_key())
    scheme, colon, _ = named.partition(":")
    if not colon:
        return _file_signer(Path(named))
    keys = trusted_keys()
    if len(keys) != 1:
        raise UserError(f"SIGNING_KEY {scheme}: SIGNING_PUBLIC_KEYS must name its public key and no other")
    try:
        return SignerOf.from_priv_key_uri(named, keys[0])
    except Exception as error:  # noqa: BLE001 - of any provider's library
        raise UserError(f"SIGNING_KEY {scheme} cannot be used: {one_line(error)}") from None


def _file_signer(path: Path) -> Signer:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        state = path.stat()
        if state.st_uid == os.getuid() and stat.S_IMODE(state.st_mode) & 0o077:
            raise UserError(f"{path} may be read by others: chmod 600 it, or make another key")
        return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
    except OSError as error:
        raise UserError(f"SIGNING_KEY: {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UserError(f"SIGNING_KEY: {path} is no private key in PEM without a password") from None


def _public_key(path: Path) -> SSlibKey:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey as KeyOf

    try:
        key: Any = load_pem_public_key(path.read_bytes())
        return KeyOf.from_crypto(key)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"SIGNING_PUBLIC_KEYS: {path} is no public key in PEM: {error}") from None
