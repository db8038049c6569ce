"""Expectation maximisation finds the shares from which the counts were made."""

import numpy as np

from matching.expectation import MISSING, Patterns, maximise, remainder

M = [np.array([0.9, 0.08, 0.02]), np.array([0.95, 0.05]), np.array([0.8, 0.2])]
U = [np.array([0.01, 0.09, 0.9]), np.array([0.5, 0.5]), np.array([0.002, 0.998])]


def patterns(share, *, matches, others, pairs=1_000_000):
    """Counts as they are expected; the last comparison is missing in half of the pairs."""
    levels, counts = [], []
    for a in range(3):
        for b in range(2):
            for c in (MISSING, 0, 1):
                of = [p[0][a] * p[1][b] * 0.5 * (1.0 if c == MISSING else p[2][c]) for p in (matches, others)]
                levels.append((a, b, c))
                counts.append(pairs * (share * of[0] + (1 - share) * of[1]))
    return Patterns(np.array(levels), np.array(counts))


def test_matches_are_found_where_chance_agreement_is_known():
    found = maximise(patterns(0.3, matches=M, others=U), U)
    assert abs(found.share - 0.3) < 0.01
    for learnt, made in zip(found.m, M, strict=True):
        assert np.allclose(learnt, made, atol=0.01)


def test_the_rest_is_found_where_matches_are_known():
    kin = [np.array([0.01, 0.02, 0.97]), np.array([0.4, 0.6]), np.array([0.6, 0.4])]
    found = remainder(patterns(0.2, matches=M, others=kin), M)
    assert abs(found.share - 0.2) < 0.01
    for learnt, made in zip(found.m, kin, strict=True):
        assert np.allclose(learnt, made, atol=0.01)


def test_a_comparison_of_which_nothing_is_known_takes_no_part():
    found = remainder(patterns(0.2, matches=M, others=U), [M[0], None, M[2]])
    assert found.m[1] is None
    assert np.allclose(found.m[0], U[0], atol=0.01)
