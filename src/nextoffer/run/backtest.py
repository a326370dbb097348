"""The time-split backtest: everything is fitted on what was known before a day and judged on what came after.

Ranker, challenger and baselines meet on the same pairs. *Ranking* is judged on every pair that the policy's consent and
eligibility rules allow on that day (1 = accepted later); *discrimination and calibration* on the offers really made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nextoffer.errors import BankError, ModelError, did_you_mean
from nextoffer.evaluate.backtest import Backtest, backtest
from nextoffer.evaluate.judge import Family, Settings
from nextoffer.evaluate.pairs import Contender, Truth
from nextoffer.features import FeatureSpec, discover
from nextoffer.models.baselines import BASELINES, Baseline
from nextoffer.models.peers import PEERS
from nextoffer.models.ranker import sigmoid
from nextoffer.policy.batch import Batch
from nextoffer.policy.decide import Decider
from nextoffer.policy.file import Policy
from nextoffer.run.batch import eligible_scores
from nextoffer.run.engine import RANKERS, Engine, ranker_named
from nextoffer.run.labels import (
    ADOPTION_WINDOW,
    OFFER_MADE,
    RESPONSES,
    Labelled,
    Sample,
    labelled,
    learned_from,
    sampled_customers,
)
from nextoffer.run.noted import noted_of_bank
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Indices, Scores

CHAMPION, CHALLENGER, BASELINE = "glassbox", "lightgbm", "heuristic"
MAX_CUSTOMERS = 50_000
"""Customers judged, a keyed sample where the bank has more."""
_RANKING: tuple[Family, ...] = ("ranking", "response")
_PAIRS: tuple[Family, ...] = ("discrimination", "calibration")
_KEYS = ["customer_id", "product_id"]
Step = Callable[[str], None]
"""Told what is being done now."""


@dataclass(frozen=True)
class Options:
    """How a backtest is made.

    Attributes
    ----------
    split
        Everything before this day trains, the rest judges; None takes the first day of the last third of offer dates.
    challenger
        Also fit LightGBM.
    by
        Customer columns whose values are judged on their own.
    resamples
        Of the bootstrap.
    also
        Further models to judge: ``choice``, or peers (`nextoffer.models.peers.PEERS`).
    until
        Judge by what came before this day; None by all that came.
    champion
        The ranker whose engine is judged.
    """

    split: date | None = None
    challenger: bool = True
    by: Sequence[str] = ()
    resamples: int = 1000
    also: Sequence[str] = ()
    until: date | None = None
    champion: str = CHAMPION

    @property
    def learned(self) -> tuple[str, ...]:
        """The models that take a fit worth counting, champion first."""
        return tuple(dict.fromkeys((self.champion, *((CHALLENGER,) if self.challenger else ()), *self.also)))


@dataclass(frozen=True)
class Evaluation:
    """What a backtest found, and the engine it judged.

    Attributes
    ----------
    found
        The Report (splits ``eligible pairs`` and ``offers made``), reliability and deciles.
    engine
        The champion, fitted on what came before `split`.
    batch
        The judged customers with the champion's scores.
    contenders
        Scores (n, P) of every model for the rows and columns of `batch`.
    eligible
        customer_id, product_id, label of the eligible pairs, with truth columns where there is a truth.
    split
        The day of the split.
    made
        customer_id, product_id, label of the offers judged, a row per offer, or of the eligible pairs for adoptions.
    learned
        What all models learned from.
    notes
        What was asked for and could not be done, in plain words.
    champion
        What the engine's ranker is called among the contenders.
    """

    found: Backtest
    engine: Engine
    batch: Batch
    contenders: Mapping[str, Scores]
    eligible: pa.Table
    split: date
    made: pa.Table
    learned: Labelled
    notes: tuple[str, ...] = ()
    champion: str = CHAMPION


def evaluate(bank: Bank, policy: Policy, *, options: Options | None = None, step: Step = lambda _: None) -> Evaluation:
    """Return how the glass box, the challenger and the baselines do on what came after the split.

    Raises
    ------
    ModelError
        There is nothing to learn from before the split, or nothing to judge by after it.
    BankError
        A column to judge by is no feature.
    """
    chosen = options or Options()
    split = chosen.split or time_split(bank)
    also, notes = _there(chosen.also)
    step(f"Features as of {split}")
    sample = Sample.of(bank, seed=policy.seed)
    spec = discover(sample.bank, split)
    _check_groups(spec, chosen.by)
    learned = labelled(sample.bank, spec, split, seed=policy.seed)
    names = tuple(n for n in chosen.learned if n not in chosen.also or n in also)
    step(f"Fitting {' and '.join(names)}")
    with ThreadPoolExecutor() as pool:  # both train in compiled code, which leaves the interpreter free
        fitted = pool.map(lambda name: contender(name, policy.seed).fit(learned.training), names)
        rankers: dict[str, Any] = dict(zip(names, fitted, strict=True))
    rankers |= {name: Baseline(name, policy.seed).fit(learned.training) for name in BASELINES}
    details = learned_from(sample, learned) | {"noted": noted_of_bank(sample.bank, learned)}
    engine = Engine.around(rankers[chosen.champion], spec, policy, learned, details=details)
    step("Scoring and judging")
    judged = sampled_customers(bank, MAX_CUSTOMERS, seed=policy.seed, purpose="judged")
    desk = engine.desk(bank.table("products"), split)
    batch = desk.batch(engine.known(bank, judged, as_of=split, every_feature=True))
    products = learned.training.products
    scores = {chosen.champion: batch.scores} | {
        n: r.score(batch.features, products) for n, r in rankers.items() if n != chosen.champion
    }
    offers = _later_labels(bank, split, learned.source, chosen.until)
    eligible = _eligible_pairs(desk.decider, batch, offers, bank.path)
    made = _offers_made(batch, eligible, offers)
    found = _judge(batch, scores, eligible, made, chosen)
    return Evaluation(found, engine, batch, scores, eligible, split, made, learned, notes, chosen.champion)


def contender(name: str, seed: int) -> Any:
    """Return an unfitted ranker, or a peer, by name. Raises `ModelError` where there is none of that name."""
    return PEERS[name](seed=seed) if name in PEERS else ranker_named(name, seed)


def _there(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return those of the models that can be fitted here, and why the others cannot."""
    known = (*RANKERS, *PEERS)
    if strange := [n for n in names if n not in known]:
        raise ModelError([f"no model '{n}'{did_you_mean(n, known)}; there are {', '.join(known)}" for n in strange])
    wanting = {name: why for name in names if name in PEERS and (why := PEERS[name].wanting()) is not None}
    return tuple(n for n in names if n not in wanting), tuple(f"{n} is left out: {w}" for n, w in wanting.items())


def time_split(bank: Bank) -> date:
    """Return the first day of the last third of the bank's offer dates, or one adoption window before its last opening.

    Raises
    ------
    ModelError
        There are fewer than two offer dates and no dated holdings.
    """
    con = bank.connect().cursor()
    if bank.has("responses"):
        rows = con.sql("select distinct offered_on from responses order by 1").fetchall()
        if len(rows) > 1:
            last: date = rows[-max(1, len(rows) // 3)][0]
            return last
    if bank.has("holdings") and "opened_on" in bank.columns("holdings"):
        found = con.sql("select max(opened_on) from holdings").fetchall()[0][0]
        if found is not None:
            earlier: date = found - ADOPTION_WINDOW
            return earlier
    raise ModelError("a backtest needs offers on two days or more in responses, or holdings with opened_on")


def _check_groups(spec: FeatureSpec, by: Sequence[str]) -> None:
    names = [column.name for column in spec.columns]
    if strange := [column for column in by if column not in names]:
        there = ", ".join(names)
        raise BankError([f"cannot judge by '{c}'{did_you_mean(c, names)}; there are {there}" for c in strange])


def _later_labels(bank: Bank, split: date, source: str, until: date | None) -> pa.Table:
    """customer_id, product_id, label of every offer made (or product taken up) from the split on, a row per offer."""
    end = until or date.max
    if source == RESPONSES:
        made = f"and {OFFER_MADE}" if "arm" in bank.columns("responses") else ""
        query = f"""select customer_id, product_id, label from responses
                    where offered_on >= $day and offered_on < $until {made}
                    order by offered_on, customer_id, product_id, label"""
        parameters: dict[str, object] = {"day": split, "until": end}
    else:
        query = """select distinct customer_id, product_id, cast(1 as double) as label from holdings
                   where opened_on > $day and opened_on <= $last order by 1, 2"""
        parameters = {"day": split, "last": min(split + ADOPTION_WINDOW, end)}
    found = bank.connect().cursor().sql(query, params=parameters).to_arrow_table()
    if not found.num_rows or not pc.sum(found.column("label")).as_py():
        before = f" and before {until}" if until else ""
        raise ModelError(f"nothing to judge by: no acceptance on or after {split}{before}")
    return found


def _eligible_pairs(decider: Decider, batch: Batch, offers: pa.Table, folder: Path) -> pa.Table:
    pairs = eligible_scores(decider, batch).select(_KEYS)
    pairs = pairs.append_column("row", pa.array(np.arange(pairs.num_rows)))
    accepted = offers.group_by(_KEYS).aggregate([("label", "max")]).rename_columns([*_KEYS, "label"])
    joined = pairs.join(accepted, keys=_KEYS, join_type="left outer")
    truth = read_truth(folder)
    if truth is not None:
        joined = joined.join(truth, keys=_KEYS, join_type="left outer")
    joined = joined.sort_by("row").drop_columns("row")
    filled = pc.fill_null(joined.column("label"), 0.0)
    return joined.set_column(joined.column_names.index("label"), "label", filled)


def read_truth(folder: Path) -> pa.Table | None:
    """Return customer_id, product_id, response and noiseless of a simulated bank's ``truth.parquet``, or None.

    `response` is the true P(accept) of one contact: 0.25 × sigmoid(true_score), or p_treated.
    """
    path = folder / "truth.parquet" if folder.is_dir() else folder.parent / "truth.parquet"
    if not path.is_file():
        return None
    table = pq.read_table(path)
    if "p_treated" in table.column_names:
        response = table.column("p_treated").to_numpy()
    elif "true_score" in table.column_names:
        response = 0.25 * sigmoid(table.column("true_score").to_numpy())
    else:
        return None
    noiseless = table.column("noiseless_score") if "noiseless_score" in table.column_names else pa.array(response)
    return table.select(_KEYS).append_column("response", pa.array(response)).append_column("noiseless", noiseless)


def _offers_made(batch: Batch, eligible: pa.Table, offers: pa.Table) -> pa.Table:
    """The offers to judged customers of products there are; the eligible pairs where all were taken up (adoptions)."""
    known = pc.is_in(offers.column("customer_id"), value_set=pc.unique(batch.features.customer_ids.combine_chunks()))
    made = offers.filter(known)
    made = made.filter(
        pc.is_in(made.column("product_id"), value_set=batch.products.column("product_id").combine_chunks())
    )
    accepted = pc.sum(made.column("label")).as_py() or 0
    return made if 0 < accepted < made.num_rows else eligible  # adoptions: every pair not taken up is a no


def _judge(
    batch: Batch, scores: Mapping[str, Scores], eligible: pa.Table, made: pa.Table, options: Options
) -> Backtest:
    ranking = _one(batch, scores, eligible, options, ("eligible pairs", _RANKING))
    pairs = _one(batch, scores, made, options, ("offers made", _PAIRS))
    return Backtest(pa.concat_tables([ranking.report, pairs.report]), pairs.reliability, pairs.deciles)


def _one(
    batch: Batch,
    scores: Mapping[str, Scores],
    pairs: pa.Table,
    options: Options,
    kind: tuple[str, tuple[Family, ...]],
) -> Backtest:
    split, families = kind
    rows, cols = places(batch, pairs)
    contenders = {name: answer(name, s, rows, cols) for name, s in scores.items()}
    truth = None
    if "response" in pairs.column_names and not pairs.column("response").null_count:
        truth = Truth(pairs.column("response").to_numpy(), pairs.column("noiseless").to_numpy())
    for column in options.by:
        pairs = pairs.append_column(column, batch.features.data.column(column).take(pa.array(rows)))
    settings = Settings(baseline=BASELINE, split=split, families=families, resamples=options.resamples)
    return backtest(pairs, contenders, truth=truth, by=options.by, settings=settings)


def places(batch: Batch, pairs: pa.Table) -> tuple[Indices, Indices]:
    """Return the row and column of the batch in which each pair (customer_id, product_id) stands."""
    known = {"customer_id": batch.features.customer_ids, "product_id": batch.products.column("product_id")}
    rows, cols = (pc.index_in(pairs.column(c), value_set=ids.combine_chunks()).to_numpy() for c, ids in known.items())
    return rows, cols


def answer(name: str, scores: Scores, rows: Indices, cols: Indices) -> Contender:
    """Return what a model says of pairs: its probabilities, or scores that only order."""
    log_odds = scores.log_odds[rows, cols].astype(np.float64)
    probability = name in (*RANKERS, "popularity")
    return Contender(sigmoid(log_odds) if probability else log_odds, probability)
