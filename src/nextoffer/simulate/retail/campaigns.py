"""Eight campaigns of the retail bank, with a control arm, and what came of them.

They keep to consent, income and what is held. Each draws customers at random, draws one product for each with a known
probability (`pscore`), and holds some customers back as ``control``: their row names the offer that was *not* made, and
its label says whether they took the product up all the same. All that is taken up, offered or not, becomes a holding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from nextoffer.keyed import uniform
from nextoffer.simulate.draws import Flags, Floats, Whole, category, named, whole
from nextoffer.simulate.retail import catalogue
from nextoffer.simulate.retail.books import Books, eligible
from nextoffer.simulate.retail.consents import may_contact, open_channels
from nextoffer.simulate.retail.spending import dates
from nextoffer.simulate.retail.wishes import Wishes, attraction
from nextoffer.simulate.retail.world import CHANNELS, SEGMENTS, Customers, World

CAMPAIGNS = 8
EVERY = 14  # days between campaigns, and days in which an answer counts
FIRST = 112  # days before today
ASKED = 0.5
HELD_BACK = 0.15
FATIGUE = 0.75  # each offer that is remembered leaves this share of the effect
REMEMBERED = 0.6  # of an offer, one campaign later
OTHER_CHANNEL = 0.2  # share of offers that go over another channel than the preferred one
OTHER_EFFECT = 0.75  # and what that leaves of the effect
SAYS_NO = 0.2  # share of those who do not take an offer up who say so; the others leave it unanswered


@dataclass(frozen=True)
class Draw:
    """Whom one campaign draws, among n customers.

    Attributes
    ----------
    days_back
        Days before today on which its offers go out.
    asked, control
        bool (n,): drawn for the campaign; held back, if drawn.
    product, channel
        int64 (n,): what is offered, over which channel.
    pscore
        float64 (n,): probability with which that product was drawn for this customer.
    """

    days_back: int
    asked: Flags
    control: Flags
    product: Whole
    channel: Whole
    pscore: Floats

    @property
    def contacted(self) -> Flags:
        """Bool (n,): really received the offer."""
        return self.asked & ~self.control


@dataclass(frozen=True)
class Played:
    """One campaign and what came of it.

    Attributes
    ----------
    draw
        Whom it drew.
    taken, rejected
        bool (n,): the drawn product was taken up; the customer said no to the offer.
    delay
        int64 (n,): after how many days.
    """

    draw: Draw
    taken: Flags
    rejected: Flags
    delay: Whole


@dataclass
class Season:
    """The campaigns among n customers, played one after the other.

    Attributes
    ----------
    books
        Holdings so far.
    offers
        float64 (n, 1): offers received and not yet forgotten.
    """

    world: World
    people: Customers
    truth: Wishes
    books: Books
    offers: Floats

    def play(self) -> Iterator[Played]:
        """Yield each campaign; holdings and offers grow as it goes."""
        rows = np.arange(len(self.people.ids))
        for k in range(CAMPAIGNS):
            draw = self._draw(k)
            taken, delay = self._answers(k, draw)
            self.books = self.books.with_new(taken, draw.days_back - delay)
            self.offers = REMEMBERED * (self.offers + draw.contacted[:, None])
            yield self._played(k, draw, taken[rows, draw.product], delay[rows, draw.product])

    @cached_property
    def _habits(self) -> Floats:
        return habits(self.people)

    def _played(self, k: int, draw: Draw, taken: Flags, delay: Whole) -> Played:
        says_no = uniform(self.world.seed, f"campaign {k} says no", self.people.ids) < SAYS_NO
        return Played(draw, taken, draw.contacted & ~taken & says_no, delay)

    def _draw(self, k: int) -> Draw:
        s, people, days_back = self.world.seed, self.people, FIRST - EVERY * k
        weights = eligible(people, self.books) * self._habits
        total = weights.sum(axis=1)
        nothing = total == 0
        product = category(s, f"campaign {k} product", people.ids, np.where(nothing[:, None], 1.0, weights))
        usual = uniform(s, f"campaign {k} usual", people.ids) >= OTHER_CHANNEL
        other = people.channel + whole(s, f"campaign {k} channel", people.ids, low=1, high=len(CHANNELS) - 1)
        drawn = ~nothing & (uniform(s, f"campaign {k} asked", people.ids) < ASKED)
        return Draw(
            days_back=days_back,
            asked=drawn & may_contact(self.world, people, days_back),
            control=uniform(s, f"campaign {k} control", people.ids) < HELD_BACK,
            product=product,
            channel=self._reached(np.where(usual, people.channel, other % len(CHANNELS)), days_back),
            pscore=weights[np.arange(len(product)), product] / np.where(nothing, 1.0, total),
        )

    def _reached(self, wanted: Whole, days_back: int) -> Whole:
        """Return int64 (n,): the channel wanted, or the next one that the customer has not refused."""
        tried = (wanted[:, None] + np.arange(len(CHANNELS))) % len(CHANNELS)
        may = np.take_along_axis(open_channels(self.world, self.people, days_back), tried, axis=1)
        return np.asarray(tried[np.arange(len(tried)), may.argmax(axis=1)])

    def _answers(self, k: int, draw: Draw) -> tuple[Flags, Whole]:
        """What is taken up in a campaign's two weeks, bool (n, 24), and after how many days, int64 (n, 24)."""
        s, ids, products = self.world.seed, self.people.ids, catalogue.indices()
        offered = draw.contacted[:, None] & (draw.product[:, None] == products)
        usual = (draw.channel == self.people.channel)[:, None]
        strength = np.where(usual, 1.0, OTHER_EFFECT) * FATIGUE**self.offers
        chance = np.where(offered, self.truth.treated(strength), self.truth.control)
        takes = uniform(s, f"campaign {k} answer", ids, products) < chance * eligible(self.people, self.books)
        delay = (uniform(s, f"campaign {k} delay", ids, products) ** 1.5 * EVERY).astype(np.int64)
        return catalogue.highest_tier(takes), delay


def habits(people: Customers) -> Floats:
    """Return float64 (n, 24): how gladly the bank offers: what earns most, and what it thinks people like."""
    liked = 0.35 * attraction(people).clip(-2, 2) + 0.4 * (people.segment[:, None] == catalogue.made_for(SEGMENTS))
    return np.asarray(np.exp(liked + 0.2 * np.log(catalogue.numbers("margin") / 100.0)))


def responses_table(ids: pa.Array, season: Sequence[Played]) -> tuple[pa.Table, Whole]:
    """Return the offers made and held back, and the row of the customer of each; `ids` are the ids as text."""
    owners = [np.flatnonzero(played.draw.asked) for played in season]
    parts = [_rows(ids, k, played, rows) for k, (played, rows) in enumerate(zip(season, owners, strict=True))]
    return pa.concat_tables(parts), np.concatenate(owners)


def _rows(ids: pa.Array, k: int, played: Played, rows: Whole) -> pa.Table:
    draw, taken = played.draw, played.taken[rows]
    silent = ~(taken | played.rejected[rows])
    answered = dates(draw.days_back - played.delay[rows]).to_numpy(zero_copy_only=False)
    return pa.table(
        {
            "campaign_ix": np.full(len(rows), k),
            "offered_on": dates(np.full(len(rows), draw.days_back)),
            "customer_id": ids.take(pa.array(rows)),
            "product_id": named(draw.product[rows], catalogue.texts("product_id")),
            "label": taken.astype(np.int64),
            "channel": named(draw.channel[rows], CHANNELS),
            "arm": named(draw.control[rows].astype(np.int64), ("treatment", "control")),
            "pscore": draw.pscore[rows],
            "responded_on": pa.array(answered, mask=silent),
        }
    )
