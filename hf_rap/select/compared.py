"""What a comparison of methods found, and how it is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hf_rap.tables.notebook import brief, code, html_page, html_table

MANY = 8  # from here on a matrix has numbers over its columns


@dataclass(frozen=True)
class Compared:
    """One method: rows kept, and the means of their known scores; None where none is known.

    `mean_controls` has the mean cde against each control that there is evidence of, `mean_scores` the mean of each score that
    is not one of ours. `tokens` are those of the replies that the method reads, in all rows; None where they are not known.
    """

    method: str
    rows: int
    mean_difficulty: float | None
    mean_cde: float | None
    mean_controls: dict[str, float | None] = field(default_factory=dict)
    mean_scores: dict[str, float | None] = field(default_factory=dict)
    tokens: int | None = None


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare_methods` found.

    Attributes:
        rows: of the dataset.
        selections: one per method, in the order that was asked for.
        jaccard: rows in both selections by rows in either, for each pair; None where both are empty.
        lacking: of "all", the methods that these rows cannot be selected by, each with what it lacks.

    """

    rows: int
    selections: tuple[Compared, ...]
    jaccard: tuple[tuple[float | None, ...], ...]
    lacking: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    def _means(self) -> dict[str, list[float | None]]:
        """What is shown of each selection beside its size, by its title."""
        first = self.selections[0]
        return {
            "mean difficulty": [each.mean_difficulty for each in self.selections],
            "mean cde": [each.mean_cde for each in self.selections],
            **{f"cde:{name}": [each.mean_controls[name] for each in self.selections] for name in first.mean_controls},
            **{f"mean {name}": [each.mean_scores[name] for each in self.selections] for name in first.mean_scores},
        }

    def _tokens(self) -> list[str]:
        """What the replies behind each selection cost, where that is known of any."""
        if not any(each.tokens for each in self.selections):
            return []
        return ["unknown" if each.tokens is None else f"{each.tokens:,}" for each in self.selections]

    def __str__(self) -> str:
        names = [selection.method for selection in self.selections]
        width = max(10, *map(len, names))
        means, tokens = self._means(), self._tokens()
        widths = [16, *(max(9, len(head)) for head in list(means)[1:])]
        head_cells = "".join(f" {head:>{size}}" for head, size in zip(means, widths, strict=True))
        cost = max(len("tokens"), *map(len, tokens)) if tokens else 0
        head_cells += f" {'tokens':>{cost}}" if tokens else ""
        lines = [f"{self.rows:,} rows", "", f"{'method':<{width}} {'rows':>9}{head_cells}"]
        for place, selection in enumerate(self.selections):
            texts = ["unknown" if column[place] is None else f"{column[place]:.3f}" for column in means.values()]
            cells = "".join(f" {text:>{size}}" for text, size in zip(texts, widths, strict=True))
            cells += f" {tokens[place]:>{cost}}" if tokens else ""
            lines.append(f"{selection.method:<{width}} {selection.rows:>9,}{cells}")
        return "\n".join([*lines, "", *self._overlaps(names, width), *self._lacking_lines()])

    def _overlaps(self, names: list[str], width: int) -> list[str]:
        """The matrix of overlaps; of many methods under their numbers, for lack of room."""
        heads, rows, size = names, names, width
        if len(names) > MANY:
            heads = [str(number) for number in range(1, len(names) + 1)]
            rows, size = [f"{number:>2} {name}" for number, name in zip(heads, names, strict=True)], 5
            width += 3
        lines = [f"{'Jaccard':<{width}} " + " ".join(f"{head:>{size}}" for head in heads)]
        for name, row in zip(rows, self.jaccard, strict=True):
            cells = " ".join(f"{'-' if cell is None else f'{cell:.3f}':>{size}}" for cell in row)
            lines.append(f"{name:<{width}} {cells}")
        return lines

    def _lacking_lines(self) -> list[str]:
        return (
            ["", "not compared:", *(f"  {name}: {why}" for name, why in self.lacking.items())] if self.lacking else []
        )

    def __repr__(self) -> str:
        return brief(f"Comparison: {self}", "print(comparison)")

    def _repr_html_(self) -> str:
        means, tokens = self._means(), self._tokens()
        sizes = [
            (
                code(each.method),
                each.rows,
                *(_unknown(column[place]) for column in means.values()),
                *tokens[place : place + 1],
            )
            for place, each in enumerate(self.selections)
        ]
        names = [each.method for each in self.selections]
        overlaps = [
            (code(name), *("-" if cell is None else cell for cell in row))
            for name, row in zip(names, self.jaccard, strict=True)
        ]
        return html_page(
            f"Comparison: {len(names)} selections from {self.rows:,} rows",
            html_table(sizes, ("method", "rows", *means, *(["tokens"] if tokens else []))),
            html_table(overlaps, ("Jaccard", *names)),
            *(
                [html_table([(code(name), why) for name, why in self.lacking.items()], ("not compared", "why"))]
                if self.lacking
                else []
            ),
        )


def _unknown(mean: float | None) -> float | str:
    return "unknown" if mean is None else mean
