"""Who redeems the next campaign's coupons: 2,469 households, 27 campaigns, 1.5 million purchases, in time order.

Usage: ``python benchmarks/complete_journey.py [--origins DATE,…] [--json FILE]``

The Complete Journey (dunnhumby, CC0). Households are the customers of a bank in a temporary folder, campaigns its
products (their type the product type), purchases its transactions by department; age and income are the lower ends of
their classes. A contact is an offer on the day the campaign begins, accepted on the day of the household's first
redemption in it. Every origin fits anew on what was known before and judges the campaigns that begin from then until
the next origin. Campaigns judged are new, so what is learned of households and of campaign types must carry over.
Nothing is tuned. Purchases that cost nothing are no transactions; all other rows are used, or it stops.

Contacts were not drawn at random: figures say who redeems among those contacted. Prints AUC, log loss, Brier score and
calibration error over all origins with 95 % intervals by household, and paired differences with Holm's p.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from nextoffer.policy.file import Policy
from nextoffer.run.backtest import Options
from nextoffer.run.trials import POOLED, Trials, plain_rows, tried
from nextoffer.tables.bank import Bank

DATA = Path(__file__).parents[2] / "shared" / "data" / "complete_journey"
ORIGINS = (date(2017, 8, 1), date(2017, 9, 1), date(2017, 10, 1), date(2017, 11, 1))
DEPARTMENTS = 12
SHOWN = ("auc", "log_loss", "brier", "calibration_error")

TABLES = {
    "customers": """
        with households as (
            select distinct household_id from transactions union select household_id from campaigns
        ) select household_id as customer_id, cast(regexp_extract(d.age, '[0-9]+') as double) as age,
                 case when d.income like 'Under%' then 0.0
                      else 1000.0 * cast(regexp_extract(d.income, '[0-9]+') as double) end as income,
                 d.* exclude (household_id, age, income)
        from households left join demographics d using (household_id) order by 1""",
    "products": """
        select campaign_id as product_id, campaign_type as product_type, 'Campaign ' || campaign_id as name
        from campaign_descriptions order by 1""",
    "holdings": "select 1 as customer_id, 1 as product_id where false",
    "transactions": """
        with large as (
            select department from transactions join products using (product_id)
            group by 1 order by sum(sales_value) desc, 1 limit $departments
        ) select household_id as customer_id, cast(transaction_timestamp as date) as date, sum(sales_value) as amount,
                 case when department in (from large) then lower(department) else 'other' end as mcc
        from transactions left join products using (product_id)
        where sales_value > 0 group by 1, 2, 4 order by 1, 2, 4""",
    "responses": """
        select c.household_id as customer_id, c.campaign_id as product_id, cast(d.start_date as date) as offered_on,
               cast(min(r.redemption_date) is not null as int) as label,
               cast(min(r.redemption_date) as date) as responded_on
        from campaigns c join campaign_descriptions d using (campaign_id)
        left join coupon_redemptions r on r.campaign_id = c.campaign_id and r.household_id = c.household_id
        group by 1, 2, 3 order by 3, 1, 2""",
}

# What was given, and the same in the bank: any difference would be rows set aside.
KEPT = {
    "contacts": ("select count(*) from campaigns", "select count(*) from responses"),
    "redemptions": (
        "select count(distinct (household_id, campaign_id)) from coupon_redemptions",
        "select count(*) from responses where label = 1",
    ),
    "cents spent": (
        "select cast(round(100 * sum(sales_value)) as bigint) from transactions where sales_value > 0",
        "select cast(round(100 * sum(amount)) as bigint) from transactions",
    ),
    "campaigns": ("select count(*) from campaign_descriptions", "select count(*) from products"),
    "households": (
        "select count(*) from (select household_id from transactions union select household_id from campaigns)",
        "select count(*) from customers",
    ),
}


def write_bank(folder: Path) -> Bank:
    """Write the data as a bank and return it; raise SystemExit where any row is lost on the way."""
    con = duckdb.connect()
    for name in (
        "campaigns",
        "campaign_descriptions",
        "coupon_redemptions",
        "demographics",
        "products",
        "transactions",
    ):
        con.register(name, pq.read_table(DATA / f"{name}.parquet"))
    for name, query in TABLES.items():
        parameters = {"departments": DEPARTMENTS} if "$departments" in query else None
        pq.write_table(con.sql(query, params=parameters).to_arrow_table(), folder / f"{name}.parquet")
    bank = Bank.read(folder)
    reached = bank.connect()
    lost = []
    for name, (given, kept) in KEPT.items():
        before, after = (int(c.sql(q).fetchall()[0][0]) for c, q in ((con, given), (reached, kept)))
        lost += [f"{name}: {after:,} of {before:,}"] if before != after else []
    if lost:
        raise SystemExit("not everything reaches the bank: " + "; ".join(lost))
    return bank


def measured(origins: tuple[date, ...]) -> dict[str, Any]:
    """Return every figure in plain values."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        bank = write_bank(Path(scratch))
        offers = bank.connect().sql("select count(*), sum(label) from responses").fetchall()[0]
        found = tried(bank, Policy(), Trials(origins), options=Options(origins[0]))
    rows = [r for r in plain_rows(found.tables["origins"]) if r["metric"] in SHOWN]
    pairs = [r for r in plain_rows(found.tables["origins_significance"]) if r["metric"] in SHOWN]
    return {
        "contacts": int(offers[0]),
        "redeemed": int(offers[1]),
        "origins": [str(day) for day in origins],
        "figures": rows,
        "differences": pairs,
        "seconds": time.perf_counter() - started,
    }


def told(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = [
        f"{result['contacts']:,} contacts, {result['redeemed']:,} redeemed; origins {', '.join(result['origins'])}"
    ]
    lines += [
        f"{r['model']:<12} {r['metric']:<18} {r['estimate']:.4f}  {r['low']:.4f} to {r['high']:.4f}  ({r['n']:,})"
        for r in result["figures"]
        if r["split"] == POOLED
    ]
    lines += [
        f"{r['split']}  {r['model']:<12} auc {r['estimate']:.4f}  {r['low']:.4f} to {r['high']:.4f}  ({r['n']:,})"
        for r in result["figures"]
        if r["split"] != POOLED and r["metric"] == "auc" and r["model"] in ("glassbox", "lightgbm", "popularity")
    ]
    lines += [
        f"{r['model']} − {r['against']:<12} {r['metric']:<9} {r['estimate']:+.4f}  "
        f"{r['low']:+.4f} to {r['high']:+.4f}  p (Holm) {r['p_holm']:.3f}"
        for r in result["differences"]
    ]
    return "\n".join([*lines, f"{result['seconds']:.0f} s"])


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--origins", help="days, parted by commas")
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are not there: {DATA}")
    days = tuple(date.fromisoformat(d) for d in arguments.origins.split(",")) if arguments.origins else ORIGINS
    result = measured(days)
    print(told(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
