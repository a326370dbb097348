"""A folder of exported files that appears whole or not at all, with a manifest of what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from nextoffer.errors import DeliveryError
from nextoffer.tables.write import atomic_folder

MANIFEST = "manifest.json"


@dataclass
class Export:
    """Files under a temporary name.

    Attributes
    ----------
    folder
        Where they are written.
    rows
        File (relative) → rows, or whatever is counted in it.
    """

    folder: Path
    rows: dict[str, int] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Return where a file is to be written; missing folders are made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def wrote(self, name: str, rows: int) -> None:
        """Note that a file is written."""
        self.rows[name] = rows

    def close(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest: what is `said`, and each file with its rows, size and SHA-256; return it."""
        files = [
            {
                "file": name,
                "rows": rows,
                "bytes": (self.folder / name).stat().st_size,
                "sha256": sum_of(self.folder / name),
            }
            for name, rows in sorted(self.rows.items())
        ]
        manifest = {**said, "files": files}
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (self.folder / MANIFEST).write_text(text, encoding="utf-8")
        return manifest


def sum_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's files with their names."""
    if path.is_dir():
        told = [(p.relative_to(path).as_posix(), sum_of(p)) for p in sorted(path.rglob("*")) if p.is_file()]
        return sha256(json.dumps(told).encode()).hexdigest()
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def new_export(target: Path, *, force: bool = False) -> Iterator[Export]:
    """Give an `Export` that becomes `target` when all is well; on an error, leave `target` as it was.

    Raises
    ------
    DeliveryError
        `target` is a file, or a folder that is not empty; with `force` an earlier export is replaced, nothing else.
    """
    check_free(target, force=force)
    with atomic_folder(target) as working:
        yield Export(working)


def check_free(target: Path, *, force: bool = False) -> None:
    """Raise where nothing can be exported because something else is there.

    Raises
    ------
    DeliveryError
        See `new_export`.
    """
    if target.exists() and not target.is_dir():
        raise DeliveryError(f"{target} is a file; an export is a folder")
    if not target.exists() or not any(target.iterdir()):
        return
    if not (target / MANIFEST).is_file():
        raise DeliveryError(f"{target} is not empty and not an export: choose another folder")
    if not force:
        raise DeliveryError(f"{target} holds an earlier export; name another folder, or pass --force to replace it")
