"""Reads a TOML file into a checked value, and says everything that is wrong with it at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nextoffer.errors import NextOfferError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: str | Path, *, error: type[NextOfferError]) -> str:
    """Return the text of a file the bank wrote.

    Raises
    ------
    NextOfferError
        There is no such file, or it is not UTF-8 text; of the type `error`.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise error(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as wrong:
        raise error(f"{path}: cannot be read: {wrong}") from None


def parse(text: str, shape: type[Model], *, where: str, error: type[NextOfferError]) -> Model:
    """Return the TOML `text` as a `shape`; `where` opens each message.

    Raises
    ------
    NextOfferError
        It is not TOML, or breaks the shape; all problems are named, each with its place. Of the type `error`.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise error(f"{where}: not valid TOML: {wrong}") from None
    try:
        return shape.model_validate(content)
    except ValidationError as wrong:
        raise error(problems(wrong, shape, where=where, content=content)) from None


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
    said = said.replace("a valid tuple", "a list").replace("tuple", "list")
    return f"{place}: found {_shown(found['input'])}; {said}"


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
            field = next((f for name, f in shape.model_fields.items() if step in (name, f.alias)), None)
            if field is None:  # a name that the file chooses, of a table whose keys are free
                continue
            inner = field.annotation
            nested = getattr(inner, "__args__", (inner,))
            shape = next(s for s in nested if isinstance(s, type) and issubclass(s, BaseModel))
    return [field.alias or name for name, field in shape.model_fields.items()]
