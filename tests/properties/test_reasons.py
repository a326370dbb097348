"""No false reason, ever: every reason given is checked against the plain rows, without the code that gave it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.policy.batch import Pairs
from nextoffer.policy.catalogue import Catalogue
from nextoffer.policy.file import ReasonLimits
from nextoffer.policy.reasons import explain_low_rank, reasons_for
from tests.policy.worlds import COLUMNS, FEATURES, stats_of, world

CUSTOMERS_PER_WORLD, WORLDS = 500, 20


class Record:
    """All that is known of one pair: ``income``, ``product.tier``, ``pair.accepts``; None if not known."""

    def __init__(self, customer, product, pair, stats):
        self.values = dict(customer)
        self.values |= {f"product.{name}": value for name, value in product.items()}
        self.values |= {f"pair.{name}": None if math.isnan(value) else value for name, value in pair.items()}
        self.stats = stats

    def __getitem__(self, name):
        return self.values[name]

    def known(self, *names):
        return all(self[name] is not None for name in names)

    def high(self, name):
        stat = self.stats.get(name)
        return self.known(name) and self[name] >= stat.q75 and self[name] > stat.median

    def low(self, name):
        stat = self.stats.get(name)
        return self.known(name) and self[name] <= stat.q25 and self[name] < stat.median


def income_met(r):
    return r.known("income", "product.min_income") and r["income"] >= r["product.min_income"]


def income_below(r):
    return r.known("income", "product.min_income") and r["income"] < r["product.min_income"]


def declined_before(r):
    return r.known("pair.offers", "pair.accepts") and r["pair.offers"] >= 1 and r["pair.accepts"] == 0


def not_recent(r):
    return (r.known("txn_recency_days") and r["txn_recency_days"] > 30) or r.low("txn_count_30d")


FACTS = {
    "premium_fit": lambda r: r["product.is_premium"] is True and r.high("income"),
    "premium_misfit": lambda r: r["product.is_premium"] is True and r.low("income"),
    "income_met": income_met,
    "income_below": income_below,
    "segment_fit": lambda r: r.known("segment") and r["segment"] == r["product.segment_bias"],
    "segment_misfit": lambda r: r.known("segment") and r["product.segment_bias"] not in (r["segment"], "All"),
    "young": lambda r: r.known("age") and r["age"] < 30,
    "senior": lambda r: r.known("age") and r["age"] >= 60,
    "accepted_before": lambda r: r.known("pair.accepts") and r["pair.accepts"] >= 1,
    "declined_before": declined_before,
    "collaborative_strong": lambda r: r.high("pair.coholding"),
    "collaborative_weak": lambda r: r.low("pair.coholding"),
    "spend_match": lambda r: r.high("pair.spend_interest"),
    "spend_mismatch": lambda r: r.low("pair.spend_interest"),
    "recent": lambda r: r.known("txn_recency_days") and r["txn_recency_days"] <= 14,
    "not_recent": not_recent,
    "frequent": lambda r: r.high("txn_count"),
    "infrequent": lambda r: r.low("txn_count"),
    "high_spend": lambda r: r.high("txn_amount"),
    "low_spend": lambda r: r.low("txn_amount"),
    "digital_first": lambda r: r["channel_pref"] in {"mobile", "web"},
    "branch_first": lambda r: r["channel_pref"] in {"branch", "phone"},
    "salary_rhythm": lambda r: r.high("salary_share"),
    "no_salary_rhythm": lambda r: r.low("salary_share"),
}
EACH = {
    "high": lambda r, name: r.high(name),
    "low": lambda r, name: r.low(name),
    "is": lambda r, name: r.known(name),
    "yes": lambda r, name: r[name] is True,
    "no": lambda r, name: r[name] is False,
}
SPEAKS_FOR = {r.code: set(r.members(FEATURES)) for r in Catalogue.packaged().reasons}


class Case:
    """Some pairs of a random bank, with everything about them as plain Python rows."""

    def __init__(self, seed, customers, products=4, **options):
        self.batch = world(seed, n=customers, products=products, **options)
        self.rows, self.cols = np.divmod(np.arange(customers * products), products)
        if customers > 100:
            self.rows, self.cols = self.rows[seed % 3 :: 3], self.cols[seed % 3 :: 3]
        self.pairs = Pairs(self.batch, self.rows, self.cols)
        self.stats = stats_of(self.batch)
        self.catalogue = Catalogue.packaged().with_stats(self.stats)
        self.customers = self.batch.features.data.to_pylist()
        self.products = self.batch.products.to_pylist()
        values = self.batch.scores.pair_values(self.rows, self.cols)
        self.values = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        parts = self.batch.scores.contributions(self.rows, self.cols).astype(float)
        self.relative = parts - self.batch.scores.average[self.cols].astype(float)

    def holds(self, i, code):
        record = Record(self.customers[self.rows[i]], self.products[self.cols[i]], self.values[i], self.stats)
        kind, _, feature = code.partition(":")
        return EACH[kind.removesuffix("_against")](record, feature) if feature else FACTS[code](record)

    def weight(self, i, code, sign):
        feature = code.partition(":")[2]
        members = {feature} if feature else SPEAKS_FOR[code]
        return sign * sum(self.relative[i, FEATURES.index(name)] for name in members)

    def positive(self, i, sign):
        return np.maximum(sign * self.relative[i], 0).sum()


@pytest.mark.parametrize("seed", range(WORLDS))
def test_no_false_reason_in_ten_thousand_customers(seed):
    case = Case(seed, CUSTOMERS_PER_WORLD, nulls=0.15)
    limits = ReasonLimits()
    for sign, give in ((1, reasons_for), (-1, explain_low_rank)):
        given_codes = give(case.pairs, case.catalogue, limits=limits).codes.to_pylist()
        assert sum(map(len, given_codes)) > len(given_codes) / 2
        for i, codes in enumerate(given_codes):
            least = max(limits.min_log_odds, limits.min_share * case.positive(i, sign))
            weights = [case.weight(i, code, sign) for code in codes]
            assert all(case.holds(i, code) for code in codes)
            assert all(weight >= least - 1e-5 for weight in weights)
            assert all(a >= b - 1e-5 for a, b in pairwise(weights))
            assert len(codes) == len(set(codes)) <= limits.max


worlds = st.builds(
    Case, st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 5), nulls=st.sampled_from([0.0, 0.2, 1.0])
)
all_limits = st.builds(
    ReasonLimits,
    max=st.integers(0, 8),
    min_share=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    min_log_odds=st.sampled_from([0.0, 0.01, 0.2]),
)


@given(worlds, all_limits)
@settings(max_examples=60)
def test_reasons_are_those_of_the_plain_definition(case, limits):
    """The best of all reasons that are material and true, each feature spoken for by the first: by plain loops."""
    found = reasons_for(case.pairs, case.catalogue, limits=limits).codes.to_pylist()
    for i, codes in enumerate(found):
        assert set(codes) <= set(_true_and_material(case, i, limits))
        assert len(codes) == min(limits.max, len(_true_and_material(case, i, limits)))


def _true_and_material(case, i, limits):
    least = max(limits.min_log_odds, limits.min_share * case.positive(i, 1), 1e-30)
    spoken, out = set(), []
    for reason in case.catalogue.reasons:
        if reason.side != "for" or not SPEAKS_FOR[reason.code]:
            continue
        for code in _codes(reason):
            members = {code.partition(":")[2]} if ":" in code else SPEAKS_FOR[reason.code]
            weight = case.weight(i, code, 1)
            assert abs(weight - least) > 1e-7 or weight == 0
            if members & spoken or weight < least or not _holds(case, i, code):
                continue
            spoken |= members
            out.append(code)
    return out


KINDS = {column.name: column.kind for column in COLUMNS} | {
    name: "number" for name in FEATURES if name.startswith(("pair.", "product."))
}


def _codes(reason):
    if reason.each is None:
        return [reason.code]
    return [f"{reason.code}:{name}" for name in FEATURES if KINDS[name] == reason.each]


def _holds(case, i, code):
    stat_missing = code in {"popular", "high:product.popularity", "low:product.popularity"}
    return not stat_missing and case.holds(i, code)


@given(worlds, all_limits, st.data())
@settings(max_examples=60)
def test_reasons_of_a_pair_do_not_depend_on_the_others(case, limits, data):
    order = data.draw(st.permutations(range(len(case.rows))))[:10]
    pairs = Pairs(case.batch, case.rows[order], case.cols[order])
    whole = reasons_for(case.pairs, case.catalogue, limits=limits)
    some = reasons_for(pairs, case.catalogue, limits=limits)
    assert some.codes.to_pylist() == [whole.codes[i].as_py() for i in order]
    assert some.texts.to_pylist() == [whole.texts[i].as_py() for i in order]


@given(worlds)
@settings(max_examples=20)
def test_texts_and_codes_go_together(case):
    for audience in ("rm", "customer", "audit"):
        told = reasons_for(case.pairs, case.catalogue, audience=audience)
        for texts, codes in zip(told.texts.to_pylist(), told.codes.to_pylist(), strict=True):
            assert len(texts) == len(codes)
            assert all(text and "{" not in text for text in texts)
