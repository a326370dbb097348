"""Reads a TOML file into a checked value, and says everything that is wrong with it at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from nextoffer import toml
from nextoffer.errors import PolicyError

Model = TypeVar("Model", bound=BaseModel)


def packaged(name: str) -> str:
    """Return the text of a file that lies beside this module."""
    return files("nextoffer.policy").joinpath(name).read_text(encoding="utf-8")


def read_text(path: str | Path) -> str:
    """Return the text of a file the bank wrote.

    Raises
    ------
    PolicyError
        There is no such file, or it is not UTF-8 text.
    """
    return toml.read_text(path, error=PolicyError)


def parse(text: str, shape: type[Model], *, where: str) -> Model:
    """Return the TOML `text` as a `shape`.

    Raises
    ------
    PolicyError
        It is not TOML, or breaks the shape; all problems are named, each with its place.
    """
    return toml.parse(text, shape, where=where, error=PolicyError)


def dump(content: Mapping[str, Any], within: str = "") -> str:
    """Return `content` as TOML: plain values first, then its tables, then its arrays of tables, in the order given.

    `within` is the path of the table that `content` is, with a dot at its end.

    >>> print(dump({"top": 1, "box": {"open": True, "lid": {"names": ["a"]}}}), end="")
    top = 1
    <BLANKLINE>
    [box]
    open = true
    <BLANKLINE>
    [box.lid]
    names = ["a"]
    """
    plain, tables, arrays = [], [], []
    for key, value in ((_key(key), value) for key, value in content.items()):
        path = f"{within}{key}"
        if isinstance(value, Mapping):
            tables.append((path, f"[{path}]", value))
        elif isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
            arrays += [(path, f"[[{path}]]", entry) for entry in value]
        elif not isinstance(value, Sequence) or isinstance(value, str) or value:
            plain.append(f"{key} = {_value(value)}\n")
    return "".join(plain) + "".join(f"\n{head}\n{dump(body, f'{path}.')}" for path, head, body in tables + arrays)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: object) -> str:
    # JSON's texts, whole and decimal numbers, true, false and flat arrays are TOML's, but for the bare delete character
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
