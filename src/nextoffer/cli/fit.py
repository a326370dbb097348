"""``nextoffer fit``: learns a model and saves it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from nextoffer.cli.options import AsJson, BankFolder, PolicyFile, steps


def fit(
    bank: BankFolder,
    as_of: Annotated[
        datetime,
        typer.Option(
            help="Only what was known before this day is learned from.", formats=["%Y-%m-%d"], show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model.", show_default=False)],
    policy: PolicyFile = None,
    ranker: Annotated[
        str, typer.Option(help="glassbox, choice (products that compete for one customer), or the challenger lightgbm.")
    ] = "glassbox",
    customers: Annotated[
        int, typer.Option(min=1, help="Learn from about so many customers, drawn by key, where the bank has more.")
    ] = 200_000,
    as_json: AsJson = False,
) -> None:
    """Learn which offers customers accept, and save the model as a folder of plain files.

    Labels are the bank's responses; where there are none, the products that customers took up by themselves. A large
    bank is learned from by a sample, so that a fit takes as long on ten million customers as on a million.

    Example: nextoffer fit my_bank --as-of 2025-10-11 --out model
    """
    from nextoffer.policy.file import Policy
    from nextoffer.run.artefact import check_free
    from nextoffer.run.engine import Engine, ranker_named
    from nextoffer.tables.bank import Bank

    chosen = Policy.read(policy)
    check_free(out)
    with steps() as step:
        step("Reading the bank")
        source = Bank.read(bank)
        step("Fitting")
        learner = ranker_named(ranker, chosen.seed)
        engine = Engine.fit(source, chosen, as_of=as_of.date(), ranker=learner, most_customers=customers)
        step("Saving")
        engine.save(out)
    summary = {"model": str(out), "model_id": engine.model_id, "policy_id": chosen.policy_id, **engine.details}
    if as_json:
        typer.echo(json.dumps(summary, indent=2, default=str))
        return
    for note in source.notes:
        typer.echo(f"note: {note}", err=True)
    learned = engine.details["fit"]
    typer.echo(f"{out}: model {engine.model_id}, policy {chosen.policy_id}")
    pairs, accepted = learned.get("pairs"), learned.get("accepted")
    yes = f", {accepted:,.0f} accepted" if accepted else ""
    typer.echo(f"Learned from {engine.details['labels']}: {pairs:,} pairs{yes}")
    chosen_few, everybody = engine.details["customers"], engine.details["customers_in_bank"]
    if chosen_few < everybody:
        typer.echo(f"Sampled {chosen_few:,} of {everybody:,} customers, by key")
    if engine.details["refusals_share"] < 1:
        share = engine.details["refusals_share"]
        typer.echo(f"Kept {share:.1%} of the pairs not accepted, by key; each counts {1 / share:.1f} times")
    natural = engine.details["natural"]
    if "not_learned" in natural:
        typer.echo(f"Propensity without an offer: not learned: {natural['not_learned']}")
    else:
        uplift = natural["average_uplift"]
        typer.echo(
            f"Propensity without an offer: learned from {natural['pairs']:,} offers held back, "
            f"{natural['taken_up']:,.0f} taken up all the same; an offer adds {uplift['estimate']:.2%} "
            f"({uplift['low']:.2%} to {uplift['high']:.2%})"
        )
    if "affinity_rank" in learned:
        typer.echo(
            f"Response affinity of rank {learned['affinity_rank']}; {len(learned['terms_kept'])} of "
            f"{learned['terms_boosted']} boosted terms help on customers they were not fitted to"
        )
        for signal, share in learned["collaborative_coverage_scoring"].items():
            before = learned["collaborative_coverage_training"][signal]
            typer.echo(f"Coverage of {signal}: {before:.0%} of customers in training, {share:.0%} in scoring")
