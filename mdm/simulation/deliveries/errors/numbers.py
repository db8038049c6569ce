"""Errors in numbers, one string at a time, by two draws."""

from __future__ import annotations


def digit_wrong(number: str, first: int, second: int) -> str:
    """One of the digits changed; letters in front (health cards, passports) stay."""
    places = [place for place, sign in enumerate(number) if sign.isdigit()]
    if not places:
        return number
    place = places[first % len(places)]
    return f"{number[:place]}{(int(number[place]) + 1 + second % 9) % 10}{number[place + 1 :]}"


def digits_swapped(number: str, first: int, second: int) -> str:
    """Two neighbouring digits swapped, the first unequal pair from a drawn place on; else one digit wrong."""
    for step in range(len(number) - 1):
        place = (first + step) % (len(number) - 1)
        left, right = number[place], number[place + 1]
        if left != right and left.isdigit() and right.isdigit():
            return number[:place] + right + left + number[place + 2 :]
    return digit_wrong(number, first, second)


def zeros_lost(number: str, first: int, second: int) -> str:
    """What a spreadsheet makes of it; a number without leading zeros loses its last digit instead."""
    kept = number.lstrip("0")
    return kept if kept and kept != number else digit_lost(number, first, second)


def digit_lost(number: str, first: int, _second: int) -> str:
    place = first % len(number)
    return number[:place] + number[place + 1 :]
