"""Two shares: score intervals for their difference, and the block e-value of Turner et al.

The score intervals (Miettinen and Nurminen 1985; Mee 1984) hold for a single look and were
compared with Newcombe's, which the engine reports. The e-value (Turner, Ly and Gruenwald 2024) is
the growth-rate optimal one for "all arms are equal" and was compared with the engine's.
"""

from __future__ import annotations

from math import acos, copysign, cos, log, log1p, pi, sqrt

from scipy.special import ndtri, xlog1py, xlogy

from tests.guards.reference.search import crossing


def constrained(e1: float, n1: float, e2: float, n2: float, gap: float) -> tuple[float, float]:
    """Return the likeliest shares p1, p2 with p1 - p2 = `gap` (the cubic of M. and N. 1985)."""
    n = n1 + n2
    a3, a2 = n, (n1 + 2 * n2) * gap - n - (e1 + e2)
    a1, a0 = (n2 * gap - n - 2 * e2) * gap + e1 + e2, e2 * gap * (1 - gap)
    q = a2**3 / (3 * a3) ** 3 - a1 * a2 / (6 * a3**2) + a0 / (2 * a3)
    r = copysign(sqrt(max(a2**2 / (3 * a3) ** 2 - a1 / (3 * a3), 0.0)), q)
    angle = (pi + acos(min(1.0, max(-1.0, q / r**3 if r else 1.0)))) / 3
    p2 = min(max(2 * r * cos(angle) - a2 / (3 * a3), 0.0, -gap), 1.0, 1 - gap)
    return p2 + gap, p2


def score_interval(
    e1: float, n1: float, e2: float, n2: float, level: float = 0.95, corrected: bool = True
) -> tuple[float, float]:
    """Return the differences that the score test does not reject.

    `corrected` takes the variance times N / (N - 1) (Miettinen and Nurminen), without it is Mee's.
    """
    z, n = float(ndtri((1 + level) / 2)), n1 + n2
    seen = e1 / n1 - e2 / n2

    def score(gap: float) -> float:
        p1, p2 = constrained(e1, n1, e2, n2, gap)
        variance = p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2
        return (seen - gap) / sqrt(variance * (n / (n - 1) if corrected else 1.0))

    return (
        crossing(lambda gap: score(gap) - z, -1 + 1e-9, seen),
        crossing(lambda gap: score(gap) + z, seen, 1 - 1e-9),
    )


def block_log_e_value(counts: tuple[int, int, int, int], shares: tuple[float, float]) -> float:
    """Return ln of Turner's e-value for (n_c, e_c, n_b, e_b) with plug-in shares of bad events.

    The likelihood of both arms at their own shares over that at the mean share of the block.
    """
    n_c, e_c, n_b, e_b = counts
    theta_c, theta_b = shares
    mean = (n_c * theta_c + n_b * theta_b) / (n_c + n_b)
    bad, good = e_c + e_b, n_c + n_b - e_c - e_b
    apart = (
        xlogy(e_c, theta_c)
        + xlog1py(n_c - e_c, -theta_c)
        + xlogy(e_b, theta_b)
        + xlog1py(n_b - e_b, -theta_b)
    )
    return float(apart - bad * log(mean) - good * log1p(-mean))
