"""Compact sets for millions of entries: which input lines are finished, and which ids were seen."""

from array import array
from hashlib import blake2b

KEY = 8
_BUCKETS = 4096
_PAGE = 128 * KEY
_GROWTH = 64 * _PAGE  # so large that the system moves it by its page table
_NONE = -1


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

    Two different ids are taken for the same with a probability of n^2 / 2^65: below 1 in 10 million for a million ids. The keys stand in pages of
    one buffer, chained by bucket: a buffer of its own for each bucket, grown by many threads, would leave as much memory in holes again.
    """

    def __init__(self) -> None:
        self._pages = bytearray()
        self._newest = array("i", [_NONE]) * _BUCKETS  # the page of each bucket that is not full yet
        self._end = array("q", [0]) * _BUCKETS  # where the next key of each bucket goes
        self._before = array("i")  # the page before each page in its bucket

    def add(self, key: bytes) -> bool:
        """Add an id by its `key_of`; return whether it was new."""
        bucket = (key[0] << 4 | key[1] >> 4) % _BUCKETS
        pages, page = self._pages, self._newest[bucket]
        end = stop = self._end[bucket]
        while page != _NONE:
            place = pages.find(key, page * _PAGE, stop)
            while place >= 0 and place % KEY:  # found across the border of two keys
                place = pages.find(key, place + 1, stop)
            if place >= 0:
                return False
            page = self._before[page]
            stop = (page + 1) * _PAGE
        if end % _PAGE == 0:  # the page is full, or there is none
            end = self._new_page(bucket)
        pages[end : end + KEY] = key
        self._end[bucket] = end + KEY
        return True

    def _new_page(self, bucket: int) -> int:
        """Chain a new page to a bucket and return where it begins."""
        number = len(self._before)
        begin = number * _PAGE
        if begin == len(self._pages):
            self._pages.extend(bytes(_GROWTH))
        self._before.append(self._newest[bucket])
        self._newest[bucket] = number
        return begin
