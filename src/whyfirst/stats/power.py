"""What a study can find, before it is run: minimum detectable effect and seeds needed.

The formula is the one that `statistics.contrast` analyses with, run forwards from assumed (or
pilot) spreads; all spreads and effects are fractions. Its agreement with simulated studies is in
docs/statistics.md. Left out: unequal topics, unscored items.

Source: noncentral t power (Cohen 1988, chapter 2) with the variance of a crossed design (Searle,
Casella and McCulloch 1992, chapter 4).
"""

import math
from bisect import bisect_left

from whyfirst.config.errors import ConfigError
from whyfirst.stats.crossed import NO_VARIANCE, Combined, combine

MOST_SEEDS = 1000
POWER, ALPHA = 0.8, 0.05


def mde(
    seed_sd: float, topic_sd: float, residual_sd: float, n_seeds: int, n_topics: int, n_items: int,
    worlds: bool = False,
) -> float:  # fmt: skip
    """The smallest true difference that a two-sided test at 5 % finds in 80 % of studies.

    Args:
        seed_sd: spread of the true difference over seeds.
        topic_sd: its spread over topics (what persists over seeds).
        residual_sd: spread of one item's difference within seed and topic.
        n_seeds, n_topics, n_items: the design; items are counted per seed, over all topics.
        worlds: each seed is a world whose topics are its own; it gives one number.

    Raises ConfigError for a negative spread or an impossible design.
    """
    combined = _planned(seed_sd, topic_sd, residual_sd, n_seeds, n_topics, n_items, worlds)
    return detectable(combined.variance, combined.df)


def half_width(
    seed_sd: float, topic_sd: float, residual_sd: float, n_seeds: int, n_topics: int, n_items: int,
    worlds: bool = False,
) -> float:  # fmt: skip
    """Half the interval's length that is not exceeded in 80 % of studies; see `mde`.

    The estimated variance is scaled chi-square, so a design that only meets its target on average
    misses it in half of all studies.
    """
    from scipy.special import gammaincinv, stdtrit

    combined = _planned(seed_sd, topic_sd, residual_sd, n_seeds, n_topics, n_items, worlds)
    inflation = 2.0 * float(gammaincinv(combined.df / 2.0, POWER)) / combined.df
    quantile = float(stdtrit(combined.df, 1.0 - ALPHA / 2.0))
    return quantile * math.sqrt(combined.variance * inflation)


_half_width = half_width  # `seeds_needed` has an argument of that name


def seeds_needed(
    seed_sd: float, topic_sd: float, residual_sd: float, n_topics: int, n_items: int,
    *, half_width: float | None = None, effect: float | None = None,
    worlds: bool = False,
) -> int:  # fmt: skip
    """The fewest seeds that reach a goal in 80 % of studies.

    The goal is either an interval no wider than ±`half_width`, or p < 0.05 where the true
    difference is `effect`; give one of them. Raises ConfigError where no number of seeds does:
    topics are a sample too, and more seeds don't add topics (more worlds do).
    """
    if (half_width is None) == (effect is None):
        raise ConfigError("seeds_needed: give half_width or effect, and not both")
    goal = half_width if half_width is not None else effect
    if goal is None or not goal > 0.0:
        raise ConfigError(f"seeds_needed: the goal must be above 0, not {goal}")
    reach = mde if half_width is None else _half_width

    def reached(n_seeds: int) -> float:
        return reach(seed_sd, topic_sd, residual_sd, n_seeds, n_topics, n_items, worlds)

    if reached(MOST_SEEDS) > goal:
        raise ConfigError(
            f"seeds_needed: {MOST_SEEDS} seeds on {n_topics} topics and {n_items} items leave "
            f"{reached(MOST_SEEDS):.3f}, and the goal is {goal:.3f}; add topics or items, "
            "or accept a wider goal"
        )
    # More seeds never reach less, so the first that does is found by halving.
    return 2 + bisect_left(range(2, MOST_SEEDS), -goal, key=lambda seeds: -reached(seeds))


def detectable(variance: float, df: float) -> float:
    """The minimum detectable effect of an estimate with this variance and degrees of freedom.

    inf where there are no degrees of freedom; the caller cuts at the largest possible effect.
    """
    from scipy.special import nctdtrinc, stdtrit

    if df <= 0.0:
        return math.inf
    critical = float(stdtrit(df, 1.0 - ALPHA / 2.0))
    # The shift of Student's t that leaves 20 % of it below the critical value.
    shift = float(nctdtrinc(df, 1.0 - POWER, critical))
    return math.inf if math.isnan(shift) else shift * math.sqrt(variance)


def _planned(
    seed_sd: float, topic_sd: float, residual_sd: float, n_seeds: int, n_topics: int, n_items: int,
    worlds: bool,
) -> Combined:  # fmt: skip
    """The expected variance of the mean and its degrees of freedom under a design."""
    if min(seed_sd, topic_sd, residual_sd) < 0.0:
        raise ConfigError("power: a spread can't be negative")
    if n_seeds < 1 or n_topics < 1 or n_items < n_topics or n_seeds * n_topics < 2:
        raise ConfigError(
            f"power: {n_seeds} seeds, {n_topics} topics, {n_items} items is no design; give at "
            "least one item a topic, and two seeds or two topics"
        )
    # As mean squares over their cells: what is left within a cell is part of both terms.
    shared = residual_sd**2 / (n_seeds * n_items)
    seed = seed_sd**2 / n_seeds + shared
    topic = topic_sd**2 / n_topics + shared
    if n_seeds == 1:
        combined = Combined(topic, n_topics - 1.0)
    elif worlds:
        # What a world's own topics and items add is in the spread of the worlds' numbers.
        combined = Combined(seed + topic_sd**2 / (n_topics * n_seeds), n_seeds - 1.0)
    elif n_topics == 1:
        combined = Combined(seed, n_seeds - 1.0)
    else:
        combined = combine(seed, topic, shared, n_seeds, n_topics)
    if combined.variance <= NO_VARIANCE:
        raise ConfigError("power: all spreads are 0; take them from a pilot's contrast")
    return combined
