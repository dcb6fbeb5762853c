"""A small canvas: matplotlib's figure without axes, as an array."""

from __future__ import annotations

import numpy as np


class Canvas:
    """A picture of width x height inches whose coordinates run over xs and ys."""

    def __init__(
        self,
        width: float,
        height: float,
        xs: tuple[float, float],
        ys: tuple[float, float],
        title: str,
        *,
        frame: bool = False,
    ) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        self.axes = self._figure.subplots()
        self.axes.set_xlim(*xs)
        self.axes.set_ylim(*ys)
        self.axes.set_title(title, fontsize=10)
        if not frame:
            self.axes.set_axis_off()

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle with a thin edge, its lower left corner at (x, y)."""
        from matplotlib.patches import Rectangle

        self.axes.add_patch(
            Rectangle((x, y), width, height, facecolor=colour, edgecolor="black", linewidth=1)
        )

    def text(self, x: float, y: float, words: str, *, size: int = 9, colour: str = "black") -> None:
        """Words around (x, y)."""
        self.axes.text(x, y, words, ha="center", va="center", fontsize=size, color=colour)

    def pixels(self) -> np.ndarray:
        """The picture, uint8 [height, width, 3]."""
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()
