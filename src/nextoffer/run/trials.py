"""Trials around a backtest: the same over several days, models with something left out, and models with less data.

All fits of a trial learn from the period before its day alone, meet the same customers and pairs as the champion, and
are compared with it customer by customer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer.errors import ModelError
from nextoffer.evaluate.page import render
from nextoffer.evaluate.paired import (
    DIFFERENCES,
    Sheet,
    calibration_by_product,
    differences,
    figures_of,
    reported,
)
from nextoffer.evaluate.pairs import Contender
from nextoffer.evaluate.trial_story import trial_sections
from nextoffer.features import FeatureSpec
from nextoffer.keyed import hash64, uniform
from nextoffer.models.training import Training
from nextoffer.policy.file import Policy
from nextoffer.run.backtest import (
    CHALLENGER,
    CHAMPION,
    Evaluation,
    Options,
    answer,
    contender,
    evaluate,
    places,
)
from nextoffer.run.figures import write_figures
from nextoffer.run.labels import ADOPTION_WINDOW, RESPONSES
from nextoffer.run.report import evaluation_page
from nextoffer.run.uplift import UpliftTold, uplift_told
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import REPORT, FeatureTable
from nextoffer.tables.write import write_table

SHARES = (0.1, 0.2, 0.5)
"""Shares of the customers that a learning curve fits on, besides all of them."""
POOLED = "pooled"
COLLABORATIVE = frozenset({"spend_interest", "coholding"})
TABLES: Mapping[str, str] = {"no transactions": "transactions", "no history": "responses"}
"""Ablations that leave out all features made of a table."""
NO_COLLABORATIVE, NO_AFFINITY = "no collaborative", "no response affinity"
LEARNING_CURVE = pa.schema(
    [
        ("metric", pa.string()),
        ("share", pa.float64()),
        *((name, pa.int64()) for name in ("customers", "offers", "accepted")),
        *((name, pa.float64()) for name in ("estimate", "low", "high")),
        ("n", pa.int64()),
    ]
)
"""Per metric and share of customers learned from: how many, their labelled offers, and the champion's figure."""


@dataclass(frozen=True)
class Trials:
    """What is tried besides the backtest.

    Attributes
    ----------
    origins
        So many days, evenly spread over the later two thirds of the offer dates, or the days themselves.
    ablations, learning_curve
        Whether they are made.
    """

    origins: int | tuple[date, ...] = ()
    ablations: bool = False
    learning_curve: bool = False

    @property
    def asked(self) -> bool:
        """Whether anything is tried."""
        return bool(self.origins) or self.ablations or self.learning_curve

    def fits(self, options: Options) -> int:
        """Return how many fits the backtest and the trials take, at most."""
        days = self.origins if isinstance(self.origins, int) else len(self.origins)
        left_out = 2 + len(TABLES) + (not options.challenger)
        once = len(options.learned)
        return once * (1 + days) + left_out * self.ablations + len(SHARES) * self.learning_curve


@dataclass(frozen=True)
class Tried:
    """What backtest and trials found, as tidy tables.

    Attributes
    ----------
    evaluation
        The backtest.
    tables
        By name: ``significance`` (`DIFFERENCES`, the champion − each other model), ``calibration_by_product``
        (`BY_PRODUCT`) and, where asked for, ``origins`` (`REPORT`, the day or "pooled" as split) and
        ``origins_significance``, ``ablations`` (`DIFFERENCES`, ablated − champion), ``learning_curve``
        (`LEARNING_CURVE`) and ``learning_curve_significance``; where later offers were held back, ``uplift`` (`REPORT`)
        and ``uplift_by_decile``.
    notes
        What was asked for and could not be done, in plain words.
    uplift
        What offers held back since the day say; None where they were not looked at.
    """

    evaluation: Evaluation
    tables: Mapping[str, pa.Table]
    notes: tuple[str, ...] = ()
    uplift: UpliftTold | None = None

    @property
    def report(self) -> pa.Table:
        """Every figure of the backtest and of uplift: `REPORT`."""
        report = self.evaluation.found.report
        return pa.concat_tables([report, self.tables["uplift"]]) if "uplift" in self.tables else report

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain values: the report, each table as a list of rows, and the notes."""
        tables = {name: plain_rows(table) for name, table in self.tables.items()}
        of_uplift = () if self.uplift is None else self.uplift.notes
        return {"report": plain_rows(self.report), **tables, "notes": [*self.notes, *of_uplift]}

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write report.html, metrics.csv, figures.json and each table as Parquet; return their names."""
        report = self.evaluation.found.report
        page = evaluation_page(self.evaluation)
        of_uplift = () if self.uplift is None else (self.uplift.section,)
        sections = (*of_uplift, *trial_sections(self.tables, self.evaluation.champion, by=report))
        page = replace(page, sections=(*page.sections[:-1], *sections, page.sections[-1]))
        write_table(self.report, folder / "metrics.csv")
        written = write_figures(folder, tables=self.tables, told=self.to_dict(), page=render(page))
        return ("metrics.csv", *written)


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows in which what is not known is None, as JSON wants it."""
    return [{k: None if isinstance(v, float) and isnan(v) else v for k, v in row.items()} for row in table.to_pylist()]


@dataclass
class _Progress:
    """Tells what is fitted next, and that fits are done."""

    step: Callable[[str], None]
    done: Callable[[int], None]
    notes: list[str] = field(default_factory=list)


def tried(
    bank: Bank,
    policy: Policy,
    trials: Trials,
    *,
    options: Options | None = None,
    step: Callable[[str], None] = lambda _: None,
    done: Callable[[int], None] = lambda _: None,
) -> Tried:
    """Return a backtest with its significance and calibration tables, and what was tried besides.

    Parameters
    ----------
    step, done
        Told what is being done, and how many more fits are done.

    Raises
    ------
    ModelError
        As `evaluate`; or an origin has nothing to learn from before it, or nothing to judge by after it.
    BankError
        As `evaluate`.
    """
    chosen = options or Options()
    days = origins_of(bank, trials.origins)
    evaluation = evaluate(bank, policy, options=chosen, step=step)
    done(len(chosen.learned))
    going = _Progress(step, done, list(evaluation.notes))
    held_back = uplift_told(evaluation, bank, until=chosen.until, resamples=chosen.resamples)
    tables = {**_always(evaluation, chosen), **held_back.tables}
    if days:
        tables |= _origins(bank, policy, days, options=chosen, going=going)
    if trials.ablations:
        tables["ablations"] = _ablations(evaluation, policy, chosen, going)
    if trials.learning_curve:
        tables |= _learning_curve(evaluation, policy, chosen, going)
    return Tried(evaluation, tables, tuple(dict.fromkeys(going.notes)), held_back)


def origins_of(bank: Bank, asked: int | Sequence[date]) -> tuple[date, ...]:
    """Return the days asked for in time order, or so many of the bank's, evenly spread.

    They are offer dates after the first third, or adoption windows back from the last opening.

    Raises
    ------
    ModelError
        The bank has not so many.
    """
    if not isinstance(asked, int):
        return tuple(sorted(set(asked)))
    if asked == 0:
        return ()
    there = _candidates(bank)
    if asked > len(there) or asked < 0:
        raise ModelError(f"cannot start from {asked} days; this bank has {len(there)} to start from")
    spread = np.linspace(0, len(there) - 1, asked).round().astype(int) if asked > 1 else [len(there) - 1]
    return tuple(there[i] for i in spread)


def _candidates(bank: Bank) -> list[date]:
    con = bank.connect().cursor()
    if bank.has(RESPONSES):
        days = [row[0] for row in con.sql("select distinct offered_on from responses order by 1").fetchall()]
        if len(days) > 1:
            return days[max(1, len(days) // 3) :]
    if bank.has("holdings") and "opened_on" in bank.columns("holdings"):
        first, last = con.sql("select min(opened_on), max(opened_on) from holdings").fetchall()[0]
        if last is not None:
            ends = (last - ADOPTION_WINDOW * k for k in range(6, 0, -1))
            return [day for day in ends if day - ADOPTION_WINDOW >= first]
    return []


def _always(evaluation: Evaluation, options: Options) -> dict[str, pa.Table]:
    eligible, made = _sheets([evaluation], {})
    others = [(options.champion, name) for name in evaluation.contenders if name != options.champion]
    rows, cols = places(evaluation.batch, evaluation.made)
    stated = answer(options.champion, evaluation.contenders[options.champion], rows, cols).score
    return {
        "significance": differences(
            figures_of(eligible, made), others, evaluation.split.isoformat(), resamples=options.resamples
        ),
        "calibration_by_product": calibration_by_product(evaluation.made, options.champion, stated),
    }


def _sheets(evaluations: Sequence[Evaluation], more: Mapping[str, Any]) -> tuple[Sheet, Sheet]:
    """The eligible pairs and the offers made, with all models' answers; `more` are scores of further models."""

    def part(evaluation: Evaluation, pairs: pa.Table) -> tuple[pa.Table, dict[str, Contender]]:
        rows, cols = places(evaluation.batch, pairs)
        scores = {**evaluation.contenders, **more}
        return pairs, {
            n: answer(n if n in evaluation.contenders else CHAMPION, s, rows, cols) for n, s in scores.items()
        }

    eligible = Sheet.of([part(e, e.eligible) for e in evaluations])
    return eligible, Sheet.of([part(e, e.made) for e in evaluations])


def _origins(
    bank: Bank, policy: Policy, days: Sequence[date], *, options: Options, going: _Progress
) -> dict[str, pa.Table]:
    found: list[Evaluation] = []
    rows: list[dict[str, Any]] = []
    for day, until in zip(days, [*days[1:], None], strict=True):
        going.step(f"Origin {day}: fitting {' and '.join(options.learned)}")
        here = evaluate(bank, policy, options=replace(options, split=day, until=until, by=()))
        going.done(len(options.learned))
        found.append(replace(here, learned=None))  # type: ignore[arg-type]  # large, and no longer asked for
        rows += reported(figures_of(*_sheets([here], {})), day.isoformat(), resamples=options.resamples)
    pooled = figures_of(*_sheets(found, {}))
    rows += reported(pooled, POOLED, resamples=options.resamples)
    others = [(options.champion, name) for name in found[0].contenders if name != options.champion]
    return {
        "origins": pa.Table.from_pylist(rows, schema=REPORT),
        "origins_significance": differences(pooled, others, POOLED, resamples=options.resamples),
    }


def _ablations(evaluation: Evaluation, policy: Policy, options: Options, going: _Progress) -> pa.Table:
    scores: dict[str, Any] = {}
    training, features = evaluation.learned.training, evaluation.batch.features
    for name, kept in _kept(evaluation.engine.spec).items():
        if len(kept) == len(evaluation.engine.spec.features):
            going.notes.append(f"{name} is left out of the ablations: no feature is made of {TABLES[name]}")
            going.done(1)
            continue
        going.step(f"Ablation: {name}")
        fitted = contender(options.champion, policy.seed).fit(_narrowed(training, kept))
        scores[name] = fitted.score(_only(features, kept), training.products)
        going.done(1)
    going.step(f"Ablation: {NO_COLLABORATIVE}")
    fitted = contender(options.champion, policy.seed).fit(replace(training, without=COLLABORATIVE))
    scores[NO_COLLABORATIVE] = fitted.score(features, training.products)
    going.done(1)
    if options.champion == CHAMPION:
        going.step(f"Ablation: {NO_AFFINITY}")
        bare = replace(contender(CHAMPION, policy.seed), max_rank=0)
        scores[NO_AFFINITY] = bare.fit(training).score(features, training.products)
    else:
        going.notes.append(f"{NO_AFFINITY} is left out of the ablations: {options.champion} is judged as it is")
    going.done(1)
    if not options.challenger and options.champion != CHALLENGER:
        going.step(f"Ablation: {CHALLENGER} in place of {options.champion}")
        scores[CHALLENGER] = contender(CHALLENGER, policy.seed).fit(training).score(features, training.products)
        going.done(1)
    couples = [(name, options.champion) for name in (*scores, *([CHALLENGER] if options.challenger else []))]
    figures = figures_of(*_sheets([evaluation], scores))
    return differences(figures, couples, evaluation.split.isoformat(), resamples=options.resamples)


def _kept(spec: FeatureSpec) -> dict[str, frozenset[str]]:
    """Per ablation by table, the names of the features that stay."""
    return {
        name: frozenset(f.column.name for f in spec.features if table not in f.tables) for name, table in TABLES.items()
    }


def _only(features: FeatureTable, names: frozenset[str]) -> FeatureTable:
    columns = tuple(c for c in features.columns if c.name in names)
    return FeatureTable(features.data.select(["customer_id", *(c.name for c in columns)]), columns, features.as_of)


def _narrowed(training: Training, names: frozenset[str]) -> Training:
    return replace(training, snapshots=tuple(_only(s, names) for s in training.snapshots))


def _learning_curve(evaluation: Evaluation, policy: Policy, options: Options, going: _Progress) -> dict[str, pa.Table]:
    training, features = evaluation.learned.training, evaluation.batch.features
    parts: dict[float, Training] = {}
    scores: dict[str, Any] = {}
    for share in SHARES:
        going.step(f"Learning curve: {share:.0%} of the customers")
        part = part_of_customers(training, share, seed=policy.seed)
        try:
            scores[_share_name(share)] = (
                contender(options.champion, policy.seed).fit(part).score(features, training.products)
            )
            parts[share] = part
        except ModelError as error:
            going.notes.append(f"{share:.0%} of the customers are too few to learn from: {error}")
        going.done(1)
    parts[1.0] = training
    figures = figures_of(*_sheets([evaluation], scores))
    share_of = {_share_name(s) if s < 1 else options.champion: s for s in parts}
    mine = [{n: kind[n] for n in share_of} for kind in figures]
    rows = [
        {name: row[name] for name in ("metric", "estimate", "low", "high", "n")}
        | _size(share_of[str(row["model"])], parts)
        for row in reported(mine, "", resamples=options.resamples)
    ]
    couples = [(name, options.champion) for name in scores]
    split = evaluation.split.isoformat()
    return {
        "learning_curve": pa.Table.from_pylist(rows, schema=LEARNING_CURVE),
        "learning_curve_significance": differences(figures, couples, split, resamples=options.resamples)
        if couples
        else DIFFERENCES.empty_table(),
    }


def _share_name(share: float) -> str:
    return f"{share:.0%} of customers"


def _size(share: float, parts: Mapping[float, Training]) -> dict[str, Any]:
    part = parts[share]
    return {
        "share": share,
        "customers": len(part.snapshots[-1]),
        "offers": len(part),
        "accepted": int(part.labels.sum()),
    }


def part_of_customers(training: Training, share: float, *, seed: int) -> Training:
    """Return the training as if the bank had only a share of its customers, drawn by key.

    A smaller share's customers are among those of a larger one, whatever the order of rows.
    """
    snapshots, places_of = zip(*(_part(s, share, seed) for s in training.snapshots), strict=True)
    place = np.concatenate(places_of)[training.stacked_rows]
    kept = place >= 0
    part = training.take(kept)
    return replace(part, snapshots=tuple(snapshots), rows=place[kept])


def _part(features: FeatureTable, share: float, seed: int) -> tuple[FeatureTable, Any]:
    """The kept rows, and of each row its new place, -1 where it is left out."""
    keep = uniform(seed, "learning curve", hash64(features.customer_ids).view(np.int64)) < share
    data = features.data.filter(pa.array(keep))
    return FeatureTable(data, features.columns, features.as_of), np.where(keep, np.cumsum(keep) - 1, -1)
