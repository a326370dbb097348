"""Lead lists: grouped by RM, sorted by value, safe to open."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from nextoffer.deliver.leads import write_leads
from tests.deliver.toys import export, material, offer, read_csv, settings

HOSTILE = '<script>alert("x")</script>'


def test_leads_are_grouped_by_rm_and_the_most_valuable_come_first(tmp_path: Path) -> None:
    offers = [
        offer("a", 1, rm="r2", expected_value=1.0),
        offer("b", 1, rm=None),
        offer("c", 1, rm="r1", expected_value=None, score=0.9),
        offer("d", 1, rm="r1", expected_value=3.0),
        offer("d", 2, "P2", rm="r1", expected_value=5.0),
        offer("e", 1, rm="r1", expected_value=None, score=0.95),
    ]
    written = export(tmp_path)
    told = write_leads(material(offers), written)
    rows = read_csv(tmp_path / "leads.csv")
    assert [(row["rm"], row["customer_id"], row["product_id"]) for row in rows] == [
        ("r1", "d", "P2"), ("r1", "d", "P1"), ("r1", "e", "P1"), ("r1", "c", "P1"), ("r2", "a", "P1"),
        ("no RM", "b", "P1"),
    ]  # fmt: skip
    assert told.offers == 6
    assert written.rows == {"leads.csv": 6, "leads/r1.csv": 4, "leads/r2.csv": 1, "leads/no_RM.csv": 1, "leads.html": 6}
    parts = [row for name in ("r1", "r2", "no_RM") for row in read_csv(tmp_path / "leads" / f"{name}.csv")]
    assert parts == rows


def test_rms_have_files_of_their_own_whatever_their_ids(tmp_path: Path) -> None:
    names = ["a/b", "a_b", "../../x", "a:b", "R1", "CON", "no RM?", "r1", "no RM"]
    written = export(tmp_path)
    write_leads(material([offer(f"c{k}", 1, rm=name) for k, name in enumerate(names)]), written)
    files = [name for name in written.rows if name.startswith("leads/")]
    assert len({name.lower() for name in files}) == len(names)
    assert all(path.resolve().is_relative_to(tmp_path) for path in map(written.path, files))
    rows = [row for name in files for row in read_csv(tmp_path / name)]
    assert sorted(row["customer_id"] for row in rows) == sorted(f"c{k}" for k in range(len(names)))
    assert {row["rm"] for name in files for row in read_csv(tmp_path / name)} == set(names)


def test_hostile_texts_are_neither_markup_nor_formulas(tmp_path: Path) -> None:
    hostile = offer(
        HOSTILE, 1, rm=HOSTILE, product_name=HOSTILE, customer_name="=1+1", reasons=[HOSTILE], channel=HOSTILE,
        product_type=HOSTILE,
    )  # fmt: skip
    write_leads(material([hostile], bank=HOSTILE, currency=HOSTILE), export(tmp_path))
    page = (tmp_path / "leads.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    (row,) = read_csv(tmp_path / "leads.csv")
    assert row["customer_name"] == "'=1+1"


class _Page(HTMLParser):
    """Sections, leads and outside references of a page; fails on tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.outside += [value for name, value in attrs if name in ("src", "href") and value and value[0] != "#"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_by_itself_and_breaks_between_rms(tmp_path: Path) -> None:
    write_leads(material([offer(f"c{k}", 1, rm=f"r{k % 2}") for k in range(4)]), export(tmp_path))
    text = (tmp_path / "leads.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.outside == []
    assert page.seen.count("section") == 2
    assert page.seen.count("h3") == 4
    assert "section + section { margin-top: 0; break-before: page; }" in text
    assert "@media screen and (max-width: 640px)" in text


def test_the_page_shows_the_first_leads_and_counts_the_others(tmp_path: Path) -> None:
    own = settings(tmp_path, "[leads]\npage_rows = 2\nchannels = ['phone']\n")
    offers = [
        *(offer(f"c{k}", 1, rm="r") for k in range(5)),
        offer("m", 1, channel="mail"),
        offer("n", 1, channel=None),
    ]
    told = write_leads(material(offers, settings=own), export(tmp_path))
    text = (tmp_path / "leads.html").read_text(encoding="utf-8")
    assert text.count('<li class="lead">') == 2
    assert "3 leads more in the CSV file." in text
    assert "Most valuable first." in text
    assert told.left_out == {"on other channels": 2}
    assert len(read_csv(tmp_path / "leads.csv")) == 5


def test_no_leads_at_all_is_a_header(tmp_path: Path) -> None:
    told = write_leads(material([]), export(tmp_path))
    assert told.offers == 0
    assert "Most likely first." in (tmp_path / "leads.html").read_text(encoding="utf-8")
    assert (tmp_path / "leads.csv").read_text(encoding="utf-8-sig").startswith("rm,customer_id,")
