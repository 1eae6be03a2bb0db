"""A certificate for 127.0.0.1 that nobody else trusts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def certificate(folder: Path) -> tuple[Path, Path]:
    """Files of a certificate, its own authority, and of its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine; other test: test_notebooks.py, 26_mqtt_topics")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True)
    return cert, key
