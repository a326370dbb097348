"""SQL's three-valued logic on numpy arrays: true, false, or not known.

Everything here combines *computations* over named columns, so that only what is asked for is computed. A truth is two
of them, where it is known to be true and where it is known to be false; elsewhere it is not known. Numbers are float64
in which NaN is null, texts are objects in which None is null, so a comparison with null comes out as neither. All is
element by element: a value never depends on which others are in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from nextoffer.tables.flow import Indices

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[Any]
"""float64 (numbers, and flags as 0 and 1) or objects (texts); flags may also be bool."""

Columns = Mapping[str, Values]
Computed = Callable[[Columns], Values]
Condition = Callable[[Columns], Mask]
Arithmetic = Callable[[Values, Values], Values]

_NONE = np.array(None, dtype=object)


class Truth(NamedTuple):
    """Where something is known to be true, and where it is known to be false."""

    yes: Condition
    no: Condition


def constant(value: float | str) -> Computed:
    """Return one number or text for every row."""
    array = np.array(value, dtype=object if isinstance(value, str) else np.float64)
    return lambda _: array


def flag(values: Computed) -> Truth:
    """Read a flag: 1 is true, 0 is false, NaN is not known."""
    return Truth(lambda c: values(c) == 1, lambda c: values(c) == 0)


def both(a: Truth, b: Truth) -> Truth:
    """``a and b``."""
    return Truth(lambda c: a.yes(c) & b.yes(c), lambda c: a.no(c) | b.no(c))


def either(a: Truth, b: Truth) -> Truth:
    """``a or b``."""
    return Truth(lambda c: a.yes(c) | b.yes(c), lambda c: a.no(c) & b.no(c))


def negation(a: Truth) -> Truth:
    """``not a``."""
    return Truth(a.no, a.yes)


def greater(a: Computed, b: Computed) -> Truth:
    """``a > b``."""
    return Truth(lambda c: a(c) > b(c), lambda c: a(c) <= b(c))


def at_least(a: Computed, b: Computed) -> Truth:
    """``a >= b``."""
    return Truth(lambda c: a(c) >= b(c), lambda c: a(c) < b(c))


def numbers_equal(a: Computed, b: Computed) -> Truth:
    """``a = b`` of two numbers."""
    return Truth(lambda c: a(c) == b(c), lambda c: (a(c) < b(c)) | (a(c) > b(c)))


def texts_equal(a: Computed, b: Computed) -> Truth:
    """``a = b`` of two texts."""
    known = both(negation(null(a)), negation(null(b)))
    return Truth(lambda c: np.equal(a(c), b(c)) & known.yes(c), lambda c: np.not_equal(a(c), b(c)) & known.yes(c))


def text_is(values: Computed, text: str) -> Truth:
    """``values = 'text'``."""
    wanted = np.array(text, dtype=object)
    return Truth(
        lambda c: np.equal(values(c), wanted),
        lambda c: np.not_equal(values(c), wanted) & np.not_equal(values(c), _NONE),
    )


def flags_equal(a: Truth, b: Truth) -> Truth:
    """``a = b`` of two flags."""
    return either(both(a, b), both(negation(a), negation(b)))


def null(values: Computed) -> Truth:
    """``values is null``, of a number or text."""

    def unknown(columns: Columns) -> Mask:
        found = values(columns)
        return np.asarray(np.equal(found, _NONE) if found.dtype == object else np.isnan(found))

    return Truth(unknown, lambda c: ~unknown(c))


def flag_null(a: Truth) -> Truth:
    """``a is null``, of a flag."""
    return Truth(lambda c: ~(a.yes(c) | a.no(c)), lambda c: a.yes(c) | a.no(c))


def surely(a: Truth) -> Truth:
    """``a is true``."""
    return Truth(a.yes, lambda c: ~a.yes(c))


class Coded(Protocol):
    """Columns of which the texts are also known as places in the distinct ones."""

    def coded(self, name: str) -> tuple[Indices, Values] | None:
        """Return a text's places (n,) and the distinct ones (T, 1), or None where it is not worth while."""
        ...


def by_text(name: str, others: Collection[str], truth: Truth) -> Truth:
    """Return `truth`, which looks at the text `name` and at nothing else of a customer, by way of the distinct texts.

    Each of them is looked at once, where the columns are `Coded`; `others` are the further columns it looks at.
    """

    def once(condition: Condition) -> Condition:
        def run(columns: Columns) -> Mask:
            coded = getattr(columns, "coded", None)
            found = coded and coded(name)
            if found is None:
                return condition(columns)
            places, texts = found
            distinct = condition({name: texts, **{other: columns[other] for other in others}})
            return np.asarray(distinct[places])

        return run

    return Truth(once(truth.yes), once(truth.no))


def arithmetic(operation: Arithmetic) -> Callable[[Computed, Computed], Computed]:
    """Return `operation` on computations: overflow is infinite, infinity less infinity and division by 0 are null."""

    def combined(a: Computed, b: Computed) -> Computed:
        def run(columns: Columns) -> Values:
            with np.errstate(all="ignore"):
                return operation(a(columns), b(columns))

        return run

    return combined


def divided(a: Values, b: Values) -> Values:
    """Return a / b, and null where b is 0."""
    return np.asarray(np.where(b == 0, np.nan, np.divide(a, b)))
