"""The secret that signs webhooks when the settings name none: made once, kept in a file that only this user can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ..events.webhooks.signing import NEW_SECRET_BYTES, new_secret, secrets_of

FILE_NAME = "webhook_secret"


def kept_secrets(data_dir: Path) -> tuple[str, ...]:
    """The secrets in the file, which is made if it is not there. Blocks. Raises ``OSError``, or ``BadSecret`` for another content."""
    path = data_dir / FILE_NAME
    if not path.exists():
        _write(path, new_secret(secrets.token_bytes(NEW_SECRET_BYTES)))
    return secrets_of(path.read_text(encoding="utf-8"))


def _write(path: Path, secret: str) -> None:
    """All of it or nothing, and never readable by others, not even for a moment."""
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
