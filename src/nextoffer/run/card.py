"""Reads the facts of a model card out of an engine: nothing but the saved model is needed."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nextoffer import __version__
from nextoffer.errors import NextOfferError
from nextoffer.evaluate.card import Card, FamilyFacts, ProductFacts, TermFacts
from nextoffer.evaluate.card_page import card_page
from nextoffer.evaluate.curves import Shape
from nextoffer.evaluate.markdown import markdown
from nextoffer.evaluate.page import render
from nextoffer.intervals import Interval
from nextoffer.models.coding import Coding
from nextoffer.models.compiled import CompiledRanker
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.products import Products
from nextoffer.models.ranker import sigmoid
from nextoffer.models.scorecard import PAIR, Scorecard
from nextoffer.policy.stats import FeatureStats, pair_label
from nextoffer.run import artefact
from nextoffer.run.engine import Engine
from nextoffer.run.policy_words import policy_in_words
from nextoffer.tables.flow import Floats
from nextoffer.tables.write import atomic_path

_FAMILY_OF_PAIRS = "pair"


def card_of(engine: Engine, *, files: Mapping[str, str] | None = None) -> Card:
    """Return the card of an engine.

    Parameters
    ----------
    files
        Name → SHA-256 of the files it was loaded from; of those it would be saved as if left out.
    """
    details, policy = engine.details, engine.policy
    fit = dict(details.get("fit", {}))
    noted = dict(details.get("noted", {}))
    products = _products(engine, noted.get("products", {}))
    names = {p.product_id: p.called for p in products}
    terms, measured = _terms(engine, noted.get("effects"), names)
    return Card(
        bank=str(details.get("bank", "")),
        ranker=engine.ranker.name,
        glass_box=isinstance(engine.ranker, CompiledRanker),
        model_id=engine.model_id,
        policy_id=policy.policy_id,
        as_of=engine.as_of.isoformat(),
        seed=policy.seed,
        version=noted.get("version"),
        read_by=__version__,
        objective=policy.arbitration.objective,
        top_n=policy.arbitration.top_n,
        labels=str(details.get("labels", "")),
        first_day=noted.get("first_day"),
        last_day=noted.get("last_day"),
        days=noted.get("days"),
        customers=int(details.get("customers", 0)),
        customers_in_bank=int(details.get("customers_in_bank", 0)),
        pairs=int(fit.get("pairs", 0)),
        accepted=noted.get("accepted", fit.get("accepted")),
        refusals_share=float(details.get("refusals_share", 1.0)),
        tables=tuple(noted["tables"]) if "tables" in noted else None,
        closed=noted.get("closed"),
        natural=dict(details.get("natural", {"not_learned": "it was fitted before that was learned"})),
        products=products,
        families=_families(engine, terms),
        terms=terms,
        measured_terms=measured,
        method=fit,
        held_out={name: _interval(each) for name, each in noted.get("held_out", {}).items()},
        spread=dict(noted.get("spread", {})),
        policy=policy_in_words(policy),
        files=dict(files) if files is not None else _files(engine),
        notes=engine.spec.notes,
        explores=policy.exploration.method != "none" or bool(policy.arm),
        consents_needed=policy.consent.marketing,
        missing=_missing(engine, noted),
        offers_before=details.get("offers_before"),
    )


def _interval(plain: Mapping[str, Any]) -> Interval:
    estimate, low, high = (float("nan") if plain[name] is None else plain[name] for name in ("estimate", "low", "high"))
    return Interval(estimate, low, high, int(plain["n"]))


def card_in(folder: Path) -> Card:
    """Return the card of a saved model.

    Raises
    ------
    ArtefactError
        A file is missing, changed or foreign.
    """
    engine = Engine.load(folder)
    return card_of(engine, files=artefact.read_manifest(folder)["files"])


def write_card(card: Card, out: Path) -> tuple[Path, ...]:
    """Write a card as ``.md``, ``.html`` or ``.json``, or all three as ``card.*`` into a folder; return the paths.

    Raises
    ------
    NextOfferError
        The file has another ending.
    """
    page = card_page(card)
    forms = {
        ".md": lambda: markdown(page),
        ".html": lambda: render(page),
        ".json": lambda: json.dumps(card.to_dict(), indent=1, default=str) + "\n",
    }
    if out.suffix and out.suffix not in forms:
        raise NextOfferError(
            f"{out.name} ends in '{out.suffix}', but a card is written as {', '.join(forms)} or a folder"
        )
    targets = [out] if out.suffix else [out / f"card{ending}" for ending in forms]
    if out.suffix == "" and out.is_file():
        raise NextOfferError(f"{out} is a file; name a folder, or a file that ends in {', '.join(forms)}")
    for target in targets:
        with atomic_path(target) as temporary:
            temporary.write_text(forms[target.suffix](), encoding="utf-8")
    return tuple(targets)


def _missing(engine: Engine, noted: Mapping[str, Any]) -> tuple[str, ...]:
    """What later versions keep with a model and this one lacks, in words."""
    told = {
        "who fitted it, when offers were made, and what was kept out": bool(noted),
        "how features and propensities were spread": engine.reference is not None,
        "held-out figures": not noted or "held_out" in noted or engine.ranker.name != GlassboxRanker.name,
    }
    card = engine.ranker.card_ if isinstance(engine.ranker, CompiledRanker) else None
    if card is not None:
        told |= {
            "how sure it is of a score": card.spread is not None,
            "products without offers": card.unseen is not None,
        }
    return tuple(what for what, there in told.items() if not there)


def _files(engine: Engine) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        saved = engine.save(Path(folder) / "model")
        return dict(artefact.read_manifest(saved)["files"])


def _known_products(engine: Engine) -> Products | None:
    if isinstance(engine.ranker, CompiledRanker) and engine.ranker.pairs_ is not None:
        return engine.ranker.pairs_.products
    encoder = getattr(engine.ranker, "encoder_", None)
    return None if encoder is None else encoder.pairs.products


def _products(engine: Engine, noted: Mapping[str, Any]) -> tuple[ProductFacts, ...]:
    known = _known_products(engine)
    if known is None:
        return ()
    card = engine.ranker.card_ if isinstance(engine.ranker, CompiledRanker) else None
    levels: Floats | None = None if card is None else sigmoid(card.levels)
    unseen = None if card is None else card.unseen
    out = []
    for j, (product, kind) in enumerate(zip(known.ids, known.types, strict=True)):
        of_it = noted.get(product, {})
        propensity = None if levels is None else float(levels[j])
        offers, accepted = of_it.get("offers"), of_it.get("accepted")
        without = bool(unseen[j]) if unseen is not None else None if offers is None else offers == 0
        out.append(ProductFacts(product, of_it.get("name", ""), kind, offers, accepted, propensity, without))
    return tuple(out)


def _families(engine: Engine, terms: tuple[TermFacts, ...]) -> tuple[FamilyFacts, ...]:
    purposes: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for column in engine.spec.columns:
        purposes[column.group].add(column.purpose)
        counts[column.group] += 1
    if pairs := [t for t in terms if t.family == _FAMILY_OF_PAIRS]:
        purposes[_FAMILY_OF_PAIRS], counts[_FAMILY_OF_PAIRS] = {"as the features they are made of"}, len(pairs)
    total = sum(t.importance for t in terms) or 1.0
    weighing: dict[str, list[float]] = defaultdict(list)
    for term in terms:
        weighing[term.family].append(term.importance)
    return tuple(
        FamilyFacts(
            name,
            ", ".join(sorted(purposes[name])),
            counts[name],
            sum(value > 0 for value in weighing[name]),
            sum(weighing[name]) / total,
        )
        for name in counts
    )


def _terms(
    engine: Engine, effects: Mapping[str, float] | None, names: Mapping[str, str]
) -> tuple[tuple[TermFacts, ...], bool]:
    """Return the terms, most important first, and whether their importance was measured."""
    columns = {c.name: c for c in engine.spec.columns}
    card = engine.ranker.card_ if isinstance(engine.ranker, CompiledRanker) else None
    shapes = {} if card is None else _shapes(engine, card)
    found = []
    for name in effects if effects is not None else shapes:
        known = columns.get(name)
        label = known.label if known else pair_label(name.removeprefix(PAIR))
        family = str(known.group) if known else _FAMILY_OF_PAIRS
        strength, product, shape = shapes.get(name, (0.0, "", None))
        importance = float(effects[name]) if effects is not None else strength
        labelled = None if shape is None else replace(shape, label=f"{label} → {names[product]}")
        found.append(TermFacts(name, label, family, importance, product, labelled))
    found.sort(key=lambda t: -t.importance)
    return tuple(found), effects is not None


def _shapes(engine: Engine, card: Scorecard) -> dict[str, tuple[float, str, Shape]]:
    """Of each feature its mean absolute effect over bins and products, the product it moves most, and the shape."""
    products = _known_products(engine)
    assert products is not None
    out = {}
    every = [(c.name, c, t) for c, t in zip(card.codings, card.tables, strict=True)]
    every += [(PAIR + c.name, c, t) for c, t in zip(card.pair_codings, card.pair_tables, strict=True)]
    for name, coding, table in every:
        known = table[1:].astype(np.float64)
        away = np.abs(known - known.mean(axis=0))
        product = int(away.mean(axis=0).argmax())
        out[name] = (
            float(away.mean()),
            products.ids[product],
            shape_of(coding, known[:, product], engine.stats, name),
        )
    return out


def shape_of(coding: Coding, values: Floats, stats: FeatureStats, name: str) -> Shape:
    """Return the shape of a feature's bins but the first, which is "not known"."""
    contributions = [float(v) for v in values]
    if coding.kind != "number" or not coding.cuts:
        return Shape(name, contributions, names=[coding.label(i + 1) for i in range(len(values))])
    stat = stats.get(name)
    low, high = (stat.q25, stat.q75) if stat else (None, None)
    margin = (coding.cuts[-1] - coding.cuts[0]) / max(len(coding.cuts) - 1, 1) or max(abs(coding.cuts[0]), 1.0) * 0.5
    first = min(coding.cuts[0] - margin, coding.cuts[0] if low is None else low - margin)
    if coding.cuts[0] >= 0:
        first = max(first, min(0.0, coding.cuts[0] - 1e-9))
    last = max(coding.cuts[-1] + margin, coding.cuts[-1] if high is None else high + margin)
    return Shape(name, contributions, edges=[first, *coding.cuts, last])
