"""Who says yes on the telephone: 41,188 calls of a bank in time order, glass box beside LightGBM.

Usage: ``python benchmarks/bank_marketing.py [--share 0.2] [--json FILE]``

UCI Bank Marketing (Moro, Cortez & Rita 2014, Decision Support Systems 62). ``duration`` is left out: it is known only
after the call. Each call is a customer of a bank in a temporary folder; customers and calls of the judged period are in
another one, which nothing is fitted on. The last share of the calls judges. Whether the columns of the economy, which
shift between the periods, are used is chosen for each model by log loss on the last fifth of its training period.

``lightgbm`` is NextOffer's challenger: it gets the glass box's response affinity as a column. ``lightgbm raw`` knows
nothing of NextOffer: the columns as they are; leaves, learning rate and rounds are chosen on the last fifth of what it
learns from. ``lightgbm raw, other columns`` is the same with the columns that were not chosen, for comparison only.
``rate so far`` says of everybody what share of the calls learned from was accepted.

Dates: the file knows month and order; days are spread over the month in that order. Prints AUC, log loss, Brier score
and calibration error with 95 % intervals (each call a customer), the paired difference, and calibration by tenth.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer.evaluate.calibration import reliability
from nextoffer.evaluate.paired import Sheet, differences, reported
from nextoffer.evaluate.pairs import Contender
from nextoffer.features import customer_ids
from nextoffer.models.ranker import sigmoid
from nextoffer.policy.file import Policy
from nextoffer.run.engine import Engine, ranker_named
from nextoffer.tables.bank import Bank

DATA = Path(__file__).parents[2] / "shared" / "data" / "bank_marketing" / "bank_additional_full.parquet"
MODELS = ("glassbox", "lightgbm", "lightgbm raw")
OTHER = "lightgbm raw, other columns"
MOST_ROUNDS = 300
ECONOMY = ("emp_var_rate", "cons_price_idx", "cons_conf_idx", "euribor3m", "nr_employed")
VARIANTS: dict[str, tuple[str, ...]] = {"all columns": (), "without the economy": ECONOMY}
FIRST_YEAR = 2008
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
VALIDATION = 0.2


@dataclass(frozen=True)
class Calls:
    """Calls in time order: their customers' columns, days and answers."""

    customers: pa.Table
    days: tuple[date, ...]
    label: Any

    def take(self, start: int, stop: int) -> Calls:
        """Return the calls from one place to another."""
        return Calls(self.customers.slice(start, stop - start), self.days[start:stop], self.label[start:stop])

    def cut(self, share: float) -> int:
        """Return the first call of the last share, at the beginning of a day."""
        return self.days.index(self.days[round(len(self.days) * (1 - share))])


def read() -> Calls:
    """Return all calls without ``duration``; a year begins where months start again."""
    table = pq.read_table(DATA).drop_columns(["duration"])
    months = [MONTHS.index(m) for m in table.column("month").to_pylist()]
    label = np.array([y == "yes" for y in table.column("y").to_pylist()], dtype=float)
    customers = table.drop_columns(["y"]).rename_columns([c.replace(".", "_") for c in table.column_names if c != "y"])
    # 999 days since the last contact means that there was none
    since = customers.column("pdays").to_pylist()
    place = customers.column_names.index("pdays")
    customers = customers.set_column(place, "pdays", pa.array([None if d == 999 else d for d in since], pa.int64()))
    numbers = pa.array(np.arange(table.num_rows))
    return Calls(customers.add_column(0, "customer_id", numbers), tuple(_days(months)), label)


def _days(months: list[int]) -> list[date]:
    """A day for each call: spread over its month in order."""
    out: list[date] = []
    year, start = FIRST_YEAR, 0
    while start < len(months):
        stop = start
        while stop < len(months) and months[stop] == months[start]:
            stop += 1
        year += bool(start and months[start] < months[start - 1])
        long = monthrange(year, months[start] + 1)[1]
        first = date(year, months[start] + 1, 1)
        out += [first + timedelta(days=i * long // (stop - start)) for i in range(stop - start)]
        start = stop
    return out


def write_bank(calls: Calls, folder: Path, without: tuple[str, ...]) -> Bank:
    """Write calls as a bank of one product and return it."""
    folder.mkdir(parents=True)
    ids = calls.customers.column("customer_id")
    pq.write_table(calls.customers.drop_columns(list(without)), folder / "customers.parquet")
    product = pa.table({"product_id": ["deposit"], "product_type": ["TD"], "name": ["Term deposit"]})
    pq.write_table(product, folder / "products.parquet")
    holdings = pa.table({"customer_id": pa.array([], pa.int64()), "product_id": pa.array([], pa.string())})
    pq.write_table(holdings, folder / "holdings.parquet")
    offers = {
        "customer_id": ids,
        "product_id": ["deposit"] * len(ids),
        "offered_on": pa.array(calls.days, pa.date32()),
        "label": calls.label,
    }
    pq.write_table(pa.table(offers), folder / "responses.parquet")
    bank = Bank.read(folder)
    there = bank.connect().sql("select count(*) from responses").fetchall()[0][0]
    if there != len(ids):
        raise SystemExit(f"{len(ids) - there} of {len(ids)} calls do not reach the bank")
    return bank


def stated(learn: Calls, judge: Calls, model: str, without: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
    """Return P(yes) of the judged calls, in their order, of a model fitted on the others, and what it chose."""
    if model == "lightgbm raw":
        return raw_lightgbm(learn, judge, without)
    as_of = judge.days[0]
    with tempfile.TemporaryDirectory() as scratch:
        past = write_bank(learn, Path(scratch) / "past", without)
        later = write_bank(judge, Path(scratch) / "later", without)
        engine = Engine.fit(past, Policy(), as_of=as_of, ranker=ranker_named(model, 7))
        desk = engine.desk(later.table("products"), as_of)
        batch = desk.batch(engine.known(later, customer_ids(later), as_of=as_of, every_feature=True))
        order = np.argsort(batch.features.customer_ids.to_numpy())  # calls are numbered in time order
        return sigmoid(batch.scores.log_odds[order, 0]), {}


def raw_lightgbm(learn: Calls, judge: Calls, without: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
    """Return what `stated` does, of LightGBM on the columns; texts are categories, as known from what is learned."""
    import lightgbm

    names = [n for n in learn.customers.column_names if n not in ("customer_id", *without)]
    nominal = [i for i, n in enumerate(names) if pa.types.is_large_string(learn.customers.schema.field(n).type)]

    def matrix(calls: Calls) -> Any:
        columns = []
        for i, name in enumerate(names):
            column = calls.customers.column(name)
            if i in nominal:
                known = sorted(set(learn.customers.column(name).to_pylist()))
                columns.append([known.index(v) if v in known else -1 for v in column.to_pylist()])
            else:
                columns.append([np.nan if v is None else v for v in column.to_pylist()])
        return np.array(columns, dtype=float).T

    fixed = {"objective": "binary", "verbosity": -1, "seed": 7, "deterministic": True, "num_threads": 1}
    x, cut = matrix(learn), learn.cut(VALIDATION)
    tried = []
    for leaves in (4, 15, 31):
        for rate in (0.03, 0.1):
            settings = {**fixed, "num_leaves": leaves, "learning_rate": rate}
            first, last = (
                lightgbm.Dataset(x[rows], learn.label[rows], categorical_feature=nominal)
                for rows in (slice(0, cut), slice(cut, None))
            )
            stop = [lightgbm.early_stopping(30, verbose=False)]
            found = lightgbm.train(settings, first, MOST_ROUNDS, valid_sets=[last], callbacks=stop)
            tried.append((found.best_score["valid_0"]["binary_logloss"], max(found.best_iteration, 1), settings))
    _, rounds, settings = min(tried, key=lambda each: each[0])
    whole = lightgbm.Dataset(x, learn.label, categorical_feature=nominal)
    told = {"rounds": rounds} | {name: settings[name] for name in ("num_leaves", "learning_rate")}
    return lightgbm.train(settings, whole, rounds).predict(matrix(judge)), told


def chosen(learn: Calls, model: str) -> tuple[str, dict[str, float]]:
    """Return the columns with the least log loss on the last fifth of the training period, and all log losses."""
    cut = learn.cut(VALIDATION)
    inner, judge = learn.take(0, cut), learn.take(cut, len(learn.days))
    losses = {}
    for name, without in VARIANTS.items():
        chance = np.clip(stated(inner, judge, model, without)[0], 1e-12, 1 - 1e-12)
        losses[name] = float(-np.log(np.where(judge.label > 0, chance, 1 - chance)).mean())
    return min(losses, key=lambda name: losses[name]), losses


def measured(calls: Calls, share: float) -> dict[str, Any]:
    """Return every figure in plain values."""
    cut = calls.cut(share)
    learn, judge = calls.take(0, cut), calls.take(cut, len(calls.days))
    answers: dict[str, Contender] = {}
    fits: dict[str, Any] = {}
    for model in MODELS:
        started = time.perf_counter()
        name, losses = chosen(learn, model)
        chance, settings = stated(learn, judge, model, VARIANTS[name])
        answers[model] = Contender(chance, True)
        fits[model] = {"columns": name, "settings": settings, "validation_log_loss": losses}
        fits[model]["seconds"] = time.perf_counter() - started
    other = next(name for name in VARIANTS if name != fits["lightgbm raw"]["columns"])
    chance, settings = stated(learn, judge, "lightgbm raw", VARIANTS[other])
    answers[OTHER] = Contender(chance, True)
    fits[OTHER] = {"columns": other, "settings": settings}
    answers["rate so far"] = Contender(np.full(len(judge.label), learn.label.mean()), True)
    table = pa.table(
        {"customer_id": judge.customers.column("customer_id"), "product_id": ["deposit"] * len(judge.label)}
    ).append_column("label", pa.array(judge.label))
    sheet = Sheet.of([(table, answers)])
    found = [sheet.stated()]
    bins = {m: reliability(answers[m].score, judge.label, sheet.units) for m in MODELS}
    return {
        "learned": {"calls": cut, "until": str(learn.days[-1]), "accepted": float(learn.label.mean())},
        "judged": {"calls": len(judge.label), "from": str(judge.days[0]), "accepted": float(judge.label.mean())},
        "fits": fits,
        "figures": reported(found, "later calls"),
        "differences": differences(found, [("glassbox", m) for m in (*MODELS[1:], OTHER)], "later calls").to_pylist(),
        "calibration": {m: [{"stated": b.stated, **vars(b.observed)} for b in tenths] for m, tenths in bins.items()},
    }


def told(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    learned, judged = result["learned"], result["judged"]
    lines = [
        f"learned from {learned['calls']:,} calls until {learned['until']}, {learned['accepted']:.1%} accepted; "
        f"judged by {judged['calls']:,} from {judged['from']} on, {judged['accepted']:.1%} accepted"
    ]
    lines += [
        f"{m}: {f['columns']}" + "".join(f", {name} {value}" for name, value in f["settings"].items())
        for m, f in result["fits"].items()
    ]
    lines += [
        f"{r['model']:<27} {r['metric']:<18} {r['estimate']:.4f}  {r['low']:.4f} to {r['high']:.4f}"
        for r in result["figures"]
    ]
    lines += [
        f"glassbox − {r['against']:<27} {r['metric']:<9} {r['estimate']:+.4f}  {r['low']:+.4f} to {r['high']:+.4f}  "
        f"p (Holm) {r['p_holm']:.3f}"
        for r in result["differences"]
    ]
    for model, tenths in result["calibration"].items():
        lines.append(f"{model}: " + ", ".join(f"{b['stated']:.2f}→{b['estimate']:.2f}" for b in tenths))
    return "\n".join(lines)


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.2, help="of the calls that judges, the last ones")
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are not there: {DATA}")
    result = measured(read(), arguments.share)
    print(told(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
