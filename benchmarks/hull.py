"""The convex hull of recorded points in the plane, and what lies within it."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def convex_hull(points: Sequence[Point]) -> list[Point]:
    """The corners of the smallest convex polygon around the points, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def half(sequence: Sequence[Point]) -> list[Point]:
        chain: list[Point] = []
        for x, y in sequence:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 1e-12:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return half(ordered) + half(ordered[::-1])


def inside(point: Point, hull: Sequence[Point]) -> bool:
    """Whether a point lies in a convex polygon whose corners go round counter-clockwise, its edge included.

    A hull of two corners is a line, of one a point.
    """
    x, y = point
    edges = list(zip(hull, [*hull[1:], hull[0]], strict=True))
    if len(hull) < 3:
        (ax, ay), (bx, by) = edges[0]
        return (
            abs((bx - ax) * (y - ay) - (by - ay) * (x - ax)) < 1e-9
            and min(ax, bx) - 1e-9 <= x <= max(ax, bx) + 1e-9
            and min(ay, by) - 1e-9 <= y <= max(ay, by) + 1e-9
        )
    return all((bx - ax) * (y - ay) - (by - ay) * (x - ax) >= -1e-9 for (ax, ay), (bx, by) in edges)
