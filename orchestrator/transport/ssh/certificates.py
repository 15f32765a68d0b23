"""Check the certificate of a host: signed by an authority on record, for this host, at this time."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from orchestrator.transport.known_hosts import HostKey, KnownKey, matches_pattern

SUFFIX = "-cert-v01@openssh.com"
_BROKEN = "ssh-rsa"


def is_certificate(shown: HostKey) -> bool:
    """Say whether a host shows a certificate rather than a key alone."""
    return shown.algorithm.endswith(SUFFIX)


def fault(shown: HostKey, name: str, authorities: Iterable[KnownKey]) -> str:
    """Return why a certificate does not make a host trusted, or "" for a certificate that does."""
    try:
        certificate = load_ssh_public_identity(f"{shown.algorithm} {shown.base64}".encode())
        if not isinstance(certificate, SSHCertificate):
            return "there is none"
        certificate.verify_cert_signature()
        signer = _blob(certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as error:
        return f"it cannot be checked ({error})"
    return _fault(certificate, signer, name, authorities)


def key_of(shown: HostKey) -> HostKey:
    """Return the key that a host's certificate is for. Raise ValueError for nonsense."""
    certificate = load_ssh_public_identity(f"{shown.algorithm} {shown.base64}".encode())
    if not isinstance(certificate, SSHCertificate):
        raise ValueError("no certificate")
    text = certificate.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return HostKey(text.split()[0].decode(), _blob(text))


def _fault(certificate: SSHCertificate, signer: bytes, name: str, authorities: Iterable[KnownKey]) -> str:
    if signer not in {known.key.blob for known in authorities}:
        return "the authority that signed it is not on record"
    if bytes(getattr(certificate, "_inner_sig_type", b"")).decode() in {_BROKEN, ""}:
        return "it is signed by SHA-1"
    if certificate.type is not SSHCertificateType.HOST:
        return "it is one of users"
    if not certificate.valid_after <= time.time() < certificate.valid_before:
        return "it is not valid now"
    names = [bytes(principal).decode("utf-8", "replace") for principal in certificate.valid_principals]
    if not any(matches_pattern(name, pattern) for pattern in names):
        return f"it is not for {name}"
    return "it has conditions that nobody knows" if certificate.critical_options else ""


def _blob(text: bytes) -> bytes:
    return base64.b64decode(text.split()[1])
