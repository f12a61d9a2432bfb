"""The house as it is: a picture drawn from the imports of the code."""

from __future__ import annotations

import html
from functools import cache
from itertools import pairwise
from typing import Any

import grimp
import tomllib

from docs.pages.markdown import code, table
from pixtrack.configs.paths import PACKAGE_ROOT

WIDTH, ROW, BOX = 960, 74, 34


@cache
def layers() -> tuple[tuple[str, ...], ...]:
    """The layers that `make lint` keeps, the topmost first."""
    project = tomllib.loads((PACKAGE_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one["id"] == "layers")
    rows = (str(row).replace(":", "|").split("|") for row in contract["layers"])
    return tuple(tuple(name.strip().strip("()") for name in row) for row in rows)


@cache
def imports() -> dict[tuple[str, str], int]:
    """(importer, imported) to the number of import lines, among the boxes of the picture."""
    graph: Any = grimp.build_graph("pixtrack", cache_dir=None)
    boxes = [name for row in layers() for name in row]
    owner = {
        module: max((b for b in boxes if f"{module}.".startswith(f"{b}.")), key=len, default="")
        for module in graph.modules
    }
    found: dict[tuple[str, str], int] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = owner[module], owner[imported]
            if all(pair) and pair[0] != pair[1]:
                found[pair] = found.get(pair, 0) + 1
    return found


def arrows() -> list[tuple[str, str]]:
    """The imports without those that others imply: a path of two or more says the same."""
    edges = set(imports())
    reach: dict[str, set[str]] = {}

    def reached(box: str) -> set[str]:
        if box not in reach:
            reach[box] = set()
            for importer, imported in edges:
                if importer == box:
                    reach[box] |= {imported} | reached(imported)
        return reach[box]

    return sorted(
        (a, b)
        for a, b in edges
        if not any(b in reached(middle) for x, middle in edges if x == a and middle != b)
    )


def picture() -> str:
    """The layers as an SVG: an arrow is an import that no other implies."""
    place: dict[str, tuple[float, float]] = {}
    parts: list[str] = []
    for number, row in enumerate(layers()):
        for column, name in enumerate(row):
            place[name] = (WIDTH * (column + 0.5) / len(row), ROW * (number + 0.5))
    for importer, imported in arrows():
        (x1, y1), (x2, y2) = place[importer], place[imported]
        parts.append(
            f'<line x1="{x1:.0f}" y1="{y1 + BOX / 2:.0f}" x2="{x2:.0f}" y2="{y2 - BOX / 2 - 4:.0f}"'
            ' stroke="#8a94a6" stroke-width="1.3" marker-end="url(#head)"/>'
        )
    for name, (x, y) in place.items():
        label = html.escape(name.removeprefix("pixtrack.").removeprefix("tasks."))
        wide = min(8.2 * len(label) + 18, WIDTH / max(len(r) for r in layers() if name in r) - 6)
        size = min(13.0, (wide - 8) / (0.6 * len(label)))
        parts.append(
            f'<rect x="{x - wide / 2:.0f}" y="{y - BOX / 2:.0f}" width="{wide:.0f}" height="{BOX}"'
            ' rx="6" fill="#eef2ff" stroke="#4257b2"/>'
            f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" font-size="{size:.1f}"'
            f' fill="#1c2540" font-family="sans-serif">{label}</text>'
        )
    height = ROW * len(layers())
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#8a94a6"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>Which part of pixtrack imports which</title>{head}"
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def page() -> str:
    """The picture, and the numbers behind it."""
    order = {name: number for number, row in enumerate(layers()) for name in row}
    rows = [
        (code(a.removeprefix("pixtrack.")), code(b.removeprefix("pixtrack.")), str(times))
        for (a, b), times in sorted(imports().items(), key=lambda one: (order[one[0][0]], one[0]))
    ]
    below = sum(order[a] < order[b] for a, b in imports())
    gaps = sum(1 for upper, lower in pairwise(layers()) if upper and lower)
    return (
        "# What imports what\n\nDrawn from the imports of the code when this page was built. An arrow"
        " that others imply is left out. [Architecture](../architecture.md) says what the parts do.\n\n"
        "![Which part of pixtrack imports which](imports.svg)\n\n"
        f"{below} of {len(imports())} pairs point down through {gaps + 1} layers;"
        " `make lint` fails where one points up.\n\n"
        + table(("imports", "is imported", "import lines"), rows)
    )
