"""A record as text: one line a row, under the names of its values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from vmem.cli.measure.record import Outcome, Plain, Record, Row

NAME_WIDTH = 44
"""Columns of a row's name; longer names push the values to the right."""


def table(record: Record) -> str:
    """The whole record, ready to print."""
    return "\n".join(_lines(record))


def _lines(record: Record) -> Iterator[str]:
    for title, values in (("hardware", record.hardware), ("versions", record.versions)):
        known = (f"{name} {_cell(value)}" for name, value in values.items() if value is not None)
        yield f"{title}: {', '.join(known)}"
    for outcome in record.outcomes:
        yield ""
        yield heading(outcome)
        # Neighbours with the same quantities share one line of names.
        for names, group in groupby(outcome.rows, key=lambda row: tuple(row.values)):
            rows = list(group)
            yield from _error_lines(rows) if names == ("error",) else _block(names, rows)


def heading(outcome: Outcome) -> str:
    """One line: the section, how it ended, after how long, and why."""
    note = f": {outcome.note}" if outcome.note else ""
    count = f", {len(outcome.rows)} rows" if outcome.rows else ""
    return f"{outcome.section}: {outcome.state} after {outcome.seconds:.0f} s{count}{note}"


def _error_lines(rows: Iterable[Row]) -> Iterator[str]:
    return (f"  {row.name:{NAME_WIDTH}} {row.values['error']}" for row in rows)


def _block(names: tuple[str, ...], rows: list[Row]) -> Iterator[str]:
    cells = [[_cell(row.values[name]) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for name, line in (("", names), *zip((row.name for row in rows), cells, strict=True)):
        parts = "  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True))
        yield f"  {name:{NAME_WIDTH}} {parts}".rstrip()


def _cell(value: Plain) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e3 else f"{value:.0f}"
    return str(value)
