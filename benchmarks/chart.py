"""A chart of one scenario: bars that read at a glance, in the light and in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.figures import figure
from benchmarks.result import OURS, Case, Contender, Result, median, ratio

_WIDTH, _NAMES, _BARS = 900, 250, 380
_ROW, _BAR, _THIN, _TITLE, _GAP = 34, 13, 5, 52, 18
_GROWING = "CPU ms"  # figures of that beginning are one row of bars
_STYLE = """
  svg { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; color: #1f2328; background: #ffffff; }
  .title { font-weight: 600; } .muted { fill: #59636e; } text { fill: currentColor; }
  .ours { fill: #0969da; } .theirs { fill: #9aa4af; } .cpu { opacity: .5; }
  .bound { stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 4 3; } .boundword { fill: #bc4c00; }
  .spread { stroke: #1f2328; stroke-width: 1.2; }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6edf3; background: #0d1117; } .muted { fill: #9198a1; }
    .ours { fill: #4493f8; } .theirs { fill: #656c76; } .spread { stroke: #e6edf3; }
    .bound { stroke: #f0883e; } .boundword { fill: #f0883e; }
  }
"""


def chart(result: Result) -> str:
    """An SVG: for each case its contenders, with wall time as thick bars and processor time as thin ones."""
    parts, top = [], _GAP
    for case in result.cases:
        measured = [contender for contender in case.contenders if contender.runs]
        growing = {name: value for name, value in case.facts.items() if name.startswith(_GROWING)}
        if len(measured) > 1 or case.lower_bound_s:
            parts += list(_case(case, measured, top=top))
            top += _TITLE + _ROW * len(measured) + _GAP
        elif growing:
            parts += list(_growth(case, growing, top=top))
            top += _TITLE + _ROW * len(growing) + _GAP
    words = "thick: wall time, with its range · thin: processor time · × of ours"
    legend = f'<text x="{_GAP}" y="{top}" class="muted">{words}</text>'
    height = top + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        f' role="img" aria-label="{escape(result.scenario)}">\n<style>{_STYLE}</style>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="none"/>\n' + "\n".join([*parts, legend]) + "\n</svg>\n"
    )


def _case(case: Case, measured: list[Contender], *, top: int) -> Iterator[str]:
    walls = [run.wall_s for entry in measured for run in entry.runs]
    cpus = [run.cpu_s for entry in measured for run in entry.runs]
    scale = _BARS / max(*walls, *cpus, case.lower_bound_s or 0)
    yield from _head(case, top=top)
    for number, item in enumerate(measured):
        yield from _bar(case, item, y=top + _TITLE + number * _ROW, scale=scale)
    if case.lower_bound_s:
        x, bottom = _NAMES + case.lower_bound_s * scale, top + _TITLE + _ROW * len(measured)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + _TITLE - 6}" y2="{bottom - 6}" class="bound"/>'
        yield f'<text x="{x + 4:.1f}" y="{top + _TITLE - 1}" class="boundword" font-size="11">lower bound</text>'


def _head(case: Case, *, top: int) -> Iterator[str]:
    yield f'<text x="{_GAP}" y="{top + 14}" class="title">{escape(case.name)}</text>'
    yield f'<text x="{_GAP}" y="{top + 31}" class="muted">{escape(_shortened(case.title))}</text>'


def _growth(case: Case, figures: dict[str, float], *, top: int) -> Iterator[str]:
    """Figures of ours that should not grow, below one another."""
    yield from _head(case, top=top)
    scale = _BARS / max(figures.values())
    for number, (name, value) in enumerate(figures.items()):
        y = top + _TITLE + number * _ROW
        words = name.removeprefix(_GROWING).strip().removeprefix("a pull").strip(" ,") or name
        yield f'<text x="{_NAMES - 10}" y="{y + 12}" text-anchor="end">{escape(words)}</text>'
        yield f'<rect x="{_NAMES}" y="{y}" width="{max(1, value * scale):.1f}" height="{_BAR}" rx="2" class="ours"/>'
        yield f'<text x="{_NAMES + value * scale + 8:.1f}" y="{y + 12}">{value:g} ms of CPU a pull</text>'


def _bar(case: Case, contender: Contender, *, y: int, scale: float) -> Iterator[str]:
    kind = "ours" if contender.name == OURS else "theirs"
    wall_s, cpu_s = median(contender, "wall_s") or 0, median(contender, "cpu_s") or 0
    walls = [run.wall_s for run in contender.runs]
    low, high, middle = _NAMES + min(walls) * scale, _NAMES + max(walls) * scale, y + _BAR / 2
    yield f'<text x="{_NAMES - 10}" y="{y + 14}" text-anchor="end">{escape(contender.name)}</text>'
    yield f'<rect x="{_NAMES}" y="{y}" width="{max(1, wall_s * scale):.1f}" height="{_BAR}" rx="2" class="{kind}"/>'
    yield f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" class="spread"/>'
    yield (
        f'<rect x="{_NAMES}" y="{y + _BAR + 2}" width="{max(1, cpu_s * scale):.1f}" height="{_THIN}" rx="1"'
        f' class="{kind} cpu"/>'
    )
    at = _NAMES + max(*walls, cpu_s) * scale + 8
    yield f'<text x="{at:.1f}" y="{y + 12}">{_label(case, contender, wall_s)}</text>'


def _label(case: Case, contender: Contender, wall_s: float) -> str:
    seconds = f"{figure(wall_s, 'wall_s')} s"
    against = ratio(case, contender.name, of="wall_s") if contender.name != OURS else None
    return seconds if against is None else f"{against.median:.2f} × · {seconds}"


def _shortened(words: str, most: int = 110) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
