"""What results look like in a notebook: at most 15 lines of text, and HTML of at most 300 KB in the colours of the page.

All that comes from data is bounded and escaped; styles stand at the elements, since several front ends drop style sheets.
"""

from __future__ import annotations

from base64 import b64encode
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from hf_rap.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL import Image

MOST_LINES = 15
MOST_BYTES = 300_000
MOST_ROWS = 30  # of a table
MOST_CHARS = 200  # of a text
PICTURE_SIDE = 128  # pixels along the longer side
_PICTURE_BYTES = 20_000
_BLOCK = 5_000  # characters of lines to copy
_QUALITIES = (75, 40, 15)

_LINE = "border-bottom:1px solid rgba(128,128,128,.35)"
_CELL = f"text-align:{{}};vertical-align:top;padding:.2em .7em;color:inherit;background:none;{_LINE}"
_TABLE = "border-collapse:collapse;border:0;margin:.4em 0 1em;color:inherit;background:none;font-size:inherit"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def brief(text: str, more: str) -> str:
    r"""The first 15 lines of a text; where it has others, the last of these says how many, and where they are.

    >>> lines = brief("\n".join(map(str, range(20))), "print(x)").splitlines()
    >>> len(lines), lines[-1]
    (15, '... 6 more lines: print(x)')
    """
    lines = text.split("\n")
    if len(lines) <= MOST_LINES:
        return text
    shown = lines[: MOST_LINES - 1]
    return "\n".join([*shown, f"... {len(lines) - len(shown)} more lines: {more}"])


def html_text(value: Any, most: int = MOST_CHARS) -> Html:
    r"""A value as it may stand in HTML: bounded, nothing in it that has a meaning there or turns letters round.

    >>> html_text("<b>\u202e"), html_text(1234), html_text(0.25), html_text(None)
    ('&lt;b&gt;\\u202e', '1,234', '0.25', '')
    """
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("")
    if isinstance(value, float):
        return Html(f"{value:.3g}")
    if isinstance(value, int) and not isinstance(value, bool):
        return Html(f"{value:,}")
    text = str(value)
    shown = printable(text[:most]) + ("..." if len(text) > most else "")
    return Html(escape(shown).replace("\n", "<br>"))


def code(value: Any, most: int = MOST_CHARS) -> Html:
    """A name."""
    return Html(f'<code style="color:inherit;background:none">{html_text(value, most)}</code>')


def html_block(text: str) -> Html:
    """Lines to copy, as they are."""
    style = f"background:none;color:inherit;border:0;{_LINE};padding:.3em .7em;white-space:pre-wrap"
    return Html(f'<pre style="{style}">{escape(printable(text[:_BLOCK]))}</pre>')


def bar(share: float) -> Html:
    """A share in [0, 1] as a bar, in the colour of the text."""
    width = f"{6 * min(max(share, 0.0), 1.0):.2f}em"
    return Html(f'<div style="width:{width};height:.7em;margin-top:.3em;background:currentColor;opacity:.35"></div>')


def picture(image: Image.Image) -> Html:
    """A small copy of a picture, inside the page; what still would be large is drawn coarsely."""
    small = image.convert("RGB")
    small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    content = b""
    for quality in _QUALITIES:
        file = BytesIO()
        small.save(file, "JPEG", quality=quality)
        content = file.getvalue()
        if len(content) <= _PICTURE_BYTES:
            break
    return Html(
        f'<img alt="" width="{small.width}" height="{small.height}" style="max-width:none" '
        f'src="data:image/jpeg;base64,{b64encode(content).decode()}">'
    )


def html_table(rows: Iterable[Sequence[Any]], head: Sequence[str] = ()) -> Html:
    """Numbers to the right, texts from where they begin; of more than 30 rows the first, and how many others there are."""
    rows = list(rows)
    lines = []
    if head:
        cells = (f'<th scope="col" style="{_CELL.format("left")}">{html_text(name)}</th>' for name in head)
        lines.append(f'<tr style="background:none">{"".join(cells)}</tr>')
    lines += (f'<tr style="background:none">{"".join(map(_cell, row))}</tr>' for row in rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        lines.append(f'<tr style="background:none">{_cell(f"and {len(rows) - MOST_ROWS:,} more")}</tr>')
    return Html(f'<table style="{_TABLE}"><tbody>{"".join(lines)}</tbody></table>')


def _cell(value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f'<td dir="auto" style="{_CELL.format("right" if is_number else "start")}">{html_text(value)}</td>'


def html_page(title: str, *parts: Any) -> str:
    """A title and tables or sentences below it; what would go beyond 300 KB is left out, and that is said."""
    pieces = [f'<div style="color:inherit;overflow-x:auto"><p><strong>{html_text(title)}</strong></p>']
    room = MOST_BYTES - len(pieces[0]) - 200
    for part in parts:
        piece = part if isinstance(part, Html) else f'<p dir="auto">{html_text(part, 500)}</p>'
        if len(piece.encode()) > room:
            pieces.append("<p>More would not fit here.</p>")
            break
        room -= len(piece.encode())
        pieces.append(piece)
    return "".join([*pieces, "</div>"])
