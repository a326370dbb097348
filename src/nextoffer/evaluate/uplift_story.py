"""Tells what offers held back by lot say: a section of a report, out of the figures."""

from __future__ import annotations

from collections.abc import Iterator

from nextoffer.evaluate.forest import Forest, Lift
from nextoffer.evaluate.page import DataTable, Drawing, Section
from nextoffer.evaluate.uplift_charts import GainCurves, Tenths
from nextoffer.evaluate.uplift_trial import PROPENSITY, UPLIFT, Found
from nextoffer.evaluate.wording import Form, bounds, count, percent
from nextoffer.intervals import Interval

HEADING = "Do offers change anything, and for whom?"
_MOST_PRODUCTS = 24


def points(value: float) -> str:
    """Return a difference of shares in percentage points.

    >>> points(0.0213), points(-0.5)
    ('+2.13', '−50.00')
    """
    return f"{100 * value:+.2f}".replace("-", "−")


def money(value: float) -> str:
    """Return an amount with its sign.

    >>> money(-1.234)
    '−1.23'
    """
    return f"{value:+,.2f}".replace("-", "−")


def per_thousand(value: float) -> str:
    """Return an area per 1,000 offers.

    >>> per_thousand(0.0051)
    '+5.10'
    """
    return f"{1000 * value:+.2f}".replace("-", "−")


def not_judged(why: str) -> Section:
    """Return the section where nothing can be said."""
    return Section(HEADING, f"{why[0].upper()}{why[1:]}", (), "below")


def sentences(found: Found) -> tuple[str, ...]:
    """Return what the figures say, a sentence each, for whoever decides."""
    effect = found.figures["observed effect"][""]
    made, held = (found.figures[f"taken up if {side}"][""] for side in ("offered", "held back"))
    rates = f"{percent(made.estimate)} of offers made were taken up, {percent(held.estimate)} of those held back"
    out = [f"{_changes(effect)}: {rates}, a difference of {points(effect.estimate)} points ({bounds(effect, points)})."]
    out += [_finds(found, order) for order in (UPLIFT, PROPENSITY) if found.of("auuc", order)]
    out += [_against(gap) for gap in [found.of("auuc", f"{UPLIFT} minus {PROPENSITY}")] if gap]
    out += [f"Careful: {words}." for words in found.doubts]
    return tuple(out)


def _changes(effect: Interval) -> str:
    if effect.low > 0:
        return "Offers bring people to take up products"
    return "Offers keep people from taking up products" if effect.high < 0 else "No effect of offers is seen"


def _finds(found: Found, order: str) -> str:
    area = found.figures["auuc"][order]
    told = f"AUUC {per_thousand(area.estimate)} per 1,000 offers ({bounds(area, per_thousand)})"
    if area.low > 0:
        return f"Sorted by {order}, offers that change more come first: {told}."
    if area.high < 0:
        return f"Sorted by {order}, offers that change more come last: {told}."
    return f"It is not shown that sorting by {order} puts offers that change more first: {told}."


def _against(gap: Interval) -> str:
    told = f"{per_thousand(gap.estimate)} per 1,000 offers ({bounds(gap, per_thousand)})"
    if gap.low == gap.high == 0:
        return (
            "The order by uplift is the one by propensity: too few of those held back took up to learn more than "
            "their average."
        )
    if gap.low > 0:
        return f"The order by uplift finds more of the effect than the one by propensity: {told}."
    if gap.high < 0:
        return f"The order by uplift finds less of the effect than the one by propensity: {told}; use propensity."
    return f"The order by uplift is not shown to be better than the one by propensity: {told}."


def uplift_section(found: Found, why_not: str = "") -> Section:
    """Return what the trial says, with its charts and tables; `why_not` tells why there is no order by uplift."""
    words = " ".join((*sentences(found), *([f"{why_not[0].upper()}{why_not[1:]}"] if why_not else [])))
    return Section(
        HEADING,
        f"{words}\n\nSome offers of the judged period were held back by lot. What became of them beside the offers "
        "that were made is what an offer adds; nothing else is. The model had seen none of these answers.\n\n"
        "The curve shows what the best share of the offers brings, per offer of all. An order that knows nothing "
        "follows the dashed line; a good one rises early above it. AUUC is the area between.",
        tuple(_body(found)),
        "below",
    )


def _body(found: Found) -> Iterator[Drawing]:
    champion = UPLIFT if UPLIFT in found.curves else PROPENSITY
    yield GainCurves("Taken up because of the offer, per offer of all", found.curves, champion)
    tenths = [row for row in found.by_decile.to_pylist() if row["order"] == champion]
    observed = tuple(Interval(r["estimate"], r["low"], r["high"], r["n"]) for r in tenths)
    title = f"Effect in each tenth of the offers by {champion}"
    yield Tenths(title, observed, tuple(r["predicted"] for r in tenths))
    products = list(found.by_product.items())[:_MOST_PRODUCTS]
    if products:
        title = "Effect by product, percentage points"
        yield Forest(title, tuple(Lift(name, value, "other") for name, value in products), points)
    yield _table(found)


_SHOWN: tuple[tuple[str, str, Form], ...] = (
    ("observed effect", "Effect of an offer, points", points),
    ("predicted effect", "Effect the model predicts, points", points),
    ("auuc", "AUUC per 1,000 offers", per_thousand),
    ("qini", "Qini per 1,000 offers made", per_thousand),
    ("share of offers that pay", "Share of offers that pay", percent),
    ("earned per offer", "Earned per offer of all, if only those are made", money),
)


def _table(found: Found) -> DataTable:
    rows = [
        (f"{title}{_by(model)}", form(value.estimate), bounds(value, form), count(value.n))
        for metric, title, form in _SHOWN
        for model, value in found.figures.get(metric, {}).items()
    ]
    rows += [
        (
            f"True effect of every customer's first offer, points{_by(name)}",
            points(i.estimate),
            bounds(i, points),
            count(i.n),
        )
        for name, i in found.truth.items()
    ]
    columns = ("Figure", "Estimate", "95 % interval", "n")
    return DataTable(columns, rows, frozenset(columns[1:]))


def _by(model: str) -> str:
    if not model:
        return ""
    return f": by {model}" if model in (UPLIFT, PROPENSITY) else f": {model}"
