"""Validates a model, or the recipe it is made by: backtest, changed inputs, refits, fairness, exactness in one go."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from nextoffer import __version__
from nextoffer.errors import BankError, ModelError, NextOfferError, did_you_mean
from nextoffer.evaluate import validation_checks as checks_of
from nextoffer.evaluate.card import Card
from nextoffer.evaluate.card_page import card_page
from nextoffer.evaluate.fair_words import About
from nextoffer.evaluate.fairness import Fairness
from nextoffer.evaluate.figures import Figure, Units, intervals, ratio
from nextoffer.evaluate.markdown import markdown
from nextoffer.evaluate.page import render
from nextoffer.evaluate.pairs import number_pairs
from nextoffer.evaluate.sensitivity import FIRST
from nextoffer.evaluate.validation import CHECKS, Check
from nextoffer.evaluate.validation_checks import LIMITS, Answers, Exactness, Limits
from nextoffer.evaluate.validation_page import Evidence, validation_page
from nextoffer.evaluate.wording import percent
from nextoffer.intervals import Interval
from nextoffer.models.scorecard import PAIR
from nextoffer.policy.file import Policy
from nextoffer.run import fairness
from nextoffer.run.backtest import CHAMPION, Evaluation, answer, contender, places, time_split
from nextoffer.run.backtest import Options as Backtesting
from nextoffer.run.card import card_of
from nextoffer.run.engine import Engine
from nextoffer.run.exactness import exactness
from nextoffer.run.labels import RESPONSES
from nextoffer.run.sensitivity import CUSTOMERS, FEATURES, Sampled, refitted, sensitivity
from nextoffer.run.trials import Trials, Tried, origins_of, plain_rows, tried
from nextoffer.tables.bank import Bank
from nextoffer.tables.check import CheckResult, check
from nextoffer.tables.write import atomic_folder, write_table

ORIGINS = 3
_REFIT = "the recipe refitted before"
_LIBRARIES = ("numpy", "scipy", "pyarrow", "duckdb", "interpret-core", "lightgbm")
_PACK = "validation.html"
PROBLEMS = pa.schema(
    [(name, pa.string()) for name in ("severity", "where", "rule")] + [("count", pa.int64()), ("message", pa.string())]
)
SET_ASIDE = pa.schema([("table", pa.string()), ("rows", pa.int64()), ("set_aside", pa.int64())])
FINDINGS = pa.schema([(name, pa.string()) for name in ("severity", "area", "text", "rule")])


@dataclass(frozen=True)
class Options:
    """How a validation is made.

    Attributes
    ----------
    as_of
        The backtest learns before this day and judges from it on. None: the day of the fit of the model given, if
        offers were accepted from then on; else the first day of the last third of offer dates.
    by
        Customer columns whose groups are looked at besides the sensitive ones.
    model
        What is validated; None for the recipe alone.
    quick
        Leaves out several days, ablations and the learning curve.
    challenger
        Also fits LightGBM.
    customers
        About so many are looked at for sensitivity and exactness.
    limits
        What must be kept.
    command
        How it was called, for the report.
    """

    as_of: date | None = None
    by: Sequence[str] = ()
    model: Engine | None = None
    quick: bool = False
    challenger: bool = True
    customers: int = CUSTOMERS
    limits: Limits = LIMITS
    command: str = ""


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes
    ----------
    evidence
        All of it.
    policy
        Under which offers were decided.
    """

    evidence: Evidence
    policy: Policy

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Every tidy table by name, the checks and findings among them."""
        evidence = self.evidence
        rows = [each.to_dict() for each in evidence.findings]
        return {
            "findings": pa.Table.from_pylist(rows, schema=FINDINGS),
            "checks": pa.Table.from_pylist([each.row() for each in evidence.checks], schema=CHECKS),
            "backtest": evidence.found.report,
            **evidence.tables,
            **(evidence.fairness[0].tables if evidence.fairness is not None else {}),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        about = {
            "model_id": self.evidence.card.model_id,
            "policy_id": self.policy.policy_id,
            "given": self.evidence.given,
            "split": self.evidence.split,
            "day": self.evidence.day,
            "relation": list(self.evidence.relation),
            "recipe": dict(self.evidence.recipe),
            "notes": list(self.evidence.notes),
        }
        return {**about, **{name: plain_rows(table) for name, table in self.tables.items()}}

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write the pack, a folder that appears whole, and return the names of its files; an earlier pack is replaced.

        Raises
        ------
        NextOfferError
            The folder holds something else.
        """
        check_free(folder)
        page, card = validation_page(self.evidence), self.evidence.card
        texts = {
            _PACK: render(page),
            "validation.md": markdown(page),
            "card.md": markdown(card_page(card)),
            "card.html": render(card_page(card)),
            "policy.toml": self.policy.to_toml(),
            "figures.json": json.dumps(self.to_dict(), indent=1, default=str) + "\n",
        }
        with atomic_folder(folder) as temporary:
            for name, text in texts.items():
                (temporary / name).write_text(text, encoding="utf-8")
            for name, table in self.tables.items():
                write_table(table, temporary / f"{name}.csv")
        return (*texts, *(f"{name}.csv" for name in self.tables))


def check_free(folder: Path) -> None:
    """Raise where a pack cannot be written because something else is there.

    Raises
    ------
    NextOfferError
        `folder` is a file, or a folder that is not empty and no earlier pack.
    """
    if folder.exists() and not folder.is_dir():
        raise NextOfferError(f"{folder} is a file; a validation pack is a folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / _PACK).is_file():
        raise NextOfferError(f"{folder} is not empty and no validation pack: choose another folder")


@dataclass(frozen=True)
class Progress:
    """Tells what is being done, and how many more fits are done."""

    step: Callable[[str], None] = lambda _: None
    done: Callable[[int], None] = lambda _: None


def fits(options: Options) -> int:
    """Return how many fits a validation takes, at most."""
    return _trials(options, ORIGINS).fits(_backtesting(options, None)) + 1


def validated(
    bank: Bank, policy: Policy | None = None, *, options: Options | None = None, progress: Progress | None = None
) -> Validation:
    """Return the validation of a model, or of the recipe of a fit.

    Parameters
    ----------
    policy
        Under which offers are decided; that of the model given, or the reference's, if left out.

    Raises
    ------
    ModelError
        There is nothing to learn from before the split, or nothing to judge by after it.
    BankError
        A column to look at by is not there.
    PolicyError
        The policy does not fit the bank.
    """
    chosen, going = options or Options(), progress or Progress()
    rules = policy or (chosen.model.policy if chosen.model is not None else Policy())
    going.step("Checking the tables")
    checked = check(bank)
    by_features, by_customers = _columns(bank, chosen.by)
    split = chosen.as_of or _split(bank, chosen.model)
    backtesting = replace(_backtesting(chosen, split), by=by_features)
    trials = _trials(chosen, () if chosen.quick else _days(bank))
    found = tried(bank, rules, trials, options=backtesting, step=going.step, done=going.done)
    measured = _measured(bank, rules, found, chosen, by=by_customers, going=going)
    tables = {**found.tables, **_data_tables(checked), "sensitivity": measured.changes, "refits": measured.refits}
    tables = _named_products(tables, measured.card.product_names)
    evidence = Evidence(
        card=measured.card,
        champion=backtesting.champion,
        given=chosen.model is not None,
        split=split.isoformat(),
        day=measured.subject.as_of.isoformat(),
        found=found.evaluation.found,
        tables=tables,
        fairness=measured.groups,
        checks=tuple(_checks(measured, found.evaluation, tables, checked, chosen)),
        relation=tuple(_relation(chosen.model, found.evaluation, measured.refits)),
        recipe=tuple(_recipe(bank, measured.subject, found.evaluation, chosen)),
        notes=found.notes,
    )
    return Validation(evidence, rules)


@dataclass(frozen=True)
class _Measured:
    """What is measured besides the backtest, of the engine that is validated: the given one, or the backtest's."""

    subject: Engine
    card: Card
    changes: pa.Table
    refits: pa.Table
    groups: tuple[Fairness, About] | None
    why_no_groups: str
    exact: Exactness


def _measured(
    bank: Bank, policy: Policy, found: Tried, options: Options, *, by: Sequence[str], going: Progress
) -> _Measured:
    evaluation = found.evaluation
    subject = evaluation.engine if options.model is None else options.model.with_policy(policy)
    going.step("Changing inputs")
    sampled = Sampled.of(subject, bank, subject.as_of, most=options.customers)
    card = card_of(subject)
    changes = sensitivity(sampled, [t.name for t in card.terms if not t.name.startswith(PAIR)][:FEATURES])
    going.step("Refitting with other folds")
    refits = _refits(sampled, evaluation, options)
    going.done(1)
    going.step("Measuring fairness")
    groups, why = _fair(subject, bank, policy, by)
    going.step("Checking scores and reasons")
    return _Measured(subject, card, changes, refits, groups, why, exactness(sampled))


def _checks(
    measured: _Measured, evaluation: Evaluation, tables: Mapping[str, pa.Table], checked: CheckResult, options: Options
) -> Iterator[Check]:
    limits, champion = options.limits, _backtesting(options, None).champion
    signs = {column.name: column.sign for column in measured.subject.spec.columns}
    yield from checks_of.sound(measured.card, tables.get("ablations"), signs, limits)
    yield from checks_of.data(tables["data"], _answers(evaluation), _warnings(checked), limits)
    judged = checks_of.Judged(
        evaluation.found,
        tables["significance"],
        tables["calibration_by_product"],
        _stated_over_accepted(evaluation, champion),
    )
    yield from checks_of.outcomes(judged, champion, limits)
    yield from checks_of.sensitivity(measured.changes, limits)
    days, curve = tables.get("origins"), tables.get("learning_curve_significance")
    yield from checks_of.stability(measured.refits, days, curve, champion, limits)
    yield from checks_of.fairness(None if measured.groups is None else measured.groups[0], measured.why_no_groups)
    yield from checks_of.explained(measured.exact, limits)


def _answers(evaluation: Evaluation) -> Answers:
    """What was learned from and judged by; of adoptions the two are pairs of different kinds, and not compared."""
    training, made = evaluation.learned.training, evaluation.made.column("label").to_numpy()
    weights = training.weights * (evaluation.learned.source == RESPONSES)
    return Answers(float(weights.sum()), float((weights * training.labels).sum()), float(len(made)), float(made.sum()))


def _backtesting(options: Options, split: date | None) -> Backtesting:
    champion = options.model.ranker.name if options.model is not None else CHAMPION
    peers = (CHAMPION,) if champion != CHAMPION else ()
    return Backtesting(split, options.challenger, also=peers, champion=champion)


def _trials(options: Options, days: int | tuple[date, ...]) -> Trials:
    return Trials() if options.quick else Trials(days, ablations=True, learning_curve=True)


def _columns(bank: Bank, by: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that features may be grouped by, and those that customers may be, the sensitive ones among these."""
    homes = [table for table in ("customers", "risk") if bank.has(table)]
    there = dict.fromkeys(n for t in homes for n, kind in bank.columns(t).items() if kind != "id")
    if strange := [name for name in by if name not in there]:
        told = ", ".join(there)
        raise BankError([f"cannot look at groups by '{n}'{did_you_mean(n, there)}; there are {told}" for n in strange])
    sensitive = [name for name in there if any(bank.config.is_sensitive(t, name) for t in homes)]
    features = bank.feature_columns("customers")
    return tuple(name for name in by if name in features), tuple(dict.fromkeys([*sensitive, *by]))


def _split(bank: Bank, model: Engine | None) -> date:
    """The day of the model's fit where something was accepted from then on, else the bank's own split."""
    if model is not None and bank.has("responses"):
        query = "SELECT count(*) FROM responses WHERE label = 1 AND offered_on >= $day"
        rows = bank.connect().cursor().sql(query, params={"day": model.as_of}).fetchall()
        if rows[0][0]:
            return model.as_of
    return time_split(bank)


def _days(bank: Bank) -> tuple[date, ...]:
    """Up to `ORIGINS` days from which a backtest can start, each with acceptances before it and until the next."""
    for wanted in range(ORIGINS, 1, -1):
        try:
            days = origins_of(bank, wanted)
        except ModelError:
            continue
        if kept := _with_acceptances(bank, days):
            return kept
    return ()


def _with_acceptances(bank: Bank, days: tuple[date, ...]) -> tuple[date, ...]:
    if not bank.has("responses"):
        return days
    query = "SELECT offered_on, sum(label) FROM responses WHERE label = 1 GROUP BY 1"
    accepted = {day: n for day, n in bank.connect().cursor().sql(query).fetchall() if n}
    if not accepted:
        return days  # learned from adoptions
    edges = [*days, date.max]
    first = min(accepted)
    return tuple(
        day
        for day, end in zip(days, edges[1:], strict=True)
        if first < day and any(day <= when < end for when in accepted)
    )


def _refits(sampled: Sampled, evaluation: Evaluation, options: Options) -> pa.Table:
    """What other folds change of the recipe's offers, and what the recipe changes of the given model's."""
    engine, bank = evaluation.engine, sampled.bank
    champion = _backtesting(options, None).champion
    other = contender(champion, engine.policy.seed + 1).fit(evaluation.learned.training)
    recipe = sampled if options.model is None else Sampled.of(engine, bank, engine.as_of, most=options.customers)
    tables = [refitted(recipe, replace(engine, ranker=other), "the recipe with other folds")]
    if options.model is not None:
        tables.append(refitted(sampled, engine, f"{_REFIT} {evaluation.split}"))
    return pa.concat_tables(tables)


def _fair(engine: Engine, bank: Bank, policy: Policy, by: Sequence[str]) -> tuple[tuple[Fairness, About] | None, str]:
    if not by:
        return None, "bank.toml names no sensitive column, and none was asked for with --by."
    found = fairness.measured(engine, bank, policy, options=fairness.Options(by=tuple(by)))
    return (found.fairness, found.about), ""


def _data_tables(checked: CheckResult) -> dict[str, pa.Table]:
    rows = [{"table": name, "rows": n, "set_aside": checked.set_aside.get(name, 0)} for name, n in checked.rows.items()]
    problems = [
        {"severity": p.severity, "where": p.where, "rule": p.rule, "count": p.count, "message": p.message}
        for p in checked.problems
    ]
    return {
        "data": pa.Table.from_pylist(rows, schema=SET_ASIDE),
        "problems": pa.Table.from_pylist(problems, schema=PROBLEMS),
    }


def _warnings(checked: CheckResult) -> list[str]:
    return [str(each) for each in checked.problems if each.severity == "warn" and each.table in checked.rows]


def _named_products(tables: dict[str, pa.Table], names: Any) -> dict[str, pa.Table]:
    """The tables with the products' names in place of their ids, where the report shows them."""
    table = tables["calibration_by_product"]
    column = [names.get(each, each) for each in table.column("product_id").to_pylist()]
    place = table.column_names.index("product_id")
    return {**tables, "calibration_by_product": table.set_column(place, "product_id", pa.array(column, pa.string()))}


def _stated_over_accepted(evaluation: Evaluation, champion: str) -> Interval:
    """Acceptances stated of the offers made, over those that came, with its interval by customer."""
    pairs = number_pairs(evaluation.made.select(["customer_id", "product_id", "label"]))
    rows, cols = places(evaluation.batch, evaluation.made)
    stated = answer(champion, evaluation.contenders[champion], rows, cols).score
    units = Units.of(pairs.customer, pairs.customers, seed=evaluation.engine.policy.seed)
    sums = units.pair_sums(stated, pairs.label.astype(float))
    (found,) = intervals([Figure(sums, ratio, pairs.customers)], seed=evaluation.engine.policy.seed)
    return found


def _relation(model: Engine | None, evaluation: Evaluation, refits: pa.Table) -> Iterator[str]:
    split = evaluation.split
    if model is None:
        yield (
            "No saved model was given: the figures are those of a fit made for this validation, on what was known "
            f"before {split}. A model fitted later by the same recipe learns from more and may differ."
        )
        return
    yield (
        f"Model {model.model_id} learned from what was known before {model.as_of}. The performance told here is that "
        f"of the same recipe ({model.ranker.name}, seed {model.policy.seed}) refitted before {split}, not of the model "
        "itself."
    )
    if model.as_of <= split:
        yield f"The model has seen none of the answers judged by: they are of {split} and later."
    else:
        yield (
            f"The model has itself learned from the answers between {split} and {model.as_of}, so it cannot be judged "
            "by them; a refit that has not seen them can."
        )
    for row in refits.to_pylist():
        if row["metric"] == FIRST and row["label"].startswith(_REFIT):
            share, low, high = (percent(row[name]) for name in ("estimate", "low", "high"))
            yield (
                f"How alike the two are: as of {model.as_of}, the refit makes another first offer to {share} of "
                f"customers ({low} to {high}; n = {row['n']:,})."
            )
    if model.model_id == evaluation.engine.model_id:
        yield "They are the same to the last bit: the refit has the model's id."


def _recipe(bank: Bank, subject: Engine, evaluation: Evaluation, options: Options) -> Iterator[tuple[str, str]]:
    yield "Command", options.command or "validated(bank, policy, options=…) from Python"
    yield "Bank", f"{bank.name}, fingerprint of its files {bank.fingerprint()}"
    yield "Model validated", f"{subject.model_id} ({subject.ranker.name}), learned before {subject.as_of}"
    yield "Model of the backtest", f"{evaluation.engine.model_id}, learned before {evaluation.split}"
    yield "Policy", subject.policy.policy_id
    yield "Seed", str(subject.policy.seed)
    yield "Intervals", "95 %; bootstrap by customer with 1,000 resamples, Student's for means, Wilson's for shares"
    yield "Sample for sensitivity and exactness", f"about {options.customers:,} customers, by key"
    yield "NextOffer", __version__
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "Libraries", ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
