"""What theory says of queues, surveys and their statistics: formulas with their sources, times in units of the mean
service time unless said otherwise.

`load` is the share of its capacity that a queue is offered, from 0 to below 1 where there is no bound.
"""

from __future__ import annotations

import math


def erlang_c(workers: int, load: float) -> float:
    """The share of requests that wait in M/M/c (Erlang 1917)."""
    offered = workers * load
    blocked = 1.0
    for count in range(1, workers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked / (1.0 - load * (1.0 - blocked))


def wait_mmc(workers: int, load: float) -> float:
    """The mean wait before service in M/M/c."""
    return erlang_c(workers, load) / (workers * (1.0 - load))


def wait_mg1(load: float, variation: float) -> float:
    """The mean wait in M/G/1, by the service time's coefficient of variation (Pollaczek 1930, Khinchine 1932)."""
    return load * (1.0 + variation * variation) / (2.0 * (1.0 - load))


def sojourn_quantile_mm1(load: float, q: float) -> float:
    """The q-quantile of the time in an M/M/1 system, which is exponential with mean 1 / (1 - load)."""
    return -math.log1p(-q) / (1.0 - load)


def loss_mm1k(load: float, room: int) -> float:
    """The share of requests that M/M/1/K loses; `room` counts the one in service, and `load` may be 1 or more."""
    if load == 1.0:
        return 1.0 / (room + 1)
    return (1.0 - load) * load**room / (1.0 - load ** (room + 1))


def sojourn_power_of(drawn: int, load: float) -> float:
    """The mean time in the system when each request goes to the shortest of `drawn` queues, of very many.

    The supermarket model of Vvedenskaya, Dobrushin and Karpelevich (1996) and Mitzenmacher (1996):
    T = sum over i of load ^ ((d^i - d) / (d - 1)).
    """
    if drawn == 1:
        return 1.0 / (1.0 - load)
    total, i = 0.0, 1
    while True:
        term = math.pow(load, (drawn**i - drawn) / (drawn - 1))
        total += term
        if term < 1e-18:
            return total
        i += 1


def slowest_of(count: int) -> float:
    """The mean of the largest of `count` exponential times of mean 1: the harmonic number."""
    return math.fsum(1.0 / k for k in range(1, count + 1))


def all_within(count: int, deadline: float) -> float:
    """The probability that `count` exponential times of mean 1 all stay within the deadline."""
    return math.pow(-math.expm1(-deadline), count)


def deadline_for(count: int, share: float) -> float:
    """The deadline that so large a share of surveys of `count` exponential answers of mean 1 meets."""
    return -math.log1p(-(share ** (1.0 / count)))


def run_variance_mm1(load: float) -> float:
    """The asymptotic variance of the number in M/M/1: t times the variance of its mean over a run of length t.

    2 load (1 + load) / (1 - load)⁴ (Whitt, Planning queueing simulations, Management Science 35, 1989). It says how
    long a run must be: for a standard error s of the mean, as long as this by s².
    """
    return 2.0 * load * (1.0 + load) / (1.0 - load) ** 4
