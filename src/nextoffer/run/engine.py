"""The engine: features, a fitted ranker and a policy, and the one path from a bank to decisions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from scipy.special import expit

from nextoffer.errors import ArtefactError, FeatureError, ModelError
from nextoffer.evaluate.reference import Reference
from nextoffer.features import FeatureSpec, discover, known, stream_known
from nextoffer.keyed import Ids
from nextoffer.models.challenger import LightGBMRanker
from nextoffer.models.choice import ChoiceRanker
from nextoffer.models.collaborative import SpendMap
from nextoffer.models.compiled import CompiledRanker
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.natural import Natural
from nextoffer.models.products import Products
from nextoffer.models.ranker import Ranker
from nextoffer.policy.batch import Batch
from nextoffer.policy.catalogue import Catalogue
from nextoffer.policy.decide import Decided, Decider, DecisionIds
from nextoffer.policy.file import Policy
from nextoffer.policy.stats import FeatureStats
from nextoffer.run import artefact
from nextoffer.run.explain import Explanation, explained
from nextoffer.run.labels import MAX_CUSTOMERS, Labelled, Sample, labelled, learned_from, natural_of
from nextoffer.run.namable import closed_columns, kinds_of
from nextoffer.run.noted import noted_of_bank, noted_of_fit
from nextoffer.run.reached import reached_at_fit
from nextoffer.run.remembered import reference_of, remembered, remembering
from nextoffer.run.stored import Stored
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Known

CHUNK = 65_536
RANKERS: Mapping[str, type[GlassboxRanker] | type[ChoiceRanker] | type[LightGBMRanker]] = {
    "glassbox": GlassboxRanker,
    "choice": ChoiceRanker,
    "lightgbm": LightGBMRanker,
}
"""Rankers that can be saved and loaded, by name."""


@dataclass(frozen=True)
class Engine:
    """What answers: which products to offer each customer, in which order, and why.

    Attributes
    ----------
    spec
        Which features there are.
    ranker
        Fitted.
    policy
        What the bank allows.
    stats
        What is low, typical and high for each feature, for the reasons.
    as_of
        The date of the fit.
    details
        What was learned from, in plain values.
    natural
        The propensity without an offer; None where too few offers were held back to learn it from.
    reference
        How features and propensities were spread over the customers on the day of the fit; None in a model that was
        saved before that was kept.

    Examples
    --------
    >>> engine = Engine.fit(Bank.read("bank"), as_of=date(2025, 10, 11))    # doctest: +SKIP
    >>> engine.recommend(Bank.read("bank")).decisions                       # doctest: +SKIP
    """

    spec: FeatureSpec
    ranker: Ranker
    policy: Policy
    stats: FeatureStats
    as_of: date
    details: Mapping[str, Any] = field(default_factory=dict)
    natural: Natural | None = None
    reference: Reference | None = None

    @classmethod
    def fit(
        cls,
        bank: Bank,
        policy: Policy | None = None,
        *,
        as_of: date,
        ranker: Ranker | None = None,
        spend_map: SpendMap | None = None,
        most_customers: int = MAX_CUSTOMERS,
    ) -> Engine:
        """Return an engine that learned from what the bank knew before `as_of`.

        A bank with more than `most_customers` customers is learned from by a keyed sample of them, and where few offers
        were accepted, of the others a keyed share is kept and weighted; `details` tells both. Where enough offers were
        held back for a control arm, the propensity without an offer is learned as well.

        Raises
        ------
        ModelError
            There is nothing to learn from.
        """
        chosen = policy or Policy()
        sample = Sample.of(bank, most=most_customers, seed=chosen.seed)
        spec = discover(sample.bank, as_of)
        found = labelled(sample.bank, spec, as_of, seed=chosen.seed, spend_map=spend_map)
        fitted = (ranker or GlassboxRanker(seed=chosen.seed)).fit(found.training)
        details = learned_from(sample, found) | {"noted": noted_of_bank(sample.bank, found)}
        engine = cls.around(fitted, spec, chosen, found, details=details)
        noted = {**engine.details["noted"], "reached": reached_at_fit(engine, sample.bank)}
        whole = replace(engine, details={**engine.details, "noted": noted})
        whole.__dict__["model_id"] = engine.model_id  # of what scores and explains: who was reached is no part of it
        return whole

    @classmethod
    def around(
        cls, ranker: Ranker, spec: FeatureSpec, policy: Policy, found: Labelled, *, details: Mapping[str, Any]
    ) -> Engine:
        """Return the engine of a fitted ranker and the labels it learned from."""
        training = found.training
        latest = training.snapshots[-1]
        stats = FeatureStats.measure(latest, training.pair_features[-1].values(latest))
        natural, told = natural_of(found, ranker, seed=policy.seed)
        noted = {**details.get("noted", {}), **noted_of_fit(ranker, training, seed=policy.seed)}
        every = {**details, "fit": ranker.summary(), "natural": told, "noted": noted}
        reference = reference_of(latest, ranker, training.products, seed=policy.seed)
        if isinstance(ranker, CompiledRanker):
            ranker = replace(ranker, held_out_=None)  # a number for each training pair: told, and no longer needed
        return cls(spec, ranker, policy, stats, latest.as_of, every, natural, reference)

    def with_policy(self, policy: Policy) -> Engine:
        """Return the same model under another policy."""
        return replace(self, policy=policy)

    @cached_property
    def model_id(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 over all that scores and explains, without the policy."""
        with tempfile.TemporaryDirectory() as folder:
            self._write_model(Path(folder))
            return artefact.content_id(Path(folder))

    @cached_property
    def catalogue(self) -> Catalogue:
        """The policy's reasons, with this model's yardstick."""
        return self.policy.catalogue.with_stats(self.stats)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the policy asks of the model that it does not know, in plain words."""
        if self.policy.arbitration.objective != "incremental_value" or self.natural is not None:
            return ()
        why = self.details.get("natural", {}).get("not_learned", "it was fitted before that was learned")
        return (
            "arbitration.objective is incremental_value, but the model does not know the propensity without an offer "
            f"({why}); value is used instead",
        )

    def recommend(self, bank: Bank, customers: Ids | None = None, *, as_of: date | None = None) -> Decided:
        """Return decisions and refusals of the given customers, or of all.

        Parameters
        ----------
        bank
            Its tables as they are now.
        customers
            Ids, in the order wanted; None is every customer by rising id.
        as_of
            The day decided for; the fit's by default.

        Raises
        ------
        FeatureError
            A customer is unknown.
        """
        desk = self.desk(bank.table("products"), as_of, closed=closed_columns(bank.config))
        if customers is None:
            return _joined([desk.decide(known).plain() for known in self.stream(bank, as_of=as_of)])
        return desk.decide(self.known(bank, customers, as_of=as_of)).plain()

    @cached_property
    def needs(self) -> FeatureSpec:
        """The features that a decision looks at: those that are scored by, and those that rules and reasons name."""
        named = self.catalogue.names | self.policy.reads
        of_pairs = (self.ranker.reads_of_pair(n.removeprefix("pair.")) for n in named if n.startswith("pair."))
        there = {column.name for column in self.spec.columns}
        natural: frozenset[str] = self.natural.reads if self.natural else frozenset()
        return self.spec.only(there & self.ranker.reads.union(named, natural, *of_pairs))

    def known(self, bank: Bank, customers: Ids, *, as_of: date | None = None, every_feature: bool = False) -> Known:
        """Return what is known of these customers, in their order: what a decision `needs`, or every feature.

        Raises
        ------
        FeatureError
            A customer is unknown.
        """
        return known(
            self.spec if every_feature else self.needs,
            bank,
            as_of or self.as_of,
            customers=customers,
            products=bank.table("products").column("product_id"),
            asked=self.policy.asked,
        )

    def stream(
        self, bank: Bank, *, as_of: date | None = None, chunk: int = CHUNK, after: int | str | None = None
    ) -> Iterator[Known]:
        """Yield what is known of all customers by rising id, at most `chunk` at a time.

        Parameters
        ----------
        after
            Begin after this customer, to go on where an earlier stream ended.
        """
        return stream_known(
            self.needs,
            bank,
            as_of or self.as_of,
            products=bank.table("products").column("product_id"),
            asked=self.policy.asked,
            chunk=chunk,
            after=after,
        )

    def store(self, bank: Bank, path: str | Path, *, as_of: date | None = None) -> Stored:
        """Write what is known of every customer to a file, and return it opened: for `Desk.recommend`, a service's way.

        Raises
        ------
        FeatureError
            There are no customers.
        """
        Stored.write(path, self.stream(bank, as_of=as_of), bank.table("products").column("product_id"))
        return Stored.load(path)

    def desk(self, products: pa.Table, as_of: date | None = None, *, closed: Mapping[str, str] | None = None) -> Desk:
        """Return the engine made ready to decide about these products on this day; the fit's by default.

        Parameters
        ----------
        closed
            Why columns that the bank has may not be used by rules (`closed_columns`), to say so where one is.

        Raises
        ------
        PolicyError
            A rule of the policy does not fit the columns or products; all problems are named.
        """
        day = as_of or self.as_of
        for before, desk in self._desks:
            if before is products and desk.as_of == day:
                return desk
        ids = DecisionIds(day, self.model_id, self.policy.seed)
        decider = Decider(products, policy=self.policy, catalogue=self.catalogue, ids=ids)
        decider.check(kinds_of(self.spec, self.policy.reads, ranker=self.ranker, products=products), closed)
        made = Desk(self.ranker, Products.of(products), decider, day, self.natural)
        self._desks[:] = [(products, made)]
        return made

    @cached_property
    def _desks(self) -> list[tuple[pa.Table, Desk]]:
        """The desk last asked for, so that customer after customer is answered at the same one."""
        return []

    def explain(
        self, bank: Bank, customer: int | str, *, product: int | str | None = None, as_of: date | None = None
    ) -> list[Explanation]:
        """Return why a customer is offered each product, or why not, and what would have to change.

        Offers come first by rank, then the other products by propensity; with `product` only that one.

        Raises
        ------
        FeatureError
            There is no such customer or product.
        """
        return explained(self, bank, customer, product=product, as_of=as_of)

    def save(self, folder: str | Path) -> Path:
        """Write the engine as a folder of plain files and return it; an earlier model there is replaced.

        Raises
        ------
        NextOfferError
            The folder holds something else.
        """
        target = Path(folder)
        with artefact.new_folder(target) as temporary:
            self._write_model(temporary)
            (temporary / "policy.toml").write_text(self.policy.to_toml(), encoding="utf-8")
            details = {
                "model_id": artefact.content_id(temporary),  # another than before where an earlier version wrote it
                "policy_id": self.policy.policy_id,
                "ranker": self.ranker.name,
                "as_of": self.as_of.isoformat(),
                "details": dict(self.details),
            }
            artefact.write_manifest(temporary, details)
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Engine:
        """Return the engine that `save` wrote.

        Raises
        ------
        ArtefactError
            A file is missing, changed or foreign.
        """
        where = Path(folder)
        manifest = artefact.read_manifest(where)
        if manifest["ranker"] not in RANKERS:
            raise ArtefactError(f"{where}: unknown ranker '{manifest['ranker']}'; there are {', '.join(RANKERS)}")
        engine = cls(
            FeatureSpec.from_json((where / "features.json").read_text(encoding="utf-8")),
            RANKERS[manifest["ranker"]].load(where),
            Policy.read(where / "policy.toml"),
            FeatureStats.from_json((where / "stats.json").read_text(encoding="utf-8")),
            date.fromisoformat(manifest["as_of"]),
            manifest["details"],
            Natural.load(where),
            remembered(where),
        )
        engine.__dict__["model_id"] = manifest["model_id"]  # verified by the sums, need not be made again
        return engine

    def _write_model(self, folder: Path) -> None:
        (folder / "features.json").write_text(self.spec.to_json(), encoding="utf-8")
        (folder / "stats.json").write_text(self.stats.to_json(), encoding="utf-8")
        self.ranker.save(folder)
        if self.natural is not None:
            self.natural.save(folder)
        if self.reference is not None:
            remembering(self.reference, folder)


@dataclass(frozen=True)
class Desk:
    """An engine with the products of one day before it. What does not depend on customers is worked out once.

    Safe to use from several threads.
    """

    ranker: Ranker
    products: Products
    decider: Decider
    as_of: date
    natural: Natural | None = None

    def recommend(self, stored: Stored, customers: Ids) -> Decided:
        """Return decisions and refusals of customers whose features were stored; one takes a few milliseconds at most.

        Raises
        ------
        FeatureError
            A customer is not stored, or the file is about other products.
        """
        if stored.product_ids != self.products.ids:
            raise FeatureError("the stored features are about other products than the bank has now; store them anew")
        return self.decide(stored.known(customers)).plain()

    def batch(self, known: Known) -> Batch:
        """Return n customers with their scores for the products.

        Raises
        ------
        FeatureError
            They are known as of another day.
        """
        if known.features.as_of != self.as_of:
            raise FeatureError(f"the features are as of {known.features.as_of}, the decisions as of {self.as_of}")
        scores = self.ranker.score(known.features, self.products)
        natural = None
        if self.natural is not None:
            natural = expit(self.natural.log_odds(scores.log_odds, known.features, self.products))
        return self.decider.batch(scores, known.facts, known.features, natural=natural)

    def decide(self, known: Known) -> Decided:
        """Return the offers to n customers with their reasons, and why every other pair is refused.

        Texts that repeat are kept as Arrow dictionaries; ``plain()`` spells them out.
        """
        return self.decider.of(self.batch(known))


def ranker_named(name: str, seed: int) -> Ranker:
    """Return an unfitted ranker. Raises `ModelError` where there is none of that name."""
    if name not in RANKERS:
        raise ModelError(f"no ranker '{name}'; there are {', '.join(RANKERS)}")
    return RANKERS[name](seed=seed)


def _joined(parts: list[Decided]) -> Decided:
    if not parts:
        raise ModelError("the bank has no customers to decide for")
    return Decided(pa.concat_tables([p.decisions for p in parts]), pa.concat_tables([p.refusals for p in parts]))
