"""A model card as a page, under the headings of Mitchell et al. (2019), Model Cards for Model Reporting, FAT*."""

from __future__ import annotations

from collections.abc import Iterator

from nextoffer.evaluate.card import Card
from nextoffer.evaluate.card_words import about_data, about_method, avoided, intended
from nextoffer.evaluate.curves import Shapes
from nextoffer.evaluate.findings import MEANING, SEVERITIES, FindingList, counted
from nextoffer.evaluate.markdown import Bullets
from nextoffer.evaluate.page import DataTable, Drawing, ReportPage, Section
from nextoffer.evaluate.wording import UNKNOWN, bounds, count, decimal, odds, percent, whole_percent

DRAWN = 9
"""Terms whose shapes are drawn."""
LISTED = 20


def card_page(card: Card) -> ReportPage:
    """Return the card."""
    facts = (
        ("Model", card.model_id),
        ("Kind", f"{card.ranker}, {'glass box' if card.glass_box else 'no glass box'}"),
        ("Learned before", card.as_of),
        ("Policy", card.policy_id),
        ("Fitted by", f"NextOffer {card.version}" if card.version else "an earlier NextOffer"),
    )
    found = card.findings
    learned = f"{count(card.pairs)} {_labelled(card)}"
    yes = "" if card.accepted is None else f", {count(card.accepted)} of them accepted"
    headline = f"Ranks {len(card.products)} products for each customer; learned from {learned}{yes}."
    summary = (f"{counted(found).capitalize()} from the files alone, under Caveats and recommendations.",)
    return ReportPage(
        f"Model card: {card.bank}" if card.bank else "Model card",
        facts,
        headline,
        summary,
        tuple(_sections(card)),
        mast="NextOffer model card",
    )


def _labelled(card: Card) -> str:
    return "answers to offers" if card.labels == "responses" else "customer–product pairs"


def _sections(card: Card) -> Iterator[Section]:
    yield Section("Model details", "\n\n".join(about_method(card)), (_details(card),), "below")
    yield Section(
        "Intended use",
        "What the model can be used for follows from what it learned and what its policy asks.",
        (Bullets(tuple(intended(card))), Bullets(tuple(avoided(card)))),
    )
    yield _factors(card)
    yield _metrics()
    yield _evaluation(card)
    yield Section("Training data", "\n\n".join(about_data(card)), (_products(card),), "below")
    yield _analyses(card)
    yield _ethics(card)
    yield _caveats(card)
    yield Section(
        "The policy in words",
        f"What policy {card.policy_id} lets through, stage by stage. nextoffer policy show prints it whole.",
        (DataTable(("Stage", "Rule"), [(stage, rule) for stage, rules in card.policy.items() for rule in rules]),),
        "below",
    )
    yield Section(
        "Files",
        "SHA-256 of every file of the model. Loading compares them and refuses a model of which one differs; the "
        "model's id is made of all but the policy's.",
        (DataTable(("File", "SHA-256"), sorted(card.files.items())),),
        "below",
    )


def _details(card: Card) -> DataTable:
    rows = [
        ("Bank", card.bank or UNKNOWN),
        ("Ranker", card.ranker),
        ("Model id", card.model_id),
        ("Learned from what was known before", card.as_of),
        ("Policy id", card.policy_id),
        ("Offers are sorted by", card.objective),
        ("Offers per customer, at most", str(card.top_n)),
        ("Seed", str(card.seed)),
        ("Fitted by", f"NextOffer {card.version}" if card.version else "not noted (an earlier version)"),
        ("Card made by", f"NextOffer {card.read_by}"),
        ("Licence, contact", "the bank's: not in the files"),
    ]
    return DataTable(("", "Value"), rows)


def _factors(card: Card) -> Section:
    rows = [
        (
            family.name,
            family.purpose,
            str(family.features),
            str(family.weighing),
            UNKNOWN if not card.terms else whole_percent(family.importance),
        )
        for family in card.families
    ]
    columns = ("Family", "Purpose", "Features", "With weight", "Share of effect")
    closed = card.closed
    if closed is None:
        kept_out = "Which columns were kept out was not noted by the version that fitted the model."
    elif closed:
        kept_out = "Kept out: " + "; ".join(f"{name} ({why})" for name, why in closed.items()) + "."
    else:
        kept_out = "No column was kept out: bank.toml names none as sensitive or excluded."
    return Section(
        "Factors",
        "What a score may depend on: features by family, how many of them carry weight, and their share of the whole "
        "effect on log-odds. Features of pairs of customer and product are under pair. Purpose profiling needs a "
        "customer's consent where the bank keeps consents to it; rule is never learned from.\n\n" + kept_out,
        (
            DataTable(columns, rows, numeric=frozenset(columns[2:])),
            *((Bullets(card.notes),) if card.notes else ()),
        ),
        "below",
    )


def _metrics() -> Section:
    return Section(
        "Metrics",
        "How the model is judged.",
        (
            Bullets(
                (
                    "Log loss: the mean surprise at what happened; lower is better. Beside it that of each product's "
                    "own rate: what a model without any feature would have.",
                    "AUC: the chance that an accepted pair scores above a refused one; 0.5 is guessing.",
                    "Calibration error: how far stated probabilities and acceptances lie apart on average, in tenths "
                    "of the pairs. Noise can only raise it.",
                    "All intervals are 95 %, from resampling customers (1,000 times, keyed).",
                    "Ranking (NDCG, MAP), baselines and time are judged by nextoffer evaluate and nextoffer "
                    "validate, which need the bank.",
                )
            ),
        ),
    )


def _evaluation(card: Card) -> Section:
    if not card.held_out:
        words = (
            "The files hold no held-out figures: "
            + (
                "the ranker keeps none"
                if card.version
                else "the version that fitted the model kept none beyond the method's own choices"
            )
            + ". Run nextoffer validate."
        )
    else:
        words = (
            "Customers were dealt into folds, and each pair was scored by parts fitted without its customer. Which "
            "parts enter, and with which weight, was learned on all pairs, so that a mild optimism remains. The pairs "
            "are of the same days as the training pairs: this is not out of time. For that there is nextoffer validate."
        )
    return Section("Evaluation data", words, ())


def _products(card: Card) -> DataTable:
    rows = []
    for product in card.products:
        told = product.offers is not None and product.accepted is not None
        share = percent((product.accepted or 0) / product.offers) if told and product.offers else UNKNOWN
        rows.append(
            (
                f"{product.name}\n{product.product_id}" if product.name else product.product_id,
                product.product_type,
                count(product.offers) if product.offers is not None else UNKNOWN,
                count(product.accepted) if product.accepted is not None else UNKNOWN,
                share,
                percent(product.propensity) if product.propensity is not None else UNKNOWN,
                {True: "other products: no offer seen", False: "its own offers", None: UNKNOWN}[product.unseen],
            )
        )
    columns = ("Product", "Type", "Offers", "Accepted", "Share", "Average customer's propensity", "Learned from")
    return DataTable(columns, rows, numeric=frozenset(columns[2:6]))


def _analyses(card: Card) -> Section:
    body: list[Drawing] = []
    if card.held_out:
        columns = ("On held-out customers", "Figure", "95 % interval", "Customers")
        rows = [(name, decimal(v.estimate), bounds(v, decimal), count(v.n)) for name, v in card.held_out.items()]
        body.append(DataTable(columns, rows, numeric=frozenset(columns[1:])))
    shapes = [term.shape for term in card.terms[:DRAWN] if term.shape is not None]
    if shapes:
        body.append(Shapes(tuple(shapes)))
    if card.terms:
        names = card.product_names
        heads = ("Feature", "Name", "Family", "Effect", "Moves most")
        told = [(t.label, t.name, t.family, decimal(t.importance), names.get(t.product, UNKNOWN)) for t in card.terms]
        body.append(DataTable(heads, told[:LISTED], numeric=frozenset({"Effect"})))
    return Section("Quantitative analyses", "\n\n".join(_explained(card)), tuple(body), "below")


def _explained(card: Card) -> Iterator[str]:
    if card.spread:
        yield (
            f"How sure it is: the log-odds of half of the pairs have a standard deviation of at most "
            f"{decimal(card.spread['median'])}, which lets the odds be {odds(card.spread['median'])} too low or too "
            f"high; of nine in ten pairs at most {decimal(card.spread['p90'])} ({odds(card.spread['p90'])})."
        )
    else:
        yield "How sure it is of a score is not stated by this model."
    if card.terms:
        how = (
            "measured on customers of the fit"
            if card.measured_terms
            else "reckoned from the scorecard's tables, every bin alike, for the version that fitted it kept no more"
        )
        more = f" of {len(card.terms)}" if len(card.terms) > LISTED else ""
        yield (
            f"Effect: by how much a feature moves the log-odds away from the average customer's, mean of the absolute "
            f"values over customers and products ({how}). The first {min(LISTED, len(card.terms))}{more} are listed."
        )
    if any(term.shape is not None for term in card.terms):
        yield (
            "Shapes are drawn for the product that a feature moves most. Above the line a value speaks for an offer, "
            "below it against; ×1.5 multiplies the odds of acceptance by one and a half."
        )


def _ethics(card: Card) -> Section:
    mine = tuple(each for each in card.findings if each.area == "Ethical considerations")
    words = (
        "Whom a score may harm: a customer who is not offered what would help, or is offered what would not. Sensitive "
        "columns (bank.toml) are read for measuring fairness alone; no feature, rule or score sees them. Others can "
        "still stand in for them, which only a measurement shows: nextoffer fairness, and section Fairness of "
        "nextoffer validate."
    )
    return Section("Ethical considerations", words, (FindingList(mine),), "below")


def _caveats(card: Card) -> Section:
    meaning = "; ".join(f"{name}: {MEANING[name]}" for name in SEVERITIES)
    return Section(
        "Caveats and recommendations",
        f"What follows from the files alone, each by a stated rule ({meaning}).",
        (FindingList(card.findings),),
        "below",
    )
