"""Chance that gives the same on every machine and Python version, by seed."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

T = TypeVar("T")
_NO_SIGNS = bytes.maketrans(b"+/", b"xY")


class Dice:
    """Seeded chance; uses only `Random.random`, the method Python promises never to change."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random

    def chance(self, share: float) -> bool:
        """Return True in `share` of the calls."""
        return self._random() < share

    def between(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        return low + int(self._random() * (high - low + 1))

    def share(self) -> float:
        """Return a number from 0 up to, not including, 1."""
        return self._random()

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[int(self._random() * len(choices))]


class Ids:
    """Ids in Stripe's form, `ch_` and letters; the same seed makes the same ones in the same order."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()

    def next(self, prefix: str, length: int = 24) -> str:
        """Return the next unused id with that prefix."""
        self._counts[prefix] += 1
        return f"{prefix}_{self.letters(prefix, self._counts[prefix], length=length)}"

    def letters(self, *key: object, length: int = 24) -> str:
        """Return letters and digits that depend on the seed and the key alone, at most 32."""
        text = repr((self._seed, *key)).encode()
        return b64encode(blake2b(text, digest_size=24).digest())[:length].translate(_NO_SIGNS).decode()
