"""An authority with one certificate for 127.0.0.1 and localhost, made for a test by the program ``openssl``.

Owns the files. Not for anything but tests: the keys lie beside the certificates.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Certificates:
    """Files in PEM. Server and client show the same certificate."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def server_lines(self) -> tuple[str, ...]:
        """For ``redis.conf``."""
        files = ((self.certificate, "cert"), (self.key, "key"), (self.authority, "ca-cert"))
        return (*(f"tls-{kind}-file {path}" for path, kind in files), "tls-auth-clients yes", "tls-replication yes")

    @property
    def client_options(self) -> dict[str, Any]:
        """For redis-py."""
        return {
            "ssl_ca_certs": str(self.authority),
            "ssl_certfile": str(self.certificate),
            "ssl_keyfile": str(self.key),
        }

    @property
    def query(self) -> str:
        """For the address in the settings."""
        return urlencode(self.client_options)


def make_certificates(folder: Path) -> Certificates:
    """Make them in ``folder``; skips the test where there is no ``openssl``."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs certificates: install the Debian package openssl")
    made = Certificates(folder / "ca.crt", folder / "redis.crt", folder / "redis.key")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["-x509", *new_key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Test authority", "-days", "2"]
    request = [*new_key, "-keyout", "redis.key", "-out", "redis.csr", "-subj", "/CN=localhost"]
    sign = ["-req", "-in", "redis.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    (folder / "names.cnf").write_text(_NAMES + "\n", encoding="utf-8")
    for arguments in (
        ["req", *authority],
        ["req", *request],
        ["x509", *sign, "-extfile", "names.cnf", "-out", "redis.crt"],
    ):
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)
    return made
