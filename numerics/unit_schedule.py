"""Compute the optimal Almgren-Chriss schedule: its path for one unit, the sums over that path, and the cost.

w = 2 (cosh(kappa tau) - 1) is the path's shape: 0 is an even pace, the larger the earlier; below 0 it seeks risk.
"""

from __future__ import annotations

import math

from numerics.arrays import Floats
from numerics.jit import jit


@jit
def unit_path(w: float, steps: int, held: Floats) -> None:
    """Fill held[0:steps] with what is left after each step: sinh(u (N - j)) / sinh(u N), scaled so as not to overflow.

    >>> import numpy as np
    >>> held = np.empty(4)
    >>> unit_path(0.0, 4, held)
    >>> held.tolist()
    [0.75, 0.5, 0.25, 0.0]
    """
    if steps == 1 or w == 0:
        for step in range(steps):
            held[step] = (steps - step - 1) / steps
    elif w < 0:
        u = 2 * math.asin(math.sqrt(-w) / 2)
        whole = math.sin(u * steps)
        for step in range(steps):
            held[step] = math.sin(u * (steps - step - 1)) / whole
    else:
        u = 2 * math.asinh(math.sqrt(w) / 2)
        whole = math.expm1(-2 * u * steps)
        for step in range(steps):
            held[step] = math.exp(-u * (step + 1)) * (math.expm1(-2 * u * (steps - step - 1)) / whole)


@jit
def unit_sums(w: float, steps: int) -> tuple[float, float]:
    """Return the sums of n_k^2 and of x_k^2, k = 1..N, over the path of one unit, in closed form.

    >>> unit_sums(0.0, 4)
    (0.25, 0.875)
    """
    if steps == 1:
        return 1.0, 0.0
    if w == 0:
        return 1 / steps, (steps - 1) * (2 * steps - 1) / (6 * steps)
    m = 2 * steps - 1
    if w < 0:
        u = 2 * math.asin(math.sqrt(-w) / 2)
        half, one, inner = math.tan(u / 2), math.sin(u), math.sin(m * u)
        end, end_tan = math.sin(u * steps), math.tan(u * steps)
    else:
        u = 2 * math.asinh(math.sqrt(w) / 2)
        if (steps - 1) * u > 32:  # what the far end adds is below a rounding error, and sinh would soon overflow
            return math.tanh(u / 2), math.exp(-2 * u) / -math.expm1(-2 * u)
        half, one, inner = math.tanh(u / 2), math.sinh(u), math.sinh(m * u)
        end, end_tan = math.sinh(u * steps), math.tanh(u * steps)
    if m * m * abs(w) > 1:
        excess = inner / one - m
    else:  # the same, as the series of the Chebyshev polynomial U_{m-1}(1 + w / 2) - m, whose terms do not cancel
        excess = 0.0
        term = m * w * (m * m - 1) / 6
        k = 1
        while abs(term) > 1e-17 * abs(excess):
            excess += term
            k += 1
            term *= w * (m * m - k * k) / (2 * k * (2 * k + 1))
    return half * (1 / end_tan + steps * one / (end * end)), abs(excess) / (4 * end * end)


@jit
def schedule_shape(sigma: float, eta: float, gamma: float, risk_aversion: float, tau: float) -> tuple[float, float]:
    """Return eta~ = eta - gamma tau / 2, and the shape w = risk_aversion sigma^2 tau^2 / eta~ of the optimal path."""
    eta_tilde = eta - gamma * tau / 2
    return eta_tilde, risk_aversion * (sigma * tau) * (sigma * tau) / eta_tilde


@jit
def schedule_costs(
    sigma: float, eta: float, gamma: float, epsilon: float, w: float, quantity: float, tau: float, steps: int
) -> tuple[float, float, float, float, float, float, float]:
    """Return the fields of models.Costs for the path of shape w in `steps` steps of tau seconds each."""
    trades, holdings = unit_sums(w, steps)
    squared = quantity * quantity
    sum_squared = squared * trades
    permanent = gamma * squared / 2
    half_spread = epsilon * quantity
    temporary = half_spread + (eta - gamma * tau / 2) / tau * sum_squared
    variance = sigma * sigma * tau * squared * holdings
    permanent_paid = permanent * (1 - trades)
    temporary_paid = half_spread + eta / tau * sum_squared
    return permanent + temporary, variance, permanent, temporary, permanent_paid, temporary_paid, sum_squared
