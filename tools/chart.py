"""Line charts as SVG, for docs/: a few numbers and their axes, no library.

In: named lines of points, titles. Out: the text of an SVG file, the same for the same numbers. Not for more than what a
page of docs needs: at most six lines, scales linear or logarithmic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

Point = tuple[float, float]

WIDTH: Final = 720
HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 50, 100
_COLOURS: Final = ("#0969da", "#cf222e", "#1a7f37", "#8250df", "#bf8700", "#57606a")
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


def line_chart(title: str, x_title: str, y_title: str, lines: Mapping[str, Sequence[Point]], *, log_x: bool) -> str:
    xs = sorted({x for line in lines.values() for x, _ in line})
    top = max((y for line in lines.values() for _, y in line), default=0.0)
    ticks = _ticks(top)
    across, up = _Across(xs, log_x), _Up(ticks[-1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#57606a">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 24, title, "start", 'font-size="15" fill="#1f2328"'),
        _text(_LEFT, 42, y_title, "start"),
        _text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - _BOTTOM + 40, x_title, "middle"),
    ]
    for tick in ticks:
        y = up.at(tick)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#d0d7de"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{tick:g}", "end"))
    parts += [_text(across.at(x), HEIGHT - _BOTTOM + 18, f"{x:g}", "middle") for x in xs]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number]
        points = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
        column, row = number % 2, number // 2
        x, y = _LEFT + column * 320, HEIGHT - 40 + row * 16
        parts.append(f'<rect x="{x}" y="{y - 9}" width="14" height="4" fill="{colour}"/>')
        parts.append(_text(x + 20, y - 3, name, "start"))
    return "\n".join([*parts, "</svg>\n"])


class _Across:
    def __init__(self, xs: Sequence[float], log: bool) -> None:
        self._log = log
        self._least, self._most = self._scaled(xs[0]), self._scaled(xs[-1])

    def at(self, x: float) -> float:
        span = self._most - self._least or 1.0
        return _LEFT + 20 + (WIDTH - _LEFT - _RIGHT - 40) * (self._scaled(x) - self._least) / span

    def _scaled(self, x: float) -> float:
        return log10(x) if self._log else x


class _Up:
    def __init__(self, most: float) -> None:
        self._most = most

    def at(self, y: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * y / self._most


def _ticks(top: float) -> list[float]:
    """From nought, some five of them, up to at least `top`."""
    if top <= 0:
        return [0.0, 1.0]
    rough = top / 5
    power = 10.0 ** floor(log10(rough))
    step = next(step * power for step in _STEPS if step * power >= rough)
    return [round(step * number, 12) for number in range(ceil(top / step) + 1)]


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
