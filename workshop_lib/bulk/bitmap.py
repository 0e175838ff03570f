"""Compact sets for millions of entries: which input lines are finished, and which ids were seen."""

from array import array
from hashlib import blake2b

_FIRST_TABLE = 1 << 12
_LARGEST_TABLE = 1 << 18
_FULL = 0.7


class Lines:
    """A set of line numbers from 0, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def __len__(self) -> int:
        """Return how many lines are in the set."""
        return self._count

    def __contains__(self, line: int) -> bool:
        """Say whether a line is in the set."""
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


class Ids:
    """A set of ids by 64 bits of their hash, about 11 bytes each.

    Two different ids are taken for the same with a probability of n^2 / 2^65: below 1 in 10 million for a million ids.
    """

    def __init__(self) -> None:
        self._tables: list[array[int]] = [array("Q", bytes(8 * _FIRST_TABLE))]
        self._in_last = 0

    def add(self, text: str) -> bool:
        """Add an id; return whether it was new."""
        key = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") or 1
        for table in self._tables:
            slot = self._slot(table, key)
            if table[slot] == key:
                return False
        last = self._tables[-1]
        if self._in_last >= _FULL * len(last):
            last = array("Q", bytes(8 * min(_LARGEST_TABLE, 2 * len(last))))
            self._tables.append(last)
            self._in_last = 0
            slot = self._slot(last, key)
        last[slot] = key
        self._in_last += 1
        return True

    def _slot(self, table: "array[int]", key: int) -> int:
        """Return where a key is, or the empty place where it would go."""
        mask = len(table) - 1
        slot = key & mask
        while table[slot] not in (0, key):
            slot = (slot + 1) & mask
        return slot
