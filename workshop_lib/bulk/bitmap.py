"""Compact sets for millions of entries: which input lines are finished, and which ids were seen."""

from hashlib import blake2b

KEY = 8
_BUCKETS = 4096


class Lines:
    """A set of line numbers from 0, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def __len__(self) -> int:
        """Return how many lines are in the set."""
        return self._count

    def __contains__(self, line: object) -> bool:
        """Say whether a line is in the set."""
        if not isinstance(line, int):
            return False
        byte = line >> 3
        return byte < len(self._bits) and bool(self._bits[byte] & (1 << (line & 7)))

    def add(self, line: int) -> bool:
        """Add a line; return whether it was new."""
        if line in self:
            return False
        byte = line >> 3
        if byte >= len(self._bits):
            self._bits.extend(bytes(max(byte + 1 - len(self._bits), len(self._bits) // 8)))
        self._bits[byte] |= 1 << (line & 7)
        self._count += 1
        return True


def key_of(text: str) -> bytes:
    """Return eight bytes that stand for an id."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY).digest()


class Ids:
    """A set of ids by eight bytes of their hash, about nine bytes each.

    Two different ids are taken for the same with a probability of n^2 / 2^65: below 1 in 10 million for a million ids.
    """

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(_BUCKETS)]

    def add(self, key: bytes) -> bool:
        """Add an id by its `key_of`; return whether it was new."""
        bucket = self._buckets[(key[0] << 4 | key[1] >> 4) % _BUCKETS]
        place = bucket.find(key)
        while place >= 0 and place % KEY:  # found across the border of two keys
            place = bucket.find(key, place + 1)
        if place >= 0:
            return False
        bucket += key
        return True
