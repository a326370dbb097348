"""Puts chosen reasons into words, once for each distinct text rather than for each offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.policy.batch import Pairs
from nextoffer.policy.catalogue import PLACEHOLDER, Audience
from nextoffer.policy.logic import Values
from nextoffer.policy.speakers import Speaker
from nextoffer.policy.told import Told
from nextoffer.tables.flow import Floats, Indices

Chosen = npt.NDArray[np.int16]


def worded(given: Told, pairs: Pairs, pair: Indices, speaker: Chosen) -> tuple[pa.Array, pa.Array]:
    """Return the distinct texts of r reasons, and which of them each reason has.

    Parameters
    ----------
    pair, speaker
        Each reason's pair, and its place in `given`.

    Returns
    -------
    whole numbers (r,), texts
    """
    place = given.fixed.place[speaker]
    open_ = np.flatnonzero(place < 0)
    if not open_.size:
        return pa.array(place.astype(np.int32)), given.fixed.array
    distinct = dict(given.fixed.distinct)
    for k in np.unique(speaker[open_]).tolist():
        where = open_[speaker[open_] == k]
        texts, which = _worded(given.speakers[k], pairs, pair[where], given.audience)
        place[where] = np.array([distinct.setdefault(text, len(distinct)) for text in texts])[which]
    return pa.array(place.astype(np.int32)), pa.array(distinct, type=pa.string())


def said(given: Told, pairs: Pairs, chosen: Sequence[Sequence[int]]) -> list[list[str]]:
    """Return the texts of each pair's reasons, of which `chosen` are the places in `given`; for a handful of pairs."""
    open_ = [(i, k) for i, each in enumerate(chosen) for k in each if given.templates[k][1]]
    values = [
        (i, k, name, _value(given.speakers[k], pairs, i, name)) for i, k in open_ for name in given.templates[k][1]
    ]
    numbers = [n for n, (*_, value) in enumerate(values) if isinstance(value, float)]
    rounded = dict(zip(numbers, _rounded(np.array([values[n][3] for n in numbers])).tolist(), strict=True))
    words: dict[tuple[int, int], dict[str, str]] = {}
    for n, (i, k, name, value) in enumerate(values):
        known = number(rounded[n]) if n in rounded else "not known" if value is None else str(value)
        words.setdefault((i, k), {})[name] = known
    return [
        [_filled(given.templates[k][0], words[i, k]) if (i, k) in words else given.templates[k][0] for k in each]
        for i, each in enumerate(chosen)
    ]


def _value(speaker: Speaker, pairs: Pairs, i: int, name: str) -> str | float | None:
    """Return what a placeholder stands for in one pair."""
    if name == "product_name":
        return pairs.batch.product_names[int(pairs.cols[i])]
    found = speaker.column(name, pairs, np.array([i]))
    value = found.item()
    return value if found.dtype == object else float(value)


def _worded(speaker: Speaker, pairs: Pairs, at: Indices, audience: Audience) -> tuple[list[str], Indices]:
    """Return the distinct texts of one reason for the pairs `at`, and which of them each pair gets."""
    template, names = speaker.template(audience)
    if not names:
        return [template], np.zeros(len(at), dtype=np.intp)
    distinct = np.zeros(len(at), dtype=np.intp)
    insertions = []
    for name in names:
        texts, which = _texts(speaker, pairs, at, name)
        insertions.append((name, texts, which))
        distinct = distinct * len(texts) + which
    _, first, text_of = np.unique(distinct, return_index=True, return_inverse=True)
    words = [_filled(template, {name: texts[which[i]] for name, texts, which in insertions}) for i in first]
    return words, text_of


def number(value: float) -> str:
    """Return a number as people read it: four significant digits, whole from 1,000.

    >>> number(12345.6), number(4.25), number(3.0), number(float("nan"))
    ('12,346', '4.25', '3', 'not known')
    """
    if np.isnan(value):
        return "not known"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.4g}"


def _texts(speaker: Speaker, pairs: Pairs, at: Indices, name: str) -> tuple[list[str], Indices]:
    """Return the distinct texts a placeholder stands for, and which of them each pair gets."""
    if name == "product_name":
        return pairs.batch.product_names, pairs.cols[at]
    source = speaker.source(name)
    if source and pairs.texts(source):
        places, known = pairs.batch.coded(source)
        return ["not known" if text is None else text for text in known], places[pairs.rows[at]]
    values = np.broadcast_to(speaker.column(name, pairs, at), at.shape)
    if values.dtype == object:
        return _distinct(values)
    rounded, which = np.unique(_rounded(values), return_inverse=True)
    return [number(value) for value in rounded], which


def _distinct(values: Values) -> tuple[list[str], npt.NDArray[Any]]:
    place: dict[str | None, int] = {}
    which = [place.setdefault(value, len(place)) for value in values.tolist()]
    return ["not known" if text is None else text for text in place], np.array(which, dtype=np.intp)


def _rounded(values: Values) -> Floats:
    """Round as `number` does, so that few distinct texts need to be written."""
    magnitude = np.abs(np.asarray(values, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** np.clip(3 - np.floor(np.log10(magnitude)), 0, 300)
        rounded = np.round(values * scale) / scale
    return np.asarray(np.where(np.isfinite(rounded), rounded, values), dtype=np.float64)


def _filled(template: str, insertions: dict[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: insertions[found.group(1)], template)
