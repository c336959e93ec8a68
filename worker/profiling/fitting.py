"""Costs from measured points: least squares of relative errors, no parameter below zero.

A step of 3 ms that is predicted 30 % wrong is as bad as one of 3 s, so a row counts by 1 / seconds.
Rows that the machine held up count less (Huber's weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ...scheduler.costs.encode import EncodeCost, PreprocessCost
from ...scheduler.costs.profile import BatchWork, Component, Cost, PictureWork, Point
from ...scheduler.costs.text import TextCost, TextWork

OVERLAPS = (1.0, 2.0, 4.0, 16.0)  # p; 16 is a roofline
CROSSINGS = tuple(2.0 ** (quarter / 4) for quarter in range(41))  # rows: 1 to 1,024
USUAL = 0.05  # a relative error from which a point counts less
REWEIGHTED = 8  # times
NEGLIGIBLE = 1e-3  # of a time: what grows with the work where nothing was seen to grow

Numbers = NDArray[np.float64]


class Unfit(ValueError):
    """The points do not say what the cost is; one sentence."""


def fit(component: Component, points: Sequence[Point]) -> Cost:
    """To the points that are not held out; raises Unfit."""
    seen = [point for point in points if not point.held_out]
    if not seen:
        raise Unfit("expected points to fit, got none")
    seconds = np.array([point.seconds for point in seen])
    match component:
        case Component.PREPROCESS:
            pixels = [one.work.pixels for one in seen if isinstance(one.work, PictureWork)]
            return PreprocessCost(*_line(pixels, seconds))
        case Component.ENCODE:
            tokens = [one.work.image_tokens for one in seen if isinstance(one.work, BatchWork)]
            return EncodeCost(*_line(tokens, seconds))
        case Component.TEXT:
            works = [one.work for one in seen if isinstance(one.work, TextWork)]
            return fit_text(works, seconds)


def fit_text(works: Sequence[TextWork], seconds: Numbers) -> TextCost:
    """`products`, the weights and the rows, is linear once p and the number of rows at which both
    take equally long are known: those are tried, the rest is solved for."""
    counts = np.array([[w.pairs, w.decode_context, w.decodes, w.rows] for w in works], float)
    tried = [(1.0, 0.0), *((p, crossing) for p in OVERLAPS[1:] for crossing in CROSSINGS)]
    even = np.ones_like(seconds)
    fits = [(_solve(_text_columns(counts, *one), seconds, even)[1], *one) for one in tried]
    _, overlap, crossing = min(fits)
    found = least_relative(_text_columns(counts, overlap, crossing), seconds)
    row_s, fixed_s, pair_s, context_s, decode_s = found
    return TextCost(fixed_s, crossing * row_s, row_s, pair_s, context_s, overlap, decode_s)


def least_relative(columns: Numbers, seconds: Numbers) -> list[float]:
    """Parameters, none below zero and the first one above, whose sum over columns [points,
    parameters] is nearest to `seconds`."""
    weights = np.ones_like(seconds)
    for _ in range(REWEIGHTED):
        found, _ = _solve(columns, seconds, weights)
        errors = np.abs(columns @ found / seconds - 1)
        weights = np.minimum(1.0, USUAL / np.maximum(errors, 1e-12))
    least = NEGLIGIBLE * float(np.min(seconds / columns[:, 0]))  # rates are divided by it
    return [max(float(found[0]), least), *(float(value) for value in found[1:])]


def _line(amounts: Sequence[int], seconds: Numbers) -> tuple[float, float]:
    slope, fixed = least_relative(np.stack([amounts, np.ones_like(seconds)], axis=1), seconds)
    return fixed, slope


def _text_columns(counts: Numbers, overlap: float, crossing: float) -> Numbers:
    pairs, context, decodes, rows = counts.T
    products = (crossing**overlap + rows**overlap) ** (1 / overlap)
    return np.stack([products, np.ones_like(rows), pairs, context, decodes], axis=1)


def _solve(columns: Numbers, seconds: Numbers, weights: Numbers) -> tuple[Numbers, float]:
    """Non-negative least squares by trying every set of columns: there are five at most, so 31
    sets. The parameters, and the sum of squares."""
    rows = np.sqrt(weights) / seconds
    scaled, target = columns * rows[:, None], np.sqrt(weights)
    sizes = np.maximum(np.linalg.norm(scaled, axis=0), 1e-300)  # so that lstsq drops none as small
    best, least = np.zeros(columns.shape[1]), float(target @ target)
    every = range(columns.shape[1])
    for count in range(1, len(every) + 1):
        for chosen in combinations(every, count):
            taken = [*chosen]
            part = scaled[:, taken] / sizes[taken]
            found = np.linalg.lstsq(part, target, rcond=None)[0]
            off = float(np.sum((part @ found - target) ** 2))
            if off < least and np.all(found >= 0):
                best, least = np.zeros(columns.shape[1]), off
                best[taken] = found / sizes[taken]
    return best, least
