"""A simulated A/B test: two strategies play against a bank whose truth is known.

Customers are split into two keyed halves; each gets the top offer of its arm's strategy and accepts it or not, with the
probability the truth knows. What the test *reports* (a lift with its interval) then stands beside what *is* (the lift
over all customers), and beside the size the test should have had.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import BankError
from nextoffer.intervals import Interval, lift_of_rates, sample_size_for_lift
from nextoffer.keyed import uniform
from nextoffer.simulate.draws import Floats, sigmoid
from nextoffer.simulate.reference.truth import ACCEPTANCE

KEYS = ["customer_id", "product_id"]


@dataclass(frozen=True)
class Arm:
    """One arm of the test.

    Attributes
    ----------
    customers, accepted
        In this arm of this test.
    true_rate
        Mean P(accept) of this strategy's top offer over all customers of the test, in both arms.
    """

    customers: int
    accepted: int
    true_rate: float

    @property
    def rate(self) -> float:
        """Share of the arm's customers that accepted."""
        return self.accepted / self.customers


@dataclass(frozen=True)
class SimulatedAB:
    """What a simulated A/B test reported, and what was true.

    Attributes
    ----------
    control, treatment
        The two arms.
    lift
        Treatment rate ÷ control rate − 1 as the test estimates it, with its 95 % interval.
    true_lift
        The same ratio of the true rates; NaN if control has none.
    needed_per_arm
        Customers per arm that see the true lift with 80 % power at 5 % significance; None if there is no lift to see.
    """

    control: Arm
    treatment: Arm
    lift: Interval
    true_lift: float
    needed_per_arm: int | None

    def to_dict(self) -> dict[str, object]:
        """Return all of it as plain numbers."""
        out = asdict(self)
        out["control"]["rate"], out["treatment"]["rate"] = self.control.rate, self.treatment.rate
        return out

    def summary(self) -> str:
        """Return four lines for people."""
        lift, least = self.lift, min(self.control.customers, self.treatment.customers)
        estimated = f"{lift.estimate:+.1%} ({lift.low:+.1%} to {lift.high:+.1%})"
        if self.needed_per_arm is None:
            size = "The two strategies are equally good: no size of test would tell them apart."
        else:
            verdict = "enough" if least >= self.needed_per_arm else "too few"
            size = f"To see it (80 % power, 5 % level): {self.needed_per_arm:,} per arm; this test had {verdict}."
        return "\n".join(
            [
                _arm_line("control", self.control),
                _arm_line("treatment", self.treatment),
                f"Lift: {estimated} estimated; {self.true_lift:+.1%} true.",
                size,
            ]
        )


def simulate_ab(truth: pa.Table, control: pa.Table, treatment: pa.Table, *, seed: int = 7) -> SimulatedAB:
    """Play two strategies against the truth and return what an A/B test would have said.

    Parameters
    ----------
    truth
        customer_id, product_id and either p_treated or true_score (P(accept) = 0.25 · sigmoid(true_score)).
    control, treatment
        The strategies' offers: customer_id, product_id; of several per customer, `rank` tells which is on top. A
        customer without an offer in one of them counts there as one who does not accept.
    seed
        Fixes who is in which arm, and every answer.

    Raises
    ------
    BankError
        Columns are missing, a customer has several top offers, an offered pair is not in the truth, or an arm is empty.

    Examples
    --------
    >>> pairs = [(c, p) for c in range(4000) for p in "ab"]
    >>> truth = pa.table({"customer_id": [c for c, _ in pairs], "product_id": [p for _, p in pairs],
    ...                   "p_treated": [0.1 if p == "a" else 0.2 for _, p in pairs]})
    >>> give = lambda p: pa.table({"customer_id": range(4000), "product_id": [p] * 4000})
    >>> result = simulate_ab(truth, give("a"), give("b"), seed=7)
    >>> round(result.true_lift, 6), result.needed_per_arm, result.lift.low < 1.0 < result.lift.high
    (1.0, 199, True)
    """
    before, after = (_chances(truth, top_offers(offers, name), name) for offers, name in _named(control, treatment))
    customers, (p_control, p_treatment) = _aligned(before, after)
    treated = uniform(seed, "ab arm", customers) < 0.5
    accepts = uniform(seed, "ab answer", customers) < np.where(treated, p_treatment, p_control)
    if treated.all() or not treated.any():
        raise BankError(f"an A/B test needs customers in both arms; there are {len(customers)} customers in all")
    arms = [
        Arm(int(inside.sum()), int(accepts[inside].sum()), float(chance.mean()))
        for inside, chance in ((~treated, p_control), (treated, p_treatment))
    ]
    return _result(arms[0], arms[1])


def _result(control: Arm, treatment: Arm) -> SimulatedAB:
    lift = lift_of_rates(treatment.accepted, treatment.customers, control.accepted, control.customers)
    true_lift = treatment.true_rate / control.true_rate - 1 if control.true_rate > 0 else float("nan")
    return SimulatedAB(control, treatment, lift, true_lift, _needed(control.true_rate, treatment.true_rate))


def _needed(base: float, other: float) -> int | None:
    if not (0 < base < 1 and 0 < other < 1) or np.isclose(base, other, rtol=1e-9):
        return None
    return sample_size_for_lift(base, other / base - 1)


def top_offers(offers: pa.Table, name: str) -> pa.Table:
    """Return customer_id and product_id of each customer's offer of rank 1 (or only offer).

    Raises
    ------
    BankError
        A column is missing, or a customer has more than one such offer.
    """
    _require(offers, KEYS, name)
    if "rank" in offers.column_names:
        offers = offers.filter(pc.equal(offers["rank"], 1))
    top = offers.select(KEYS)
    several = top.num_rows - pc.count_distinct(top["customer_id"]).as_py()
    if several:
        raise BankError(f"{name}: {several} customers or more have several top offers; add a column rank (1 = top)")
    return top


def acceptance(truth: pa.Table) -> Floats:
    """Return P(accept one offer) of each pair, from p_treated or true_score.

    >>> acceptance(pa.table({"true_score": [0.0]}))
    array([0.125])
    """
    if "p_treated" in truth.column_names:
        return np.asarray(truth["p_treated"].to_numpy(), dtype=np.float64)
    _require(truth, ["true_score"], "truth (or p_treated)")
    return ACCEPTANCE * sigmoid(np.asarray(truth["true_score"].to_numpy(), dtype=np.float64))


def _named(control: pa.Table, treatment: pa.Table) -> tuple[tuple[pa.Table, str], tuple[pa.Table, str]]:
    return (control, "control"), (treatment, "treatment")


def _require(table: pa.Table, columns: list[str], name: str) -> None:
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise BankError(f"{name}: no column {', '.join(missing)}; there are {', '.join(table.column_names)}")


def _chances(truth: pa.Table, top: pa.Table, name: str) -> pa.Table:
    """customer_id and chance of each offered pair."""
    _require(truth, KEYS, "truth")
    known = truth.select(KEYS).append_column("chance", pa.array(acceptance(truth)))
    keys = pa.schema([known.schema.field(column) for column in KEYS])
    try:
        top = top.cast(keys)
    except pa.ArrowInvalid as error:
        raise BankError(f"{name}: ids are not written as in the truth ({error})") from error
    found = top.join(known, keys=KEYS, join_type="left outer")
    strange = found.filter(pc.is_null(found["chance"]))
    if strange.num_rows:
        pair = strange.slice(0, 1).to_pylist()[0]
        raise BankError(f"{name}: {strange.num_rows} offered pairs are not in the truth, such as {pair}")
    return found.select(["customer_id", "chance"])


def _aligned(before: pa.Table, after: pa.Table) -> tuple[pa.Array, tuple[Floats, Floats]]:
    """All customers of both tables in order of id, and each table's chance for them (0 without an offer)."""
    both = before.join(after, keys="customer_id", join_type="full outer", right_suffix="_after").sort_by("customer_id")
    columns = (pc.fill_null(both[name], 0.0).to_numpy() for name in ("chance", "chance_after"))
    p_before, p_after = columns
    return both["customer_id"].combine_chunks(), (p_before, p_after)


def _arm_line(name: str, arm: Arm) -> str:
    rates = f"{arm.rate:.2%} accepted, {arm.true_rate:.2%} expected"
    return f"{name.capitalize():<10} {arm.customers:>9,} customers, {arm.accepted:>7,} accepted: {rates}."
