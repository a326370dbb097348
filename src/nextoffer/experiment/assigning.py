"""Who is in which arm: keyed by experiment and customer, so that it is the same whenever it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import ExperimentError, did_you_mean
from nextoffer.experiment.file import Experiment, Where
from nextoffer.experiment.srm import RatioCheck, ratio_check
from nextoffer.keyed import uniform

Arms = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

NULL = "(none)"
"""The stratum of customers who have no value there."""


@dataclass(frozen=True)
class Assigned:
    """Customers and their arms.

    Attributes
    ----------
    table
        customer_id, experiment, arm, stratum, assigned_on; in the customers' order.
    left_out
        How many customers are not in the test, by reason.
    kept
        How many keep the arm that an earlier assignment gave them.
    check
        Customers per arm beside the shares; of newly assigned customers only.
    """

    table: pa.Table
    left_out: Mapping[str, int]
    kept: int
    check: RatioCheck


def assign(customers: pa.Table, experiment: Experiment, *, on: date, before: pa.Table | None = None) -> Assigned:
    """Return the arms of the customers that the experiment may use.

    Parameters
    ----------
    customers
        customer_id, and the columns that `eligible` and the strata name.
    on
        The day that is written as assigned_on.
    before
        An earlier assignment (customer_id, arm, assigned_on): who is in it stays there.

    Raises
    ------
    ExperimentError
        Columns are missing, or a customer stands there twice or without an id.

    >>> test = Experiment.parse('''name = "cards"
    ... starts = 2026-03-01
    ... arm = [{name = "old", share = 0.5}, {name = "new", share = 0.5}]
    ... metric = [{name = "accepted"}]''')
    >>> found = assign(pa.table({"customer_id": [1, 2, 3, 4]}), test, on=date(2026, 3, 1))
    >>> found.table["arm"].to_pylist()
    ['old', 'old', 'new', 'old']
    """
    _check(customers, experiment)
    held, eligible, outside = _reasons(customers, experiment)
    known = _known(customers, before, experiment)
    unknown = known < 0
    left_out = {
        "holdout": int((unknown & held).sum()),
        "not eligible": int((unknown & ~held & ~eligible).sum()),
        "outside the layer's range": int((unknown & ~held & eligible & outside).sum()),
    }
    new = unknown & ~held & eligible & ~outside
    strata = _strata(customers, experiment)
    arms = known.copy()
    arms[new] = _dealt(customers["customer_id"].filter(pa.array(new)), strata.filter(pa.array(new)), experiment)
    shown = np.flatnonzero(arms >= 0)
    table = pa.table(
        {
            "customer_id": customers["customer_id"].take(shown).combine_chunks(),
            "experiment": pa.repeat(experiment.name, len(shown)),
            "arm": pa.array(list(experiment.arms)).take(pa.array(arms[shown])),
            "stratum": strata.take(pa.array(shown)),
            "assigned_on": _days(customers, before, on).take(pa.array(shown)),
        }
    )
    counts = np.bincount(arms[new], minlength=len(experiment.arm))
    check = ratio_check(experiment.arms, counts.tolist(), experiment.shares)
    kept = int((known >= 0).sum())
    left_out["assigned earlier, but gone"] = 0 if before is None else before.num_rows - kept
    return Assigned(table, {why: n for why, n in left_out.items() if n}, kept, check)


def _check(customers: pa.Table, experiment: Experiment) -> None:
    names = customers.column_names
    asked = ["customer_id", *experiment.eligible, *experiment.assignment.strata]
    missing = [name for name in dict.fromkeys(asked) if name not in names]
    if missing:
        raise ExperimentError(
            [
                f"customers: no column '{name}'{did_you_mean(name, names)}; there are {', '.join(names)}"
                for name in missing
            ]
        )
    ids = customers["customer_id"]
    if ids.null_count:
        raise ExperimentError(f"customers: customer_id is null in {ids.null_count:,} rows")
    counts = pc.value_counts(ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(twice):
        shown = ", ".join(str(v) for v in twice[:5].to_pylist())
        raise ExperimentError(f"customers: {len(twice):,} stand there more than once: {shown}")


def _reasons(customers: pa.Table, experiment: Experiment) -> tuple[Flags, Flags, Flags]:
    """Who is held out, who is eligible, who is outside of the layer's range."""
    ids = _texts(customers["customer_id"])
    nobody = np.zeros(len(ids), dtype=bool)
    holdout, layer = experiment.holdout, experiment.layer
    held = nobody if holdout is None else uniform(holdout.seed, f"holdout {holdout.name}", ids) < holdout.share
    outside = nobody
    if layer is not None:
        place = uniform(layer.seed, f"layer {layer.name}", ids)
        outside = (place < layer.start) | (place >= layer.stop)
    return held, fits(customers, experiment.eligible), outside


def fits(table: pa.Table, where: Where) -> Flags:
    """Return which rows have the values asked for; values are compared as texts, and null is none of them.

    >>> fits(pa.table({"tier": [1, 2, None], "mobile": [True, True, True]}), {"tier": (1, 3), "mobile": True}).tolist()
    [True, False, False]
    """
    out = np.ones(table.num_rows, dtype=bool)
    for column, wanted in where.items():
        values = wanted if isinstance(wanted, tuple) else (wanted,)
        texts = table[column].cast(pa.string())
        texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        out &= np.asarray(
            pc.is_in(texts, value_set=pa.array([_plain(v) for v in values])).to_numpy(zero_copy_only=False)
        )
    return out


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _texts(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as text, so that customer 17 has one arm whether a file writes a number or a word."""
    return ids.cast(pa.string())


def _strata(customers: pa.Table, experiment: Experiment) -> pa.Array:
    """Each customer's stratum as text, ``Mass / 2``; empty without strata."""
    names = experiment.assignment.strata
    if not names:
        return pa.repeat("", customers.num_rows)
    texts = [pc.fill_null(customers[name].cast(pa.string()), NULL) for name in names]
    joined = pc.binary_join_element_wise(*texts, " / ")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _known(customers: pa.Table, before: pa.Table | None, experiment: Experiment) -> Arms:
    """The arm each customer has already, -1 for none."""
    if before is None:
        return np.full(customers.num_rows, -1, dtype=np.intp)
    at = _places(customers, before)
    arms = pc.index_in(before["arm"], value_set=pa.array(list(experiment.arms))).take(at)
    return np.asarray(pc.fill_null(arms, -1).to_numpy(), dtype=np.intp)


def _days(customers: pa.Table, before: pa.Table | None, on: date) -> pa.Array:
    today = pa.repeat(pa.scalar(on, pa.date32()), customers.num_rows)
    if before is None:
        return today
    found = pc.coalesce(before["assigned_on"].take(_places(customers, before)).cast(pa.date32()), today)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _places(customers: pa.Table, before: pa.Table) -> pa.ChunkedArray:
    ids = before["customer_id"].cast(pa.string())
    return pc.index_in(customers["customer_id"].cast(pa.string()), value_set=ids.combine_chunks())


def _dealt(ids: pa.ChunkedArray, strata: pa.Array, experiment: Experiment) -> Arms:
    place = uniform(experiment.seed, f"experiment {experiment.name}", _texts(ids))
    if experiment.assignment.method == "blocked":
        place = _in_blocks(place, strata, experiment)
    ends = np.cumsum(experiment.shares)[:-1]
    return np.asarray(np.searchsorted(ends, place, side="right"), dtype=np.intp)


def _in_blocks(place: npt.NDArray[np.float64], strata: pa.Array, experiment: Experiment) -> npt.NDArray[np.float64]:
    """Even places within each stratum, in the order of the keyed ones, from a keyed start.

    Systematic sampling (Cochran 1977, Sampling Techniques, chapter 8): each arm gets its share to within one customer,
    and every customer each arm with its share as probability, also in a stratum of one.
    """
    encoded = pc.dictionary_encode(strata)
    stratum = np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.intp)
    names = encoded.dictionary
    start = uniform(experiment.seed, f"experiment {experiment.name} stratum", names) if len(names) else np.zeros(0)
    sizes = np.bincount(stratum, minlength=len(names))
    order = np.lexsort((place, stratum))
    rank = np.empty(len(place))
    rank[order] = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.asarray((rank + start[stratum]) / sizes[stratum])
