"""Reads a log of decisions from a file, and tells everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from nextoffer.errors import BankError, did_you_mean
from nextoffer.evaluate.off_policy import Log
from nextoffer.tables.flow import Floats, Indices

NEEDED = ("action", "reward", "pscore", "new_pscore")
EACH = "new_pscore."
KNOWN = "x_"
_NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class Decisions:
    """m logged decisions.

    Attributes
    ----------
    log
        Rewards, pscores, and the new policy's chances of what was chosen.
    chosen, chances
        int (m,), float64 (m, A): the chosen action's column, and the new policy's chances of all; None where the file
        does not tell them.
    x
        float64 (m, F): numbers known at the decision; NaN = not known.
    notes
        What else should be known, in plain words.
    """

    log: Log
    chosen: Indices | None
    chances: Floats | None
    x: Floats
    notes: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Decisions:
        """Return what a file (Parquet or CSV) holds.

        Raises
        ------
        BankError
            The file cannot be used; all problems are named, with how many rows they are in and the first of them.
        """
        table = _read(path)
        columns = {name: table.column(name) for name in table.column_names}
        _check(path.name, _missing(columns))
        if not len(table):
            raise BankError(f"{path.name}: no decisions")
        numbers, texts = _numbers(columns)
        named = [name.removeprefix(EACH) for name in numbers if name.startswith(EACH)]
        actions = columns["action"].cast(pa.string())
        chances = np.stack([numbers[EACH + n] for n in named], axis=1) if named and not texts else None
        chosen = pc.index_in(actions, value_set=pa.array(named, pa.string())) if named else None
        _check(path.name, [*texts, *_wrong(columns, numbers)])
        if chances is not None and chosen is not None:
            _check(path.name, _inconsistent(numbers["new_pscore"], chances, actions, chosen))
        whose = _ids(columns["customer_id"]) if "customer_id" in columns else np.arange(len(table))
        mass = None if chances is None else np.minimum(chances.sum(axis=1), 1.0)
        known = [values for name, values in numbers.items() if name.startswith(KNOWN)]
        return cls(
            Log(numbers["reward"], numbers["pscore"], np.minimum(numbers["new_pscore"], 1.0), whose, mass),
            None if chances is None or chosen is None else np.asarray(chosen.to_numpy(), dtype=np.intp),
            chances,
            np.stack(known, axis=1) if known else np.zeros((len(table), 0)),
            tuple(_notes(table, numbers["pscore"])),
        )


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except FileNotFoundError:
        raise BankError(f"{path}: there is no such file") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise BankError(f"{path.name}: {error}") from error


def _check(name: str, problems: list[str]) -> None:
    if problems:
        raise BankError([f"{name}: {problem}" for problem in problems])


def _missing(columns: Mapping[str, pa.ChunkedArray]) -> list[str]:
    return [
        f"no column '{name}'{did_you_mean(name, list(columns))}; a log needs {', '.join(NEEDED)}"
        for name in NEEDED
        if name not in columns
    ]


def _numbers(columns: Mapping[str, pa.ChunkedArray]) -> tuple[dict[str, Floats], list[str]]:
    """The columns that must hold numbers, NaN where empty; and which do not."""
    found, problems = {}, []
    for name, column in columns.items():
        if name not in NEEDED[1:] and not name.startswith((EACH, KNOWN)):
            continue
        try:
            found[name] = np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            problems.append(f"{name}: {column.type} where numbers are needed")
    return found, problems


def _wrong(columns: Mapping[str, pa.ChunkedArray], numbers: Mapping[str, Floats]) -> list[str]:
    """What no row of a log may hold."""
    out: list[str] = []
    for name in ("action", "customer_id"):
        if name in columns and columns[name].null_count:
            out += _rows(f"{name} is empty", columns[name].is_null().to_numpy())
    for name, values in numbers.items():
        if name.startswith(KNOWN):
            out += _rows(f"{name} is not finite", np.isinf(values))
            continue
        out += _rows(f"{name} is empty or no number", ~np.isfinite(values))
        if name == "reward":
            continue
        if name == "pscore":
            out += _rows("pscore is 0 or less, though the offer was made", values <= 0)
        else:
            out += _rows(f"{name} is below 0", values < 0)
        out += _rows(f"{name} is above 1", values > 1 + _NEAR)
    return out


def _inconsistent(target: Floats, chances: Floats, actions: pa.ChunkedArray, chosen: pa.ChunkedArray) -> list[str]:
    """Where the chances of all actions do not fit the chosen one, or each other."""
    unknown = chosen.is_null().to_numpy()
    if unknown.any():
        strange = pc.unique(actions.filter(pa.array(unknown))).to_pylist()
        return [f"no column '{EACH}{name}' although that action was chosen" for name in sorted(strange)]
    of_chosen = chances[np.arange(len(chances)), np.asarray(chosen.to_numpy(), dtype=np.intp)]
    return [
        *_rows(f"new_pscore is not the {EACH}ACTION of the chosen action", np.abs(of_chosen - target) > _NEAR),
        *_rows(f"the columns {EACH}… add up to more than 1", chances.sum(axis=1) > 1 + _NEAR),
    ]


def _rows(what: str, wrong: npt.NDArray[np.bool_]) -> Iterator[str]:
    """One problem with the number of its rows, none where there are none."""
    if wrong.any():
        yield f"{what} in {int(wrong.sum()):,} of {len(wrong):,} rows (the first is row {int(wrong.argmax()) + 1:,})"


def _notes(table: pa.Table, pscores: Floats) -> Iterator[str]:
    if (pscores >= 1).all():
        yield "every pscore is 1: the logged policy left nothing to chance, so the log knows nothing of other offers"
    if "customer_id" in table.column_names:
        copies = len(table) - len(table.group_by(table.column_names).aggregate([]))
        if copies:
            yield f"{copies:,} rows are copies of others in every column: a decision that is there twice counts twice"


def _ids(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    coded = column.combine_chunks().dictionary_encode()
    return np.asarray(coded.indices.to_numpy(), dtype=np.int64)
