"""A saved model: a folder of plain files with their SHA-256 sums, verified on loading.

``manifest.json`` names the format, the ids and the sum of every other file. No file is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from nextoffer.errors import ArtefactError, NextOfferError
from nextoffer.tables.write import atomic_folder

FORMAT = 1
MANIFEST = "manifest.json"
POLICY = "policy.toml"
_DETAILS = ("model_id", "ranker", "as_of", "details")


def check_free(folder: Path) -> None:
    """Raise where a model cannot be saved because something else is there.

    Raises
    ------
    NextOfferError
        `folder` is a file, or a folder that is not empty and not a saved model.
    """
    if folder.exists() and not folder.is_dir():
        raise NextOfferError(f"{folder} is a file; a model is saved as a folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise NextOfferError(f"{folder} is not empty and not a saved model: choose another folder")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder and put it in the place of `folder` when all is written.

    Raises
    ------
    NextOfferError
        As `check_free`.
    """
    check_free(folder)
    with atomic_folder(folder) as temporary:
        yield temporary


def content_id(folder: Path) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 over names and contents of all files but the policy."""
    return _model_id(sums(folder))


def sums(folder: Path) -> dict[str, str]:
    """Return file name → SHA-256 of every file but the manifest."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name != MANIFEST)
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}


def _model_id(files: Mapping[str, str]) -> str:
    learned = {name: found for name, found in files.items() if name != POLICY}
    return sha256(json.dumps(learned, sort_keys=True).encode()).hexdigest()[:12]


def write_manifest(folder: Path, details: Mapping[str, Any]) -> None:
    """Write the manifest of a folder whose other files are complete."""
    plain = {"format": FORMAT, **details, "files": sums(folder)}
    (folder / MANIFEST).write_text(json.dumps(plain, indent=2, default=str) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a saved model whose files are all as they were written.

    Raises
    ------
    ArtefactError
        There is no model, its format is another, or files are missing, changed or foreign; all are named.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtefactError(f"{folder} is not a saved model: it has no {MANIFEST}")
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = dict[str, str](plain["files"].items())
        absent = [name for name in _DETAILS if name not in plain]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from error
    if plain.get("format") != FORMAT:
        raise ArtefactError(f"{folder} has format {plain.get('format')}; this version reads format {FORMAT}")
    if absent:
        raise ArtefactError(f"{path} cannot be read: it lacks {', '.join(map(repr, absent))}")
    found = sums(folder)
    problems = [f"{name} is missing" for name in files if name not in found]
    problems += [f"{name} is not the file that was saved" for name, s in files.items() if found.get(name, s) != s]
    problems += [f"{name} does not belong to the model" for name in found if name not in files]
    if not problems and _model_id(found) != plain["model_id"]:
        problems.append(f"{plain['model_id']} is not the id of these files")
    if problems:
        raise ArtefactError([f"{folder}: {problem}" for problem in problems])
    return plain
