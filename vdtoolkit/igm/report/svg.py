"""A matplotlib Figure as SVG that stands inside a page and takes the page's ink."""

from __future__ import annotations

import io
import re
from html import escape

from matplotlib import rc_context
from matplotlib.figure import Figure

from vdtoolkit.igm.report.curves import LINE, OTHERS
from vdtoolkit.igm.report.heat import FAINT, INK

IN_THE_PAGE = {INK: "ink", FAINT: "faint", LINE: "accent", OTHERS: "quiet"}


def inline_svg(figure: Figure, label: str, prefix: str) -> str:
    """The figure as one <svg>: no background, its ink the page's, its ids its own."""
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "vdtoolkit"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for colour, variable in IN_THE_PAGE.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = _own_ids(svg, prefix)
    width, head = figure.get_figwidth(), svg.index(">")
    opening = re.sub(r' (width|height|xmlns:xlink|xmlns|version)="[^"]*"', "", svg[:head])
    opening += f' role="img" aria-label="{escape(label)}" style="width:{width:.2f}in"'
    return opening + ' xmlns:xlink="http://www.w3.org/1999/xlink"' + svg[head:]


def _own_ids(svg: str, prefix: str) -> str:
    """Ids that are referred to get a prefix, as pages hold many figures; the others go."""
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    names = {first or second for first, second in used}

    def rename(match: re.Match[str]) -> str:
        return f' id="{prefix}{match[1]}"' if match[1] in names else ""

    svg = re.sub(r' id="([^"]+)"', rename, svg)
    svg = re.sub(r'href="#', f'href="#{prefix}', svg)
    return svg.replace("url(#", f"url(#{prefix}")
