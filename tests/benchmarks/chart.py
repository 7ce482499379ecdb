"""A line chart as SVG with axes, a legend, and light and dark colours.

It has its own background, because the theme of the page can differ from the one that the image uses.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 24, 46, 88
_LEGEND_ROW = 18
_SVG = "http://www.w3.org/2000/svg"
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .back { fill: #ffffff; stroke: #d0d7de }
  .grid { stroke: #d8dee4 }
  .line { fill: none; stroke-width: 2 }
  .s0 { stroke: #6e7781 } .s1 { stroke: #bc4c00 } .s2 { stroke: #0969da } .s3 { stroke: #8250df }
  .dot { fill: #ffffff; stroke-width: 2 }
  .dashed { stroke-dasharray: 7 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .back { fill: #0d1117; stroke: #30363d }
    .grid { stroke: #30363d }
    .s0 { stroke: #9da7b3 } .s1 { stroke: #f0883e } .s2 { stroke: #58a6ff } .s3 { stroke: #bc8cff }
    .dot { fill: #0d1117 }
  }
"""


@dataclass(frozen=True)
class Axis:
    """One axis: its title and its ticks, of which the first and last are ends."""

    title: str
    ticks: Sequence[float]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value on the axis, from 0 to 1."""
        scale: Callable[[float], float] = math.log10 if self.logarithmic else float
        first, last = scale(self.ticks[0]), scale(self.ticks[-1])
        return (scale(value) - first) / (last - first)


@dataclass(frozen=True)
class Series:
    """A line through points; with `dots` each point is shown."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False
    dots: bool = False


def line_chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Draw a chart."""
    parts = [
        f'<svg xmlns="{_SVG}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="back" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6"/>',
        _text(_LEFT, 28, title, kind="title"),
        *_grid(x, y),
        *(part for each in series for part in _svg_series(each, x, y)),
        *_legend(series),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - _BOTTOM - axis.place(value) * (HEIGHT - _TOP - _BOTTOM)


def _grid(x: Axis, y: Axis) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for tick in x.ticks:
        at = _x(x, tick)
        parts.append(f'<path class="grid" d="M{at:.1f} {_TOP}V{bottom}"/>')
        parts.append(_text(at, bottom + 18, f"{tick:,g}", anchor="middle"))
    for tick in y.ticks:
        at = _y(y, tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>')
        parts.append(_text(_LEFT - 8, at + 4, f"{tick:,g}", anchor="end"))
    parts.append(_text((_LEFT + right) / 2, bottom + 38, x.title, anchor="middle"))
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text x="18" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 18 {middle:.1f})">'
        f"{escape(y.title)}</text>"
    )
    return parts


def _svg_series(series: Series, x: Axis, y: Axis) -> list[str]:
    places = [(_x(x, one), _y(y, other)) for one, other in series.points]
    path = "L".join(f"{one:.1f} {other:.1f}" for one, other in places)
    parts = [f'<path class="{_classes(series)}" d="M{path}"/>']
    if series.dots:
        parts += [
            f'<circle class="dot s{series.colour}" cx="{one:.1f}" cy="{other:.1f}" r="4"/>'
            for one, other in places
        ]
    return parts


def _legend(series: Sequence[Series]) -> list[str]:
    """Draw the legend below the axis, two names in each row."""
    parts = []
    for place, each in enumerate(series):
        left = _LEFT + place % 2 * (WIDTH - _LEFT - _RIGHT) / 2
        at = HEIGHT - 30 + place // 2 * _LEGEND_ROW
        parts.append(f'<path class="{_classes(each)}" d="M{left:.1f} {at}h34"/>')
        parts.append(_text(left + 42, at + 4, each.name))
    return parts


def _classes(series: Series) -> str:
    return f"line s{series.colour}{' dashed' if series.dashed else ''}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
