"""Mixture boundaries of Howard, Ramdas, McAuliffe and Sekhon (2021), Annals of Statistics 49(2).

Each mixture gives ln m(s, v): the logarithm of a nonnegative supermartingale that starts at 1,
for a sum s whose variance process is v. Its boundary at level alpha is the smallest s at which
ln m reaches ln(1/alpha). Propositions are numbered as in the article. The engine uses the normal
and the beta-binomial mixture; the gamma ones were compared and are here for their vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Protocol

from scipy.special import betainc, betaln, gammainc, gammaincc, gammaln, log_ndtr

from tests.guards.reference.search import crossing


class Mixture(Protocol):
    """A mixture of exponential supermartingales."""

    def log_value(self, s: float, v: float) -> float:
        """Return ln m(s, v)."""


def scale_at(v_opt: float, alpha: float) -> float:
    """Return rho, which makes the two-sided normal boundary lowest at `v_opt` (section 3.5).

    The approximation by the lower branch of Lambert's W that the authors' software uses.
    One-sided boundaries take 2 alpha.
    """
    nats = 2 * log(1 / alpha)
    return v_opt / (nats + log(1 + nats))


@dataclass(frozen=True)
class TwoSidedNormal:
    """Proposition 4: a centred normal density over the whole line."""

    rho: float

    def log_value(self, s: float, v: float) -> float:
        """Return ln m(s, v)."""
        return 0.5 * log(self.rho / (v + self.rho)) + s * s / (2 * (v + self.rho))


@dataclass(frozen=True)
class OneSidedNormal:
    """Proposition 5: a half-normal density over the positive half."""

    rho: float

    def log_value(self, s: float, v: float) -> float:
        """Return ln m(s, v)."""
        both = v + self.rho
        return 0.5 * log(4 * self.rho / both) + s * s / (2 * both) + float(log_ndtr(s / sqrt(both)))


@dataclass(frozen=True)
class BetaBinomial:
    """Propositions 6 and 7: for increments in [-g, h], a Beta density over the mean of success.

    With a count x of n events at the share p: g = p, h = 1 - p, s = x - n p, v = n p (1 - p).
    One-sided, only shares above p are mixed over.
    """

    rho: float
    g: float
    h: float
    one_sided: bool

    def log_value(self, s: float, v: float) -> float:
        """Return ln m(s, v)."""
        g, h, both = self.g, self.h, self.g + self.h
        r = max(self.rho - g * h, 1e-3 * g * h)
        misses, hits = (v - g * s) / (g * both), (v + h * s) / (h * both)
        likelihood = v / (g * h) * log(both) - hits * log(g) - misses * log(h)
        prior_misses, prior_hits = r / (g * both), r / (h * both)
        mixed = self._integral(prior_misses + misses, prior_hits + hits)
        return likelihood + mixed - self._integral(prior_misses, prior_hits)

    def _integral(self, a: float, b: float) -> float:
        whole = float(betaln(a, b))
        if not self.one_sided:
            return whole
        part = float(betainc(a, b, self.h / (self.g + self.h)))
        return whole + log(part) if part > 0 else -inf


@dataclass(frozen=True)
class GammaExponential:
    """Proposition 8: for sub-exponential sums of scale `c`, a truncated gamma density."""

    rho: float
    c: float

    def log_value(self, s: float, v: float) -> float:
        """Return ln m(s, v)."""
        square = self.c * self.c
        start, shape = self.rho / square, (v + self.rho) / square
        at = (self.c * s + v + self.rho) / square
        return float(
            start * log(start)
            - gammaln(start)
            - log(gammainc(start, start))
            + gammaln(shape)
            + log(gammainc(shape, at))
            - shape * log(at)
            + at
            - start
        )


@dataclass(frozen=True)
class GammaPoisson:
    """Proposition 9: for sub-Poisson sums of scale `c`, a truncated gamma density."""

    rho: float
    c: float

    def log_value(self, s: float, v: float) -> float:
        """Return ln m(s, v)."""
        square = self.c * self.c
        start, rate = self.rho / square, (v + self.rho) / square
        shape = s / self.c + rate
        return float(
            start * log(start)
            - gammaln(start)
            - log(gammaincc(start, start))
            + gammaln(shape)
            + log(gammaincc(shape, rate))
            - shape * log(rate)
            + v / square
        )


def boundary(mixture: Mixture, v: float, alpha: float, highest: float | None = None) -> float:
    """Return the s at which the mixture reaches 1/alpha; `highest` is where s cannot pass."""

    def short(s: float) -> float:
        return mixture.log_value(s, v) + log(alpha)

    end = highest
    if end is None:
        end = max(v, 1.0)
        while short(end) < 0:
            end *= 2
    return crossing(short, 0.0, end)


def two_sided_normal_bound(rho: float, v: float, alpha: float) -> float:
    """Return the boundary of `TwoSidedNormal`, which has a closed form."""
    return sqrt((v + rho) * (log((v + rho) / rho) + 2 * log(1 / alpha)))


def bernoulli_interval(x: float, n: int, alpha: float, t_opt: float) -> tuple[float, float]:
    """Return the shares p that the two-sided beta-binomial mixture does not refute.

    The mixture is tuned for `t_opt` events at 5 %, whatever `alpha` is, at each p anew.
    """

    def short(p: float) -> float:
        mixture = BetaBinomial(scale_at(t_opt * p * (1 - p), 0.05), p, 1 - p, False)
        return mixture.log_value(x - n * p, n * p * (1 - p)) + log(alpha)

    share, edge = x / n, 1e-12
    inside = min(max(share, edge), 1 - edge)
    low = crossing(short, edge, inside) if x > 0 and short(edge) > 0 else 0.0
    high = crossing(short, inside, 1 - edge) if x < n and short(1 - edge) > 0 else 1.0
    return low, high
