"""The binomial schedule: executed, it reverses every unit from its carry, with the fewest forward units."""

import functools
from math import comb

from wengert.loops.schedule import ADVANCE, RESTORE, REVERSE, STORE, binomial, forward_sweep, forward_units


@functools.cache
def fewest(units, snapshots):
    """Forward units needed at least, by trying every place for the next carry."""
    if units <= 1:
        return 0
    if snapshots == 1:
        return units * (units - 1) // 2
    return min(k + fewest(units - k, snapshots - 1) + fewest(k, snapshots) for k in range(1, units))


def execute(actions, units, snapshots):
    """Carries as numbers: forward units done, provided that every unit is reversed once, in order, from its carry."""
    places, carry, done, left = {}, 0, 0, list(range(units))
    for kind, a, b in actions:
        if kind == STORE:
            places[a] = carry
        elif kind == RESTORE:
            carry = places[a]
            assert carry == b
        elif kind == ADVANCE:
            assert carry is not None
            assert a > carry
            done, carry = done + a - carry, a
        else:
            assert kind == REVERSE
            assert (carry, a) == (left.pop(), a)
            assert carry == a
            carry = None  # the reverse unit leaves no carry behind
        assert len(places) <= snapshots
    assert not left
    return done


def test_the_schedule_is_optimal():
    for snapshots in range(1, 9):
        for units in range(1, 41):
            best = fewest(units, snapshots)
            assert forward_units(units, snapshots) == best
            assert execute(binomial(units, snapshots), units, snapshots) == best


def test_the_count_of_the_paper():
    """t(l, c) = r l - C(c + r, r - 1), where r is the least with C(c + r, r) >= l."""
    for snapshots in (1, 2, 3, 5, 10, 40):
        for units in (1, 2, 3, 10, 11, 100, 286, 287, 1000):
            r = next(r for r in range(1, 2000) if comb(snapshots + r, r) >= units)
            count = r * units - comb(snapshots + r, r - 1)
            assert forward_units(units, snapshots) == count
            assert execute(binomial(units, snapshots), units, snapshots) == count


def test_ends_of_the_schedule():
    assert binomial(0, 3) == []
    assert forward_sweep([]) == 0
    assert execute(binomial(1, 1), 1, 1) == 0
    actions = binomial(30, 4)
    assert all(kind in (STORE, ADVANCE) for kind, _, _ in actions[: forward_sweep(actions)])
    assert actions[forward_sweep(actions)] == (REVERSE, 29, 0)
