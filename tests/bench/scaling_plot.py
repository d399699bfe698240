"""Draws how seconds grow with a size, as SVG: panels with logarithmic axes, a line for each stage. The look is that of the
plots of `dmstore report` (tools/svg_plot.c): frames of 360 x 240 units, colours from the palette of Okabe and Ito.
"""
import math
import statistics
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 262, 40, 200  # of the frame in a panel; names of lines are right of it
LABEL_HEIGHT = 13
COLUMN_CT = 2
CAPTION_HEIGHT = 34

COLOURS = {"ingest": "#009e73", "gram": "#cc79a7", "fit": "#0072b2", "fit, gram": "#0072b2", "fit, saga": "#56b4e9",
           "eval": "#d55e00"}
STYLE = ("text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:11px;fill:#5c5c5c;"
         "font-variant-numeric:tabular-nums}tspan{font-size:9px}text.x{text-anchor:middle}text.y{text-anchor:end}text.label{fill:#1b1b1b}"
         ".grid{stroke:#ececea}.axis{stroke:#8a8a86}.line{fill:none;stroke-width:2;stroke-linejoin:round}")


class Axis:
    """A logarithmic axis around positive values, from `begin` to `end` of the drawing."""

    def __init__(self, values, begin, end):
        low, high = min(values), max(values)
        room = max((high / low) ** 0.06, 1.08)
        self.low, self.high, self.begin, self.end = low / room, high * room, begin, end

    def at(self, value):
        return self.begin + (self.end - self.begin) * math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self):
        """Powers of ten; where there are few of them, 2 and 5 times these, too."""
        decades = math.log10(self.high / self.low)
        stride = math.ceil(decades / 6)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [factor * 10.0 ** power for power in powers if decades < 2 or power % stride == 0
                  for factor in ((1, 2, 5) if decades < 2 else (1,))]
        return [value for value in values if self.low <= value <= self.high]


def exponent(points):
    """The power that fits best: the slope of logarithms by least squares."""
    xs, ys = ([math.log(value) for value in values] for values in zip(*points))
    x_mean, y_mean = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys)) / sum((x - x_mean) ** 2 for x in xs)


def signed(value):
    return f"{value:.1f}".replace("-0.0", "0.0").replace("-", "\u2212")


def draw_ticks(x_axis, y_axis, xs):
    """Every measured x, and round values of y."""
    for value in xs:
        at = x_axis.at(value)
        yield f'<path class="grid" d="M{at:.1f} {TOP}V{BOTTOM}"/><text class="x" x="{at:.1f}" y="{BOTTOM + 16}">{value:,}</text>'
    for value in y_axis.ticks():
        at = y_axis.at(value)
        yield (f'<path class="grid" d="M{LEFT} {at:.1f}H{RIGHT}"/><text class="y" x="{LEFT - 6}" y="{at + 4:.1f}">'
               f"{value:,.12g}</text>")
    yield f'<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>'


def draw_names(y_axis, lines, symbol):
    """The name of each line where it ends, and how it grows; moved apart where they would touch."""
    lowest = TOP - LABEL_HEIGHT
    for stage, points in sorted(lines.items(), key=lambda line: -line[1][-1][1]):
        lowest = max(y_axis.at(points[-1][1]) + 4, lowest + LABEL_HEIGHT)
        growth = (f': {symbol}<tspan dy="-4">{signed(exponent(points))}</tspan>' if len(points) > 1 else "")
        yield f'<text x="{RIGHT + 8}" y="{lowest:.1f}" style="fill:{COLOURS[stage]}">{stage}{growth}</text>'


def draw_panel(axis, lines, symbol, unit):
    """axis: what x is, in words. lines: {stage: [(x, y)] by x}."""
    xs = sorted({x for points in lines.values() for x, _ in points})
    x_axis = Axis(xs, LEFT, RIGHT)
    y_axis = Axis([y for points in lines.values() for _, y in points], BOTTOM, TOP)
    yield f'<text class="label" x="4" y="{TOP - 22}">{unit}</text>'
    yield f'<text class="x label" x="{(LEFT + RIGHT) // 2}" y="{HEIGHT - 6}">{escape(axis)}</text>'
    yield from draw_ticks(x_axis, y_axis, xs)
    for stage, points in lines.items():
        path = "L".join(f"{x_axis.at(x):.1f} {y_axis.at(y):.1f}" for x, y in points)
        yield f'<path class="line" stroke="{COLOURS[stage]}" d="M{path}"/>'
        for x, y in points:
            yield (f'<circle cx="{x_axis.at(x):.1f}" cy="{y_axis.at(y):.1f}" r="3" fill="{COLOURS[stage]}">'
                   f"<title>{stage}, {x:,}: {y:.4g} s</title></circle>")
    yield from draw_names(y_axis, lines, symbol)


def draw(panels, unit, caption):
    """panels: [(words for x, symbol, lines)]; unit: of all y, in words. Returns the text of an SVG file."""
    row_ct = math.ceil(len(panels) / COLUMN_CT)
    width, height = COLUMN_CT * WIDTH, row_ct * HEIGHT + CAPTION_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>Time of each stage against the size</title><desc>{escape(' '.join(caption))}</desc>",
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for at, (axis, symbol, lines) in enumerate(panels):
        parts.append(f'<g transform="translate({at % COLUMN_CT * WIDTH} {at // COLUMN_CT * HEIGHT})">')
        parts.extend(draw_panel(axis, lines, symbol, unit))
        parts.append("</g>")
    for at, line in enumerate(caption):
        parts.append(f'<text x="4" y="{height - CAPTION_HEIGHT + 12 + 14 * at}">{escape(line)}</text>')
    return "\n".join([*parts, "</svg>", ""])
