"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table of plain cells; the columns at the positions ``right`` are aligned to the right.

    Example:
        >>> print(markdown(["model", "F1"], [["base | small", "0.91"]], right=[1]))
        | model | F1 |
        |---|---:|
        | base \\| small | 0.91 |
    """
    aligned = set(right)
    ruler = "|".join("---:" if i in aligned else "---" for i in range(len(headings)))
    heading, *lines = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in (headings, *rows))
    return "\n".join([f"| {heading} |", f"|{ruler}|", *(f"| {line} |" for line in lines)])


def table_markdown(table: Table) -> str:
    """A table of the terminal, with its title above it.

    Example:
        >>> table = Table("class", "average\\nprecision", title="test: 12 galaxies")
        >>> table.add_row("merger (1)", "0.310")
        >>> print(table_markdown(table))
        **test: 12 galaxies**
        <BLANKLINE>
        | class | average precision |
        |---|---|
        | merger (1) | 0.310 |
    """
    columns = [
        [str(cell).replace("\n", " ").strip() for cell in (column.header, *column.cells)] for column in table.columns
    ]
    headings, *rows = zip(*columns, strict=True)
    right = [i for i, column in enumerate(table.columns) if column.justify == "right"]
    title = f"**{table.title}**\n\n" if table.title else ""
    return title + markdown(headings, rows, right)
