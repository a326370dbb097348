"""``nextoffer card``: what a saved model is, what it is for, and what is known against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nextoffer.cli.options import AsJson


def card(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model saved by fit.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER", help="FILE.md, FILE.html, FILE.json, or a folder for all three.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the model card of a saved model, from its files alone.

    What it is and is for, what it learned from and looks at, how good it was on customers it was not fitted to, its
    strongest terms, its policy in words, and what follows from all that by stated rules. Without --out it is printed as
    Markdown.

    Example: nextoffer card model --out MODEL_CARD.md
    """
    from nextoffer.evaluate.card_page import card_page
    from nextoffer.evaluate.markdown import markdown
    from nextoffer.run.card import card_in, write_card

    found = card_in(model)
    written = write_card(found, out) if out is not None else ()
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, default=str))
    elif out is None:
        typer.echo(markdown(card_page(found)), nl=False)
    else:
        typer.echo("\n".join(map(str, written)))
