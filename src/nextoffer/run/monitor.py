"""Looks at a bank with a model that was fitted earlier: what has moved since, and whether it is beyond the limits.

Customers stream chunk by chunk on the path that decides, and only counts remain. Offers since the fit are judged by
what the model says of their customers as they were before the offers, month by month.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import NextOfferError
from nextoffer.evaluate import monitoring
from nextoffer.evaluate.alarm import Check, Limits, Share, Status, corrected, worst
from nextoffer.evaluate.calibration import ReliabilityBin, reliability
from nextoffer.evaluate.discrimination import auc_figure
from nextoffer.evaluate.figures import Units, intervals
from nextoffer.evaluate.monitor_page import About, monitor_page
from nextoffer.evaluate.monitoring import SPREADS, Moved
from nextoffer.evaluate.page import render
from nextoffer.evaluate.pairs import number_pairs
from nextoffer.evaluate.reach import Decisions
from nextoffer.evaluate.reference import HIGHEST, Reference, Spread
from nextoffer.features import FeatureSpec, stream_known
from nextoffer.intervals import Interval
from nextoffer.keyed import uniform
from nextoffer.models.ranker import sigmoid
from nextoffer.models.scorecard import PAIR
from nextoffer.policy.file import Policy
from nextoffer.run.batch import Progress, side_by_side, warming
from nextoffer.run.engine import CHUNK, Engine
from nextoffer.run.figures import write_figures
from nextoffer.run.labels import ADOPTIONS, OFFER_MADE, customer_count
from nextoffer.run.namable import closed_columns
from nextoffer.run.reached import counted, reached_on_fits_day
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Floats, Known, ids_as_text
from nextoffer.tables.write import write_table

SLICE = timedelta(days=30)
"""Offers of so many days are judged by what was known before the first of them."""
VOLUME_DAYS = 30
_GROWING = (
    ("silent_days", "transactions", "date", "transaction"),
    ("offers_silent_days", "responses", "offered_on", "offer"),
)
_VOLUMES = (
    ("1.0", "transactions", "Number of transactions"),
    ("abs(coalesce(amount, 0.0))", "amounts", "Amounts of transactions, in or out"),
)
_MOST_JUDGED = 100_000  # customers whose offers are judged, drawn by key where there are more
_ANSWERS = ("customer_id", "product_id", "label")


@dataclass(frozen=True)
class Options:
    """How a bank is looked at.

    Attributes
    ----------
    as_of
        The day; the fit's by default. Nothing dated on it or later is seen.
    limits
        From where on a figure is amber or red.
    chunk
        Customers at a time; does not change the figures.
    """

    as_of: date | None = None
    limits: Limits = field(default_factory=Limits)
    chunk: int = CHUNK


@dataclass(frozen=True)
class Monitored:
    """What has moved in a bank since a model was fitted.

    Attributes
    ----------
    about
        Of which bank, model and policy.
    checks
        Every figure with its verdict, kind by kind.
    features, propensities
        How each column was spread then, and is now.
    curve
        What was stated of offers since the fit, and what happened; empty where there are none.
    """

    about: About
    checks: tuple[Check, ...]
    features: tuple[Moved, ...]
    propensities: tuple[Moved, ...]
    curve: tuple[ReliabilityBin, ...]

    @property
    def status(self) -> Status:
        """The worst verdict."""
        return worst(self.checks)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return monitoring.headline(self.checks)

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """``monitoring`` (every check), ``spreads`` (shares then and now by bin)."""
        rows = [row for kind, found in self._kinds for moved in found for row in moved.rows(kind)]
        return {"monitoring": monitoring.table_of(self.checks), "spreads": pa.Table.from_pylist(rows, schema=SPREADS)}

    @property
    def _kinds(self) -> tuple[tuple[str, tuple[Moved, ...]], ...]:
        return ("feature", self.features), ("propensity", self.propensities)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict and every check as plain values."""
        rows = [
            {k: None if isinstance(v, float) and isnan(v) else v for k, v in row.items()}
            for row in self.tables["monitoring"].to_pylist()
        ]
        return {"status": self.status, "headline": self.headline, **self.about.to_dict(), "checks": rows}

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write ``report.html``, ``figures.json``, ``monitoring.csv`` and the tables as Parquet; return their names."""
        page = render(monitor_page(self.checks, self.features, self.propensities, self.curve, about=self.about))
        tables = self.tables
        write_table(tables["monitoring"], folder / "monitoring.csv")
        return *write_figures(folder, tables=tables, told=self.to_dict(), page=page), "monitoring.csv"


def monitored(
    engine: Engine,
    bank: Bank,
    policy: Policy | None = None,
    *,
    options: Options | None = None,
    progress: Progress = lambda _: None,
) -> Monitored:
    """Return what has moved since the fit, under a policy (the model's by default).

    A model that was saved before features were remembered is looked at without drift, which is said.

    Raises
    ------
    NextOfferError
        The day is before the fit, or the bank has no customers.
    """
    chosen = options or Options()
    day = chosen.as_of or engine.as_of
    if day < engine.as_of:
        raise NextOfferError(f"the model learned from days before {engine.as_of}; it cannot be monitored on {day}")
    watch = _Watch.of(engine if policy is None else engine.with_policy(policy), bank, day, chosen)
    now = watch.today(progress)
    features, propensities = watch.moved(now)
    answers = watch.answers()
    limits = chosen.limits
    checks = [
        *monitoring.drift_checks(features, limits, watch.importance),
        *monitoring.missing_checks(features, limits, watch.importance),
        *monitoring.propensity_checks(propensities, limits),
        *watch.judged(answers),
        watch.acceptance(),
        *monitoring.decision_checks(now.decisions, watch.at_fit(), limits, watch.names),
        *watch.incoming(now.decisions.customers),
        *watch.ages(),
    ]
    about = watch.about(now.decisions.customers, engine.policy.policy_id)
    if aside := monitoring.set_aside(checks, limits):
        about = replace(about, notes=(*about.notes, aside))
    return Monitored(about, tuple(checks), features, propensities, answers.curve())


@dataclass(frozen=True)
class _Sums:
    """Of a part of the customers: bins of features and propensities, and what was decided."""

    features: tuple[Spread, ...]
    propensities: tuple[Spread, ...]
    decisions: Decisions

    def __add__(self, other: _Sums) -> _Sums:
        features, propensities = (
            tuple(a + b for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in ((self.features, other.features), (self.propensities, other.propensities))
        )
        return _Sums(features, propensities, self.decisions + other.decisions)


@dataclass(frozen=True)
class _Answers:
    """Offers since the fit (customer_id, product_id, label), and what the model said of each."""

    table: pa.Table
    stated: Floats

    def curve(self) -> tuple[ReliabilityBin, ...]:
        """Return the reliability curve; nothing where there are no offers."""
        if not self.table.num_rows:
            return ()
        pairs = number_pairs(self.table)
        return reliability(self.stated, pairs.label, Units.of(pairs.customer, pairs.customers, seed=7))

    def auc(self) -> Interval:
        """Return the AUC, NaN where all answers are alike."""
        pairs = number_pairs(self.table)
        if not pairs.label.size or pairs.label.min() == pairs.label.max():
            return Interval(nan, nan, nan, pairs.customers)
        units = Units.of(pairs.customer, pairs.customers, seed=7)
        return intervals([auc_figure(self.stated, pairs.label, units)], seed=7)[0]

    def accepted(self, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[Share, float]:
        """Return the share accepted of some of the offers, and the mean probability stated."""
        pairs = number_pairs(self.table).take(np.flatnonzero(keep))
        x = np.bincount(pairs.customer, pairs.label, pairs.customers)
        m = np.bincount(pairs.customer, minlength=pairs.customers).astype(np.float64)
        sums = [x.sum(), m.sum(), (x * x).sum(), (x * m).sum(), (m * m).sum(), pairs.customers]
        return Share.of(sums), float(self.stated[keep].mean()) if keep.any() else nan


@dataclass(frozen=True)
class _Watch:
    """An engine before a bank on a later day."""

    engine: Engine
    bank: Bank
    day: date
    options: Options
    products: pa.Table
    spec: FeatureSpec
    reference: Reference

    @classmethod
    def of(cls, engine: Engine, bank: Bank, day: date, options: Options) -> _Watch:
        products = bank.table("products")
        engine.desk(products, day, closed=closed_columns(bank.config))
        return cls(engine, bank, day, options, products, engine.spec, engine.reference or Reference(0, ()))

    @property
    def names(self) -> dict[str, str]:
        """What each product is called, by its id as text."""
        offering = self.engine.desk(self.products, self.day).decider.offering
        return dict(zip(ids_as_text(self.products.column("product_id")), offering.names, strict=True))

    @property
    def importance(self) -> dict[str, float]:
        """Each feature's share of what features do to the scores; what a pair's feature does is dealt to its sources.

        Empty where the model does not tell; a feature that is not read has 0.
        """
        effects: Mapping[str, float] = self.engine.details.get("noted", {}).get("effects", {})
        total, ranker = sum(effects.values()), self.engine.ranker
        out = {column.name: 0.0 for column in self.engine.spec.columns if column.name not in ranker.reads or total}
        for name, effect in effects.items():
            sources = [name] if not name.startswith(PAIR) else sorted(ranker.reads_of_pair(name.removeprefix(PAIR)))
            for source in sources if total else ():
                out[source] = out.get(source, 0.0) + effect / total / len(sources)
        return out

    def today(self, progress: Progress) -> _Sums:
        """Return the sums over all customers."""
        warming(self.bank)()
        ids, asked = self.products.column("product_id"), self.engine.policy.asked
        stream = stream_known(self.spec, self.bank, self.day, products=ids, asked=asked, chunk=self.options.chunk)
        total: _Sums | None = None
        for part in side_by_side(self.sums, stream):
            total = part if total is None else total + part
            progress(part.decisions.customers)
        if total is None:
            raise NextOfferError("the bank has no customers to decide for")
        return total

    def sums(self, known: Known) -> _Sums:
        """Return the sums over some customers."""
        desk = self.engine.desk(self.products, self.day)
        batch = desk.batch(known)
        features = tuple(shape.of_table(known.features) for shape in self._shapes(known.features.names))
        chances = sigmoid(np.asarray(batch.scores.log_odds, dtype=np.float64))
        place = {p: i for i, p in enumerate(ids_as_text(self.products.column("product_id")))}
        spreads = tuple(
            shape.of_numbers(chances.max(axis=1) if shape.name == HIGHEST else chances[:, place[shape.name]])
            for shape in self._propensities()
        )
        return _Sums(features, spreads, counted(desk, batch))

    def _shapes(self, there: Mapping[str, Any]) -> list[Any]:
        return [shape for shape in self.reference.features if shape.name in there]

    def _propensities(self) -> list[Any]:
        there = {*ids_as_text(self.products.column("product_id")), HIGHEST}
        return [shape for shape in self.reference.propensities if shape.name in there]

    def moved(self, now: _Sums) -> tuple[tuple[Moved, ...], tuple[Moved, ...]]:
        """Return every column then and now."""
        there = {column.name: column for column in self.spec.columns}
        features = tuple(Moved.of(s, n) for s, n in zip(self._shapes(there), now.features, strict=True))
        return features, tuple(
            Moved.of(_called(s, self.names), n) for s, n in zip(self._propensities(), now.propensities, strict=True)
        )

    def at_fit(self) -> Decisions:
        """Return whom the policy reached on the day of the fit: as kept with the model, or else decided anew."""
        kept = self.engine.details.get("noted", {}).get("reached") or {}
        if kept.get("policy_id") == self.engine.policy.policy_id:
            return Decisions.from_dict(kept)
        return reached_on_fits_day(self.engine, self.bank)

    @property
    def since(self) -> tuple[date, date]:
        """The first day whose offers are judged, and the first that is not any more."""
        window = self.options.limits.window
        first = max(self.engine.as_of, self.day - timedelta(days=window.days))
        return first, max(first, self.day - timedelta(days=window.settle_days))

    @property
    def before(self) -> tuple[date, date]:
        """As many days before the fit."""
        window = self.options.limits.window
        last = min(self.engine.as_of, self.day - timedelta(days=window.settle_days))
        return self.engine.as_of - timedelta(days=window.days), last

    def answers(self) -> _Answers:
        """Return the offers since the fit with what the model says of them."""
        first, end = self.since
        parts = [part for start in _starts(first, end) for part in self._slice(start, min(start + SLICE, end))]
        if not parts:
            return _Answers(pa.table({name: pa.array([], pa.int64()) for name in _ANSWERS}), np.zeros(0))
        return _Answers(pa.concat_tables([p.table for p in parts]), np.concatenate([p.stated for p in parts]))

    def _slice(self, start: date, stop: date) -> Iterator[_Answers]:
        offers = self._offers(start, stop)
        ids = pc.unique(offers.column("customer_id")).sort()
        drawn = uniform(self.engine.policy.seed, "monitored offers", ids) < _MOST_JUDGED / max(len(ids), 1)
        ids = ids.filter(pa.array(drawn))
        desk = self.engine.desk(self.products, start)
        for at in range(0, len(ids), self.options.chunk):
            part = ids.slice(at, self.options.chunk)
            found = self.engine.known(self.bank, part, as_of=start)
            log_odds = np.asarray(desk.ranker.score(found.features, desk.products).log_odds, dtype=np.float64)
            yield _stated(offers, part, self.products.column("product_id"), log_odds)

    def _offers(self, start: date, stop: date) -> pa.Table:
        """customer_id, product_id, label of offers made on these days to customers that are there still."""
        if not self.bank.has("responses"):
            return pa.table({name: pa.array([], pa.int64()) for name in _ANSWERS})
        query = f"""
            SELECT r.customer_id, r.product_id, {self._accepted} AS label
            FROM responses r JOIN customers USING (customer_id)
            WHERE offered_on >= $start AND offered_on < $stop {self._made}
            ORDER BY r.customer_id, r.product_id, offered_on, label
        """
        return pa.Table.from_batches(list(self.bank.query(query, self._days(start, stop))))

    def _days(self, start: date, stop: date) -> dict[str, object]:
        days: dict[str, object] = {"start": start, "stop": stop}
        return {**days, "day": self.day} if "$day" in self._accepted else days

    @property
    def _accepted(self) -> str:
        known = "responded_on" in self.bank.columns("responses")
        answered = " AND (responded_on IS NULL OR responded_on < $day)" if known else ""
        return f"CAST(label = 1{answered} AS DOUBLE)"

    @property
    def _made(self) -> str:
        return f"AND {OFFER_MADE}" if "arm" in self.bank.columns("responses") else ""

    def judged(self, answers: _Answers) -> Iterator[Check]:
        """Yield the checks of calibration, overall and by product, and of the order."""
        adopted = self.engine.details.get("labels") == ADOPTIONS
        for check in self._judged(answers):
            words = f"{check.text} The model learned what customers take up by themselves, so this is not judged."
            yield replace(check, line=None, text=words) if adopted and check.now.n else check

    def _judged(self, answers: _Answers) -> Iterator[Check]:
        limits = self.options.limits
        every = np.ones(len(answers.stated), dtype=np.bool_)
        accepted, expected = answers.accepted(every)
        yield monitoring.calibration_check(accepted, expected, limits, subject="all", label="All products")
        products = np.array(ids_as_text(answers.table.column("product_id")), dtype=object)
        yield from corrected(
            [
                monitoring.calibration_check(
                    *answers.accepted(products == p), limits, subject=p, label=self.names.get(p, p)
                )
                for p in sorted(set(products))
            ]
        )
        held_out = self.engine.details.get("noted", {}).get("held_out", {}).get("AUC")
        then = None
        if held_out is not None:
            low, high = (nan if held_out[k] is None else held_out[k] for k in ("low", "high"))
            then = Interval(held_out["estimate"], low, high, held_out["n"])
        yield monitoring.auc_check(answers.auc(), then, limits)

    def acceptance(self) -> Check:
        """Return the check of the acceptance rate."""
        first, end = self.since
        when = f"from {first} to {end - timedelta(days=1)}" if end > first else "since the fit"
        now, then = (self._rate(*days) for days in (self.since, self.before))
        return monitoring.acceptance_check(now, then, self.options.limits, when)

    def _rate(self, start: date, stop: date) -> Share:
        if not self.bank.has("responses") or stop <= start:
            return Share.of([0.0] * 6)
        query = f"""
            SELECT sum(x) AS x, sum(m) AS m, sum(x * x) AS xx, sum(x * m) AS xm, sum(m * m) AS mm, count(*) AS n FROM (
                SELECT sum({self._accepted}) AS x, CAST(count(*) AS DOUBLE) AS m FROM responses
                WHERE offered_on >= $start AND offered_on < $stop {self._made} GROUP BY customer_id
            ) AS of_customers
        """
        return Share.of(self._numbers(query, self._days(start, stop)))

    def _numbers(self, query: str, parameters: Mapping[str, object]) -> list[float]:
        (found,) = pa.Table.from_batches(list(self.bank.query(query, parameters))).to_pylist()
        return [0.0 if value is None else float(value) for value in found.values()]

    def incoming(self, customers: int) -> Iterator[Check]:
        """Yield the checks of how many customers there are, and of the tables that grow day by day."""
        limits, details = self.options.limits, self.engine.details
        if "customers_in_bank" in details:
            yield monitoring.customers_check(customers, int(details["customers_in_bank"]), limits)
        for check, table, column, what in _GROWING:
            if self.bank.has(table):
                yield self._silence(check, table, column, what)
        if self.engine.as_of < self.day and self.bank.has("transactions"):
            yield from corrected(
                [
                    monitoring.volume_check(*self._volume(what), limits, (subject, label, VOLUME_DAYS))
                    for what, subject, label in _VOLUMES
                ]
            )

    def _silence(self, check: str, table: str, column: str, what: str) -> Check:
        query = f"SELECT max({column}) AS latest FROM {table} WHERE {column} < $day"
        (last,) = pa.Table.from_batches(list(self.bank.query(query, {"day": self.day}))).column(0).to_pylist()
        label, limits = f"Days since the last {what}", self.options.limits
        if last is not None:
            return monitoring.days_check(check, label, float((self.day - last).days), limits, f"It is of {last}.")
        learned = table in self.engine.details.get("noted", {}).get("tables", ())
        words = f"There is none, and the model learned from the table {table}." if learned else "There is none."
        return monitoring.days_check(check, label, inf if learned else nan, limits, words)

    def _volume(self, what: str) -> tuple[Share, int]:
        """What transactions add up to lately, over what they did before the fit, and of how many customers.

        `what` is the SQL of what a transaction adds.
        """
        span, fitted = timedelta(days=VOLUME_DAYS), self.engine.as_of
        query = f"""
            SELECT sum(x) AS x, sum(m) AS m, sum(x * x) AS xx, sum(x * m) AS xm, sum(m * m) AS mm, count(*) AS n FROM (
                SELECT sum(CASE WHEN date >= $lately THEN {what} ELSE 0.0 END) AS x,
                       sum(CASE WHEN date < $fitted THEN {what} ELSE 0.0 END) AS m
                FROM transactions
                WHERE (date >= $lately AND date < $day) OR (date >= $first AND date < $fitted)
                GROUP BY customer_id
            ) AS of_customers
        """
        parameters = {"lately": self.day - span, "day": self.day, "first": fitted - span, "fitted": fitted}
        sums = self._numbers(query, parameters)
        return Share.of(sums), int(sums[-1])

    def ages(self) -> Iterator[Check]:
        """Yield the checks of the model's age, and of that of what it learned from."""
        fitted, last = self.engine.as_of, self.engine.details.get("noted", {}).get("last_day")
        words = f"It was fitted as of {fitted}" + (f" and learned from offers up to {last}." if last else ".")
        yield monitoring.days_check(
            "age_days", "Age of the model", float((self.day - fitted).days), self.options.limits, words
        )

    def about(self, customers: int, fitted_policy: str) -> About:
        """Return what the figures are about."""
        engine, notes = self.engine, []
        if engine.reference is None:
            notes.append(
                "The model was saved before NextOffer kept how features were spread, so drift cannot be measured; "
                "`nextoffer fit` makes one that can."
            )
        if engine.policy.policy_id != fitted_policy:
            notes.append(f"The policy is {engine.policy.policy_id}, not the one kept with the model, {fitted_policy}.")
        there = {shape.name for shape in self.reference.propensities}
        new = [p for p in ids_as_text(self.products.column("product_id")) if there and p not in there]
        if new:
            notes.append(f"Products that are new since the fit are not compared: {', '.join(new[:20])}.")
        return About(
            bank=self.bank.name,
            as_of=self.day.isoformat(),
            fitted=engine.as_of.isoformat(),
            model=engine.model_id,
            policy=engine.policy.policy_id,
            customers=customers,
            there=customer_count(self.bank),
            notes=tuple(notes),
        )


def _called(shape: Any, names: Mapping[str, str]) -> Any:
    return replace(shape, label=monitoring.propensity_label(shape.name, names))


def _starts(first: date, end: date) -> Iterator[date]:
    while first < end:
        yield first
        first += SLICE


def _stated(offers: pa.Table, customers: pa.Array, products: pa.ChunkedArray, log_odds: Floats) -> _Answers:
    """The offers to these customers, and what their log-odds (n, P) say; products no longer there are left out."""
    rows, cols = (
        pc.index_in(offers.column(name), value_set=pa.chunked_array([there]).cast(offers.schema.field(name).type))
        for name, there in (("customer_id", customers), ("product_id", products.combine_chunks()))
    )
    here = pc.and_(rows.is_valid(), cols.is_valid())
    at, of = (each.filter(here).to_numpy().astype(np.intp) for each in (rows, cols))
    return _Answers(offers.filter(here), sigmoid(log_odds[at, of]))
