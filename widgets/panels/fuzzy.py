"""Finding names by what somebody types of them: as it is spelled, else as it is nearly spelled. No Qt."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from heapq import merge
from itertools import accumulate, islice

from rapidfuzz import fuzz, process

#: Rows that are listed for a query.
MOST = 200
#: Least similarity of a misspelled word with the part of a name that it is taken for (rapidfuzz, 0…100), and how many
#: such parts are tried for each word.
SIMILAR, TRIED = 60, 3
_BETWEEN_PARTS = str.maketrans("/.:", "   ")


class Fuzzy:
    """Texts to search, up to a hundred thousand: a query takes some milliseconds.

    The search goes over the texts from the shortest on and stops when it has enough, since of two texts that hold a
    query the shorter one is nearer to it. Where none holds it, each word of it is taken for the parts of names (there
    are far fewer of them than names) that are spelled most like it.

    Of rows that match alike those come last that are `minor`.
    """

    def __init__(self, texts: Sequence[str], minor: Callable[[int], bool] = lambda row: False) -> None:
        self._texts = texts
        self._minor = minor

    @cached_property
    def _lower(self) -> list[str]:
        return [text.lower() for text in self._texts]

    @cached_property
    def _by_length(self) -> list[int]:
        return sorted(range(len(self._lower)), key=lambda row: len(self._lower[row]))

    @cached_property
    def _parts(self) -> list[str]:
        return sorted(set("\n".join(self._lower).translate(_BETWEEN_PARTS).split()))

    @cached_property
    def _joined(self) -> str:
        """All texts from the shortest on, a line each: searched at the speed of C."""
        return "\n" + "\n".join([self._lower[row] for row in self._by_length]) + "\n"

    @cached_property
    def _starts(self) -> list[int]:
        """Where each line of `_joined` begins."""
        return list(accumulate((len(self._lower[row]) + 1 for row in self._by_length), initial=1))

    def prepare(self) -> None:
        """Does what the first query would have to wait for: 0.1 s for a hundred thousand texts."""
        self._parts, self._joined, self._starts  # noqa: B018 - each is computed once, when it is first read

    def search(self, query: str) -> Sequence[int]:
        """The rows that match, best first and at most `MOST`; the first ones, as they come, for an empty query."""
        text = " ".join(query.lower().split())
        if not text:
            return range(min(len(self._texts), MOST))
        words = text.split()
        begins = islice(self._rows_with("\n" + text), MOST // 4)
        ends = islice(self._rows_with(f" {text}\n"), MOST)
        found = dict.fromkeys([*begins, *ends, *self._holding([[word] for word in words])])
        if not found and len(text) > 2:
            return self._holding([self._like(word) for word in text.translate(_BETWEEN_PARTS).split()])[:MOST]
        return sorted(found, key=lambda row: self._distance(row, text, words))[:MOST]

    def _holding(self, words: list[list[str]]) -> list[int]:
        """Rows that hold each word, of which there may be several spellings; the shorter rows first."""
        if not all(words):
            return []
        lower = self._lower
        first = max(words, key=lambda spellings: min(map(len, spellings)))
        rest = [spellings for spellings in words if spellings is not first]
        rows = merge(*map(self._rows_with, first), key=lambda row: len(lower[row]))
        matching = (row for row in rows if all(any(one in lower[row] for one in each) for each in rest))
        return list(dict.fromkeys(islice(matching, 2 * MOST)))

    def _rows_with(self, text: str) -> Iterator[int]:
        """Rows whose line holds a text, the shorter ones first."""
        place = self._joined.find(text)
        while place >= 0:
            line = bisect_right(self._starts, place if text[0] != "\n" else place + 1) - 1
            yield self._by_length[line]
            place = self._joined.find(text, self._starts[line + 1] - 1)

    def _like(self, word: str) -> list[str]:
        """Parts of names that a word may mean: itself where any holds it."""
        if any(word in part for part in self._parts):
            return [word]
        found = process.extract(word, self._parts, scorer=fuzz.ratio, score_cutoff=SIMILAR, limit=TRIED)
        return [part for part, _, _ in found]

    def _distance(self, row: int, text: str, words: list[str]) -> tuple[int, bool, int, int]:
        """Equal, or its first or last word; then with it at the beginning of a part; then anywhere; the shorter first.

        Of those with it at the beginning of a part, such as begin with it come first.
        """
        name, minor = self._lower[row], self._minor(row)
        begins = name.startswith(text)
        if begins and name[len(text) : len(text) + 1] in ("", " "):
            return 0, minor, 0, len(name)
        if name.endswith(" " + text):
            return 0, minor, 1, len(name)
        inside = all(_begins_a_part(name, word) for word in words)
        return 1 if inside else 2, minor, not begins, len(name)


def _begins_a_part(name: str, word: str) -> bool:
    place = name.find(word)
    while place > 0 and name[place - 1].isalnum():
        place = name.find(word, place + 1)
    return place >= 0
