"""A real bank's adoptions: the products that each buyer takes up next month.

Usage: ``python benchmarks/santander.py [--train FILE… --test FILE] [--json FILE]``

Files hold ``fecha_dato``, ``ncodpers``, ``prev_<product>`` (held one month before) and ``add_<product>`` (taken up
that month), one row per buyer and month; a file may hold several months. Prints AP@7 over the buyers of the test month,
owned products removed, with an interval by customer, for popularity, LightGBM (one model per product), NextOffer's
choice ranker on the same features, and the runner-up's stored predictions where there are any.

Nothing of the test month is seen but ``prev_<product>`` and the customer numbers: features come from earlier months,
and what a model learns from is strictly earlier. Without arguments: January and March 2016 to train, April to test.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nextoffer.evaluate.ranking import average_precision, skip_empty, tie_groups
from nextoffer.intervals import Interval, bootstrap_means
from nextoffer.models.choice import ChoiceRanker
from nextoffer.models.products import Products
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Floats

DATA = Path("../shared/data/santander")
DEFAULT_TEST = "2016-04-28"
PLACES = 7
SEED = 7
DECAY = 0.7
"""Each month back counts so much less."""
LEAST_ADOPTIONS = 30
"""LightGBM fits products that were taken up so often; the others keep their rate."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Month:
    """The buyers of one month: customer numbers (n,), held before and taken up, bool (n, P)."""

    name: str
    customers: npt.NDArray[np.int64]
    held: Flags
    added: Flags

    @property
    def number(self) -> int:
        """Months since year 0."""
        return int(self.name[:4]) * 12 + int(self.name[5:7])


@dataclass(frozen=True)
class Panel:
    """Months in time order, and their P products."""

    months: tuple[Month, ...]
    products: tuple[str, ...]


def read_panel(files: Sequence[Path]) -> Panel:
    """Return all months of the files, in time order whatever the order of the files."""
    tables = [pq.read_table(file) for file in files]
    products = [c.removeprefix("prev_") for c in tables[0].column_names if c.startswith("prev_")]
    columns = ["fecha_dato", "ncodpers", *(f"prev_{p}" for p in products), *(f"add_{p}" for p in products)]
    for file, table in zip(files, tables, strict=True):
        if missing := sorted(set(columns) - set(table.column_names)):
            raise SystemExit(f"{file}: no column {', '.join(missing)}")
    dates = [pc.cast(t.column("fecha_dato"), pa.string()) for t in tables]
    plain = [t.select(columns).set_column(0, "fecha_dato", d) for t, d in zip(tables, dates, strict=True)]
    whole = pa.concat_tables([t.cast(_schema(columns)) for t in plain])
    names = sorted(pc.unique(whole.column("fecha_dato")).to_pylist())
    return Panel(tuple(_month(whole, name, products) for name in names), tuple(products))


def _schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([("fecha_dato", pa.string()), ("ncodpers", pa.int64()), *((c, pa.int64()) for c in columns[2:])])


def _month(whole: pa.Table, name: str, products: Sequence[str]) -> Month:
    rows = whole.filter(pc.equal(whole.column("fecha_dato"), name))

    def flags(kind: str) -> Flags:
        return np.column_stack([rows.column(f"{kind}_{p}").fill_null(0).to_numpy() > 0 for p in products])

    held = flags("prev")
    return Month(name[:10], rows.column("ncodpers").to_numpy(), held, flags("add") & ~held)


def split(train: Panel, test: Panel) -> tuple[tuple[Month, ...], Month]:
    """Return the training months and the one test month. Exits where they overlap or products differ."""
    if len(test.months) != 1:
        raise SystemExit(f"the test file must hold one month; it holds {', '.join(m.name for m in test.months)}")
    month = test.months[0]
    late = [m.name for m in train.months if m.number >= month.number]
    if late or not train.months:
        raise SystemExit(f"training months must be earlier than the test month {month.name}; found {', '.join(late)}")
    if set(train.products) != set(test.products):
        odd = sorted(set(train.products) ^ set(test.products))
        raise SystemExit(f"training and test files differ in products: {', '.join(odd)}")
    order = [test.products.index(p) for p in train.products]
    return train.months, Month(month.name, month.customers, month.held[:, order], month.added[:, order])


def features(month: Month, earlier: Sequence[Month], products: Sequence[str]) -> FeatureTable:
    """Return what is known of a month's customers from earlier months and their holdings one month before.

    `month.added` is not read. Per product: ``held``; ``was`` (held when last seen, gone now), ``added`` (taken up when
    last seen), ``got`` (the same, gone now), ``new`` (held, neither held nor taken up when last seen), ``lost`` (once
    held, gone now), ``twice`` (taken up more than once), ``never`` (seen before, never with it).
    """
    held = month.held
    before, added, ever = (np.zeros_like(held) for _ in range(3))
    times = np.zeros(held.shape, dtype=np.int64)
    months_since = np.full(len(held), np.nan)
    seen_times = np.zeros(len(held))
    for past in sorted(earlier, key=lambda m: m.number):
        mine, theirs = _matched(month.customers, past.customers)
        before[mine], added[mine] = past.held[theirs], past.added[theirs]
        ever[mine] |= past.held[theirs] | past.added[theirs]
        times[mine] += past.added[theirs]
        months_since[mine] = month.number - past.number
        seen_times[mine] += 1
    seen = seen_times > 0
    flags = {
        "held": held,
        "was": before & ~held,
        "added": added,
        "got": added & ~held,
        "new": seen[:, None] & held & ~before & ~added,
        "lost": ever & ~held,
        "twice": times > 1,
        "never": seen[:, None] & ~held & ~ever,
    }
    numbers = {
        "holdings_count": held.sum(axis=1).astype(np.float64),
        # The bank numbers its customers in the order they came.
        "tenure": np.log1p((month.customers.max(initial=0) - month.customers) / 7000.0),
        "months_since_seen": months_since,
        "seen_times": seen_times,
    }
    return _table(month, products, numbers, flags | {"seen": seen[:, None], "recent": (months_since == 1)[:, None]})


def _matched(customers: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> tuple[Any, Any]:
    _, mine, theirs = np.intersect1d(customers, others, return_indices=True)
    return mine, theirs


def _table(month: Month, products: Sequence[str], numbers: dict[str, Floats], flags: dict[str, Flags]) -> FeatureTable:
    columns = [FeatureColumn(n, n, "profile", "relationship", "number") for n in numbers]
    arrays = [pa.array(v, from_pandas=True) for v in numbers.values()]
    for measure, values in flags.items():
        if values.shape[1] == 1:
            columns.append(FeatureColumn(measure, measure, "history", "relationship", "flag"))
        else:
            columns += [
                FeatureColumn(f"{measure}_{p}", f"{measure} {p}", "holdings", "relationship", "flag", 0, measure, p)
                for p in products
            ]
        arrays += [pa.array(v) for v in values.T]
    data = pa.table([pa.array(month.customers), *arrays], names=["customer_id", *(c.name for c in columns)])
    return FeatureTable(data, tuple(columns), date.fromisoformat(month.name))


def training_of(months: Sequence[Month], tables: Sequence[FeatureTable], products: Products) -> Training:
    """Return every product not held by each buyer of each month, 1 where taken up."""
    found = [np.nonzero(~m.held) for m in months]
    sizes = [len(rows) for rows, _ in found]
    decay = [DECAY ** (len(months) - 1 - i) for i in range(len(months))]
    rows, cols = (np.concatenate(part) for part in zip(*found, strict=True))
    return Training(
        tuple(tables),
        products,
        np.repeat(np.arange(len(months)), sizes),
        rows,
        cols,
        np.concatenate([m.added[f] for m, f in zip(months, found, strict=True)]).astype(np.float64),
        np.repeat(decay, sizes),
        np.concatenate([m.customers[r] for m, (r, _) in zip(months, found, strict=True)]).view(np.uint64),
    )


def lightgbm_scores(months: Sequence[Month], tables: Sequence[FeatureTable], test: FeatureTable) -> Floats:
    """Return log-odds (n, P) of one LightGBM per product, learned from those who did not hold it."""
    import lightgbm

    x, x_test = np.concatenate([_matrix(t) for t in tables]), _matrix(test)
    held, added = (np.concatenate([getattr(m, name) for m in months]) for name in ("held", "added"))
    settings = {"objective": "binary", "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": 20}
    settings |= {"verbosity": -1, "seed": SEED, "deterministic": True, "force_row_wise": True}
    out = np.zeros((len(x_test), held.shape[1]))
    for j in range(held.shape[1]):
        rows = ~held[:, j]
        y = added[rows, j].astype(np.float64)
        out[:, j] = np.log((y.sum() + 0.5) / (len(y) + 1.0))
        if y.sum() >= LEAST_ADOPTIONS:
            booster = lightgbm.train(settings, lightgbm.Dataset(x[rows], y), 300)
            out[:, j] = booster.predict(x_test, raw_score=True)
    return out


def _matrix(table: FeatureTable) -> Floats:
    return np.column_stack([table.numbers(c.name) for c in table.columns])


def stored_scores(file: Path, month: Month, products: Sequence[str]) -> Floats | None:
    """Return stored predictions (n, P) of the month's customers; None where there are none for all of them."""
    if not file.exists():
        return None
    table = pq.read_table(file)
    names = [f"p_{p}" for p in products]
    if not set(names) <= set(table.column_names):
        return None
    table = table.filter(pc.equal(pc.cast(table.column("fecha_dato"), pa.string()), month.name))
    place = pc.index_in(pa.array(month.customers), value_set=table.column("ncodpers").cast(pa.int64()))
    if place.null_count:
        return None
    return np.column_stack([table.column(n).to_numpy() for n in names])[place.to_numpy()]


def ap_at_7(scores: npt.NDArray[Any], month: Month) -> Floats:
    """Return AP@7 of each buyer (n,) over the products not held, averaged over ties; NaN for those who took up none."""
    rows, cols = np.nonzero(~month.held)
    groups = tie_groups(rows, scores[rows, cols], label=month.added[rows, cols], customers=len(month.customers))
    return skip_empty(groups, average_precision(groups, PLACES))


RANKER = ChoiceRanker(
    crosses=(
        ("held", "held"),
        ("lost", "lost"),
        ("lost", "held"),
        ("added", "held"),
        ("was", "held"),
        ("was", "added"),
        ("recent", "was"),
        ("recent", "added"),
        ("recent", "never"),
        ("seen", "held"),
        ("seen", "holdings_count"),
        ("tenure", "seen"),
        ("tenure", "holdings_count"),
        ("tenure", "held"),
        ("holdings_count", "held"),
    ),
    seed=SEED,
)


def all_scores(
    months: Sequence[Month], test: Month, names: Sequence[str], stored: Path
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, float]]:
    """Return the scores (n, P) of every model, and the seconds each took to fit and score."""
    products = Products(tuple(names), tuple(names), np.full(len(names), np.nan), (None,) * len(names))
    tables = [features(m, months[:i], names) for i, m in enumerate(months)]
    test_table = features(test, months, names)
    adoptions = np.sum([m.added.sum(axis=0) for m in months], axis=0)
    scores: dict[str, npt.NDArray[Any]] = {"popularity": np.tile(adoptions, (len(test.customers), 1))}
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    scores["LightGBM"] = lightgbm_scores(months, tables, test_table)
    seconds["LightGBM"] = time.perf_counter() - started
    started = time.perf_counter()
    fitted = RANKER.fit(training_of(months, tables, products))
    scores["glass box"] = fitted.score(test_table, products).log_odds
    seconds["glass box"] = time.perf_counter() - started
    theirs = stored_scores(stored, test, names)
    return scores | ({} if theirs is None else {"runner-up": theirs}), seconds


def report(scores: dict[str, npt.NDArray[Any]], seconds: dict[str, float], test: Month) -> dict[str, Any]:
    """Return AP@7 of every model, and glass box − LightGBM customer by customer, in plain values."""
    by_customer = {name: ap_at_7(s, test) for name, s in scores.items()}
    columns = [*by_customer.values(), by_customer["glass box"] - by_customer["LightGBM"]]
    *each, difference = bootstrap_means(np.column_stack(columns), seed=SEED)
    models = {n: {**_plain(i), "seconds": seconds.get(n)} for n, i in zip(by_customer, each, strict=True)}
    return {"test": test.name, "buyers": each[0].n, "models": models, "glass box - LightGBM": _plain(difference)}


def _plain(interval: Interval) -> dict[str, float]:
    return {"ap@7": interval.estimate, "low": interval.low, "high": interval.high}


def table(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = [
        f"trained on {', '.join(result['train'])}; tested on {result['test']}, {result['buyers']:,} buyers",
        f"{'':<12}{'AP@7':>8}  {'95 % interval':<18}{'seconds':>8}",
    ]
    for name, m in result["models"].items():
        seconds = "" if m["seconds"] is None else f"{m['seconds']:.1f}"
        lines.append(f"{name:<12}{m['ap@7']:>8.4f}  {m['low']:.4f} to {m['high']:.4f}  {seconds:>8}")
    d = result["glass box - LightGBM"]
    lines.append(f"glass box − LightGBM, same buyers: {d['ap@7']:+.4f} ({d['low']:+.4f} to {d['high']:+.4f})")
    return "\n".join(lines)


def default_split() -> tuple[Panel, Panel]:
    """Return January and March, and April."""
    panel = read_panel([DATA / "buyers_panel.parquet"])
    earlier = tuple(m for m in panel.months if m.name < DEFAULT_TEST)
    return Panel(earlier, panel.products), Panel(
        tuple(m for m in panel.months if m.name == DEFAULT_TEST), panel.products
    )


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, nargs="+", help="earlier months")
    parser.add_argument("--test", type=Path, help="the month to judge on")
    parser.add_argument("--stored", type=Path, default=DATA / "kaggle_2nd_place_predictions.parquet")
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    if bool(arguments.train) != bool(arguments.test):
        parser.error("give both --train and --test, or neither")
    train, tested = (read_panel(arguments.train), read_panel([arguments.test])) if arguments.train else default_split()
    months, test = split(train, tested)
    scores, seconds = all_scores(months, test, train.products, arguments.stored)
    result = {"train": [m.name for m in months], **report(scores, seconds, test)}
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
