"""What all benchmarks write: Markdown tables, aligned for the eye; JSON; the style of the plots."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from measuring import machine


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that benchmarks share."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="does it run? Figures mean little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    return parser


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table; the rows have the same keys, the headings. Numbers stand on the right."""
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        [text.rjust(width) if i else text.ljust(width) for i, (text, width) in
         enumerate(zip(row, widths, strict=True))]
        for row in cells
    ]  # fmt: skip
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def save(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write the figures, and what they were measured on, where --json says."""
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")


def publish(options: argparse.Namespace, figures: dict[str, Any], tables: Callable, draw: Callable):
    """Print the tables, and write figures and plot where --json and --plot say."""
    print(tables(figures))
    save(options, figures)
    if options.plot:
        draw(figures, options.plot)


def draw(path: Path, size: tuple[float, float], grid: tuple[int, int], plot: Callable) -> None:
    """A picture with a grid of axes, which `plot` is given as a list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    plot(list(figure.subplots(*grid, squeeze=False).flat))
    FigureCanvasAgg(figure).print_png(path)
