"""Reads a TOML file into a checked value, and says everything that is wrong with it at once."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nextoffer.errors import PolicyError, did_you_mean

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
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PolicyError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read: {error}") from None


def parse(text: str, shape: type[Model], *, where: str) -> Model:
    """Return the TOML `text` as a `shape`.

    Raises
    ------
    PolicyError
        It is not TOML, or breaks the shape; all problems are named, each with its place.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{where}: not valid TOML: {error}") from None
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        raise PolicyError(problems(error, shape, where=where, content=content)) from None


def problems(
    error: ValidationError, shape: type[BaseModel], *, where: str, content: Mapping[str, Any] | None = None
) -> list[str]:
    """Return one line for each thing pydantic found wrong with a `shape`; `content` is what it was made of."""
    return [f"{where}: {_problem(found, shape, content or {})}" for found in error.errors()]


def _problem(found: Mapping[str, Any], shape: type[BaseModel], content: Mapping[str, Any]) -> str:
    path = found["loc"]
    place = ".".join(_steps(path, content)) or "the file"
    if found["type"] == "extra_forbidden":
        known = _keys(shape, path[:-1])
        return f"{place}: unknown key{did_you_mean(str(path[-1]), known)}; there are {', '.join(known)}"
    if found["type"] == "missing":
        return f"{place}: missing"
    if found["type"] == "value_error":
        return f"{place}: {found['ctx']['error']}"
    said = re.sub(r"a valid dictionary( or instance of \w+)?", "a table", found["msg"].lower())
    return (
        f"{place}: found {_shown(found['input'])}; {said.replace('a valid tuple', 'a list').replace('tuple', 'list')}"
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def _steps(path: Iterable[str | int], content: Any) -> Iterable[str]:
    """Yield the steps of a path; an entry of an array of tables goes by its id where it has one."""
    for step in path:
        try:
            content = content[step]
        except (LookupError, TypeError):
            content = None
        named = content.get("id") if isinstance(step, int) and isinstance(content, dict) else None
        yield named if isinstance(named, str) and re.fullmatch(r"\w{1,60}", named) else str(step)


def _keys(shape: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """Return the keys a table may have, where `path` leads through tables and arrays of tables."""
    for step in path:
        if isinstance(step, str):
            inner = shape.model_fields[step].annotation
            nested = getattr(inner, "__args__", (inner,))
            shape = next(s for s in nested if isinstance(s, type) and issubclass(s, BaseModel))
    return list(shape.model_fields)


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
