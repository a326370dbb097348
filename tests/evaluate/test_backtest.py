"""The backtest against worlds whose answer is known, and against the reference world's published table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import NextOfferError
from nextoffer.evaluate.backtest import backtest, find
from nextoffer.evaluate.judge import NOISELESS, ORACLE, SHARE, Settings
from nextoffer.evaluate.pairs import Contender, Truth
from nextoffer.tables.flow import REPORT

SEED_WORLD = Path(__file__).parents[3] / "shared/data/seed_world"
CUSTOMERS, PRODUCTS = 300, 6


def world(seed=1):
    """Return pairs of a toy bank, the true P(accept) of each, and what of it can be known."""
    rng = np.random.default_rng(seed)
    knowable = rng.normal(size=CUSTOMERS * PRODUCTS)
    response = 1 / (1 + np.exp(1.5 - knowable - 0.5 * rng.normal(size=len(knowable))))
    customer = np.repeat(np.arange(CUSTOMERS), PRODUCTS)
    table = pa.table(
        {
            "customer_id": customer,
            "product_id": np.tile(np.arange(PRODUCTS), CUSTOMERS),
            "label": (rng.random(len(response)) < response).astype(int),
            "segment": np.array(["mass", "affluent", "private"])[customer % 3],
        }
    )
    return table, Truth(response, knowable)


def contenders(truth, seed=2):
    noise = np.random.default_rng(seed).normal(size=len(truth.noiseless))
    return {
        "random": Contender(noise),
        "half": Contender(truth.noiseless + noise),
        "honest": Contender(1 / (1 + np.exp(1.5 - truth.noiseless)), probability=True),
    }


@pytest.fixture(scope="module")
def found():
    table, truth = world()
    return backtest(table, contenders(truth), truth=truth, by=["segment"], settings=Settings(baseline="random"))


def test_the_report_has_the_agreed_columns(found):
    assert found.report.schema == REPORT
    assert set(found.report["split"].to_pylist()) == {"validation"}


def test_every_figure_comes_with_its_interval_and_count(found):
    for row in found.report.to_pylist():
        assert row["low"] <= row["high"], row
        assert 0 < row["n"] <= CUSTOMERS


def test_the_order_of_models_is_found(found):
    ndcg = [find(found.report, "ndcg@5", model).estimate for model in ("random", "half", "honest", ORACLE)]
    assert ndcg == sorted(ndcg)


def test_the_best_knowable_order_has_all_that_is_achievable(found):
    for metric in ("ndcg@5", "auc", "top_response"):
        assert find(found.report, f"{metric} {SHARE}", "honest").estimate == pytest.approx(1.0)


def test_half_the_knowledge_has_part_of_it(found):
    share = find(found.report, f"top_response {SHARE}", "half")
    assert 0 < share.low < share.estimate < share.high < 1


def test_lift_is_the_ratio_of_responses(found):
    top = {model: find(found.report, "top_response", model).estimate for model in ("random", "half")}
    assert find(found.report, "lift over random", "half").estimate == pytest.approx(top["half"] / top["random"] - 1)


def test_a_difference_is_the_difference(found):
    a, b = (find(found.report, "map@5", model).estimate for model in ("half", "random"))
    assert find(found.report, "map@5 minus random", "half").estimate == pytest.approx(a - b)


def test_the_baseline_is_not_compared_with_itself(found):
    with pytest.raises(KeyError, match="ndcg@5 minus random"):
        find(found.report, "ndcg@5 minus random", "random")


def test_only_probabilities_are_checked_for_calibration(found):
    models = {row["model"] for row in found.report.to_pylist() if row["metric"] == "log_loss"}
    assert models == {"honest"} == set(found.reliability)


def test_a_group_is_judged_as_if_alone(found):
    table, truth = world()
    rows = np.flatnonzero(np.array(table["segment"].to_pylist()) == "private")
    alone = backtest(
        table.take(rows),
        {name: c.take(rows) for name, c in contenders(truth).items()},
        truth=truth.take(rows),
        settings=Settings(baseline="random"),
    )
    expected = find(alone.report, "ndcg@5 minus random", "half")
    assert find(found.report, "ndcg@5 minus random", "half", group="segment=private") == expected


def test_the_order_of_rows_is_of_no_account(found):
    table, truth = world()
    rows = np.random.default_rng(5).permutation(table.num_rows)
    shuffled = backtest(
        table.take(rows),
        {name: c.take(rows) for name, c in contenders(truth).items()},
        truth=truth.take(rows),
        by=["segment"],
        settings=Settings(baseline="random"),
    ).report
    for before, after in zip(found.report.to_pylist(), shuffled.to_pylist(), strict=True):
        assert before == pytest.approx(after, abs=1e-9)


def test_text_ids_give_the_same_report():
    table, truth = world()
    named = table.set_column(0, "customer_id", pa.array([f"C{c:04d}" for c in table["customer_id"].to_pylist()]))
    scores = {"half": contenders(truth)["half"]}
    assert backtest(named, scores).report == backtest(table, scores).report


def test_ties_come_with_their_range():
    table, truth = world()
    blunt = backtest(table, {"blunt": Contender(np.round(truth.noiseless))}).report
    worst, fair, best = (
        find(blunt, metric, "blunt").estimate
        for metric in ("ndcg@5 (worst order of ties)", "ndcg@5", "ndcg@5 (best order of ties)")
    )
    assert worst < fair < best


def test_a_model_that_offers_everyone_the_same_covers_one_product():
    table, _ = world()
    same = Contender(-table["product_id"].to_numpy().astype(float))
    report = backtest(table, {"same": same}, settings=Settings(k=1)).report
    assert find(report, "coverage@1", "same").estimate == pytest.approx(1 / PRODUCTS)


def test_offers_spread_by_chance_cover_every_product():
    table, _ = world()
    tied = {"tied": Contender(np.zeros(table.num_rows))}
    assert find(backtest(table, tied, settings=Settings(k=1)).report, "coverage@1", "tied").estimate > 0.999


def test_customers_without_positives_can_be_left_out():
    table, truth = world()
    scores = {"half": contenders(truth)["half"]}
    buyers = len(set(table.filter(pa.compute.equal(table["label"], 1))["customer_id"].to_pylist()))
    zero = find(backtest(table, scores).report, "ndcg@5", "half")
    skip = find(backtest(table, scores, settings=Settings(empty="skip")).report, "ndcg@5", "half")
    assert skip.n == buyers < zero.n
    assert skip.estimate * buyers == pytest.approx(zero.estimate * zero.n)


def test_families_are_chosen():
    table, truth = world()
    some = backtest(table, contenders(truth), settings=Settings(families=("discrimination",)))
    assert set(some.report["metric"].to_pylist()) == {"auc"}
    assert some.reliability == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename_columns(["customer", "product_id", "label", "segment"]), "did you mean 'customer'"),
        (lambda t: t.set_column(2, "label", pa.array([2] * t.num_rows)), "1800 of 1800 labels are neither 0 nor 1"),
        (lambda t: t.slice(1), "scores of 'random': 1800 for 1799 pairs"),
    ],
)
def test_pairs_that_cannot_be_judged_are_refused(change, message):
    table, truth = world()
    with pytest.raises(NextOfferError, match=message):
        backtest(change(table), contenders(truth))


def test_unknown_scores_are_refused():
    table, _ = world()
    with pytest.raises(NextOfferError, match="scores of 'broken': 1800 are NaN"):
        backtest(table, {"broken": Contender(np.full(table.num_rows, np.nan))})


def test_an_unknown_baseline_is_refused():
    table, truth = world()
    with pytest.raises(NextOfferError, match="no model 'randon' to compare with \\(did you mean 'random'\\?\\)"):
        backtest(table, contenders(truth), settings=Settings(baseline="randon"))


def test_an_unknown_group_is_refused():
    table, truth = world()
    with pytest.raises(NextOfferError, match="cannot evaluate by 'segmnt' \\(did you mean 'segment'\\?\\)"):
        backtest(table, contenders(truth), by=["segmnt"])


@pytest.fixture(scope="module")
def reference():
    if not SEED_WORLD.exists():
        pytest.skip(f"the reference world is not at {SEED_WORLD}")
    pairs, truth = (pq.read_table(SEED_WORLD / f"{name}.parquet") for name in ("seed_evaluation", "truth"))
    key = {pair: row for row, pair in enumerate(zip(*(truth[c].to_pylist() for c in KEYS), strict=True))}
    rows = [key[pair] for pair in zip(*(pairs[c].to_pylist() for c in KEYS), strict=True)]
    response = 0.25 / (1 + np.exp(-truth["true_score"].to_numpy()[rows]))
    scores = {name: Contender(pairs[name].to_numpy()) for name in ("mf", "gbm", "heuristic", "popularity")}
    return backtest(
        pairs,
        scores,
        truth=Truth(response, truth["noiseless_score"].to_numpy()[rows]),
        settings=Settings(baseline="heuristic", families=("ranking", "response"), resamples=200),
    ).report


KEYS = ("customer_id", "product_id")


@pytest.mark.parametrize(
    ("model", "ndcg", "map_", "response"),
    [
        ("heuristic", 0.3280, 0.2519, 0.1169),
        (NOISELESS, 0.3765, 0.2994, 0.1636),
        (ORACLE, 0.3947, 0.3178, 0.1807),
    ],
)
def test_the_reference_world_is_reproduced(reference, model, ndcg, map_, response):
    found = [round(find(reference, metric, model).estimate, 4) for metric in ("ndcg@5", "map@5", "top_response")]
    assert found == [ndcg, map_, response]


@pytest.mark.parametrize(("model", "true_lift"), [(NOISELESS, 0.400), (ORACLE, 0.545)])
def test_the_reference_worlds_lifts_are_reproduced(reference, model, true_lift):
    assert round(find(reference, "lift over heuristic", model).estimate, 3) == true_lift
