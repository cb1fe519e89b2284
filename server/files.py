"""Files that are replaced whole: the ACL file, the configuration file.

What must stay true: whoever opens the file, at any time, finds all of the old text or all of the new one; and a failure
leaves the old file, and nothing beside it.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600  # of a new file; one that is there keeps its own


def replace_file(path: Path, text: bytes) -> None:
    """Write a file, on disk when this returns. OSError."""
    path = path.resolve()  # what a link leads to is replaced, not the link
    mode = FILE_MODE
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode & 0o777
    handle, draft = tempfile.mkstemp(prefix=path.name + ".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """So that after a crash the new name leads to the new file; where directories cannot be opened, without."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
