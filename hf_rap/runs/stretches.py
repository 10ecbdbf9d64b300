"""Where the attempts of each row lie: a few dozen bytes a row, so that memory holds the index of a run of ten million.

What a start finds is columns of numbers, in the order of the rows' keys. What comes after that, part by part, is kept by its
row until there is enough of it to be put in order with the rest.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from struct import Struct
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from .contents import ARM, CUT, FAILURE, FIRST, GRADER, ID, KEY, LIMIT, STOP, UNGRADED, values_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_LEAST = 16_384  # stretches that are put in order with the rest; and no fewer than a sixteenth of it
_AT_ONCE = 65_536  # keys that are turned into numbers
_DIGITS = 32  # of a key of ours, which is a hash in hex
_HALVES = Struct(">QQ")
_NONE = -1  # in place of a token limit
_WORDS = (FAILURE, ARM, GRADER)
_NUMBERS = (FIRST, STOP, LIMIT, CUT, UNGRADED)


class Stretch(NamedTuple):
    """Attempts `first` to `stop` (not included) of a row, of one arm or of all: they are in row `place` of `part`."""

    part: str
    place: int
    first: int
    stop: int
    failure: str | None
    arm: str | None = None
    grader: str | None = None
    limit: int | None = None
    cut: bool = False
    ungraded: int = 0

    @property
    def failed(self) -> bool:
        """Another try could change it."""
        return self.failure is not None


class Stretches:
    """All stretches of a run by the key of their row, and the ids that these rows have."""

    def __init__(self) -> None:
        self._lock = RLock()  # one thread may ask while another adds
        self._last: tuple[str | None, list[Stretch]] = None, []
        self._parts: list[str] = []
        self._words: dict[str, _Words] = {name: _Words() for name in _WORDS}
        self._columns: dict[str, NDArray[Any]] = {}
        self._views: dict[str, memoryview] = {}
        self._recent: dict[str, list[Stretch]] = {}
        self._waiting: list[tuple[Mapping[str, int], pa.Table]] = []  # of `recent`, as columns will be made of it
        self._rows_waiting = 0
        self._also: dict[str, str] = {}  # under which other key some of a row's are
        self._also_ids: set[str] = set()
        self._ids: list[pa.Array] = []
        self._recent_ids: set[str] = set()

    def add(self, rows_of: Mapping[str, int], contents: pa.Table) -> None:
        """The rows of these parts, so many of each one after the other."""
        if not len(contents):
            return
        with self._lock:
            self._last = None, []
            self._waiting.append((rows_of, contents))
            self._rows_waiting += len(contents)
            if self._rows_waiting >= max(_LEAST, self._size // 16):
                self._put_in_order()
                return
            for key, stretch, identity in _one_by_one(rows_of, contents):
                self._recent.setdefault(key, []).append(stretch)
                self._recent_ids.add(identity)

    def also(self, key: str, other: str, identity: str) -> None:
        """A row that is known by this key has what is known by another as well."""
        with self._lock:
            self._last = None, []
            self._also.setdefault(key, other)
            self._also_ids.add(identity)
            self._recent_ids.add(identity)

    def of(self, key: str) -> Sequence[Stretch]:
        """Those of a row."""
        with self._lock:
            last, held = self._last
            if last == key:  # for one arm after the other
                return held
            held = [*self._in_order(key), *self._recent.get(key, ())]
            other = self._also.get(key)
            if other is not None:
                held += [stretch for stretch in self.of(other) if stretch not in held]
            self._last = key, held
            return held

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return key in self._recent or key in self._also or self._first_place(key) is not None

    def unknown(self, keys: pa.ChunkedArray) -> list[int]:
        """The places of keys of which nothing is there."""
        import numpy as np

        with self._lock:
            high, low, ours = halves(keys)
            if self._size:
                places = np.searchsorted(self._columns["high"], high).clip(max=self._size - 1)
                ours &= (self._columns["high"][places] == high) & (self._columns["low"][places] == low)
            else:
                ours[:] = False
            return [place for place in np.flatnonzero(~ours).tolist() if keys[place].as_py() not in self]

    def keys(self) -> Iterator[str]:
        """Of all rows, each once."""
        with self._lock:
            others, views = {**self._recent, **self._also}, self._views
        yield from others
        before = None
        for high, low in zip(views["high"], views["low"], strict=True) if views else ():
            key = f"{high:016x}{low:016x}"
            if key != before and key not in others:
                yield key
            before = key

    def every(self, name: str) -> set[Any]:
        """The values that there are of a number or a word of all stretches."""
        import numpy as np

        field = {FAILURE: "failure", ARM: "arm", GRADER: "grader", LIMIT: "limit"}[name]
        with self._lock:
            recent = {getattr(stretch, field) for held in self._recent.values() for stretch in held}
            codes = np.unique(self._columns[name]).tolist() if self._size else []
            if name in self._words:
                return recent | {self._words[name].texts[code] for code in codes}
            return recent | {None if code == _NONE else code for code in codes}

    def known_ids(self, ids: Iterable[str], *, longest: int | None = None) -> set[str]:
        """Those of these ids that a row has, or, in so many characters, a longer one begins with."""
        import pyarrow as pa
        import pyarrow.compute as pc

        names = pa.array(list(ids), pa.string())
        if not len(names):
            return set()
        there: set[str] = set()
        with self._lock:
            every = [*self._ids, pa.array(list(self._recent_ids), pa.string())]
        for some in every:
            there |= set(names.filter(pc.is_in(names, some)).to_pylist())
            if longest is not None:
                longer = some.filter(pc.greater(pc.utf8_length(some), longest))
                begun = pc.utf8_slice_codeunits(longer, 0, longest)
                there |= set(names.filter(pc.is_in(names, begun)).to_pylist())
        return there

    @property
    def has_ids(self) -> bool:
        """Some row is there."""
        return bool(self._ids or self._recent_ids)

    @property
    def _size(self) -> int:
        return len(self._columns["high"]) if self._columns else 0

    def _in_order(self, key: str) -> list[Stretch]:
        place = self._first_place(key)
        if place is None:
            return []
        high, low, size = self._views["high"], self._views["low"], self._size
        begins, ends = high[place], low[place]
        held = []
        while place < size and low[place] == ends and high[place] == begins:
            held.append(self._stretch(place))
            place += 1
        return held

    def _stretch(self, place: int) -> Stretch:
        views, words = self._views, self._words
        limit = views[LIMIT][place]
        return Stretch(
            self._parts[views["part"][place]],
            views["place"][place],
            views[FIRST][place],
            views[STOP][place],
            words[FAILURE].texts[views[FAILURE][place]],
            words[ARM].texts[views[ARM][place]],
            words[GRADER].texts[views[GRADER][place]],
            None if limit == _NONE else limit,
            bool(views[CUT][place]),
            views[UNGRADED][place],
        )

    def _first_place(self, key: str) -> int | None:
        """Where the first stretch of a row stands."""
        octets = _octets(key) if self._columns else None
        if octets is None:
            return None
        begins, wanted = _HALVES.unpack(octets)
        high, low = self._views["high"], self._views["low"]
        place = bisect_left(high, begins)
        while place < len(high) and high[place] == begins:
            if low[place] == wanted:
                return place
            place += 1
        return None

    def _put_in_order(self) -> None:
        """What waits goes into the columns; rows with a key that is none of ours stay as they are."""
        import numpy as np

        odd = {key: held for key, held in self._recent.items() if _octets(key) is None}
        pieces: list[dict[str, NDArray[Any]]] = [self._columns] if self._columns else []
        ours = np.ones(0, np.bool_)
        for rows_of, contents in self._waiting:
            high, low, ours = halves(contents[KEY])
            piece: dict[str, NDArray[Any]] = {
                "high": high,
                "low": low,
                **self._placed(rows_of),
                **self._valued(contents),
            }
            pieces.append({name: column[ours] for name, column in piece.items()})
            self._ids.append(contents[ID].combine_chunks())
        if not ours.all():
            for key, stretch, _ in _one_by_one(*self._waiting[-1]):  # which is not among the recent
                if _octets(key) is None:
                    odd.setdefault(key, []).append(stretch)
        columns: dict[str, NDArray[Any]]
        columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        del pieces
        # Equal keys stay in the order in which they came.
        order = np.lexsort((columns["low"], columns["high"]))
        for name in columns:
            columns[name] = columns[name][order]
        self._columns = columns
        self._views = {name: memoryview(column.data) for name, column in columns.items()}
        self._recent, self._waiting, self._rows_waiting = odd, [], 0
        self._recent_ids = set(self._also_ids)

    def _placed(self, rows_of: Mapping[str, int]) -> dict[str, NDArray[np.int32]]:
        """Part and place of the rows of these parts."""
        import numpy as np

        counts = list(rows_of.values())
        numbers = np.arange(len(self._parts), len(self._parts) + len(counts), dtype=np.int32)
        self._parts += rows_of
        places = [np.arange(count, dtype=np.int32) for count in counts]
        return {
            "part": np.repeat(numbers, counts).astype(np.int32),
            "place": np.concatenate(places) if places else np.empty(0, np.int32),
        }

    def _valued(self, contents: pa.Table) -> dict[str, NDArray[np.int32]]:
        import numpy as np

        words = {name: self._words[name].codes(contents[name]) for name in _WORDS}
        numbers = {}
        for name in _NUMBERS:
            values = contents[name].combine_chunks().cast("int32").fill_null(_NONE)
            numbers[name] = values.to_numpy(zero_copy_only=False).astype(np.int32)
        return {**words, **numbers}


class _Words:
    """Texts that many stretches share, each by a number; that of none is 0."""

    def __init__(self) -> None:
        self._numbers: dict[str | None, int] = {None: 0}
        self.texts: list[str | None] = [None]

    def codes(self, column: pa.ChunkedArray) -> NDArray[np.int32]:
        import numpy as np
        import pyarrow as pa

        column = column.combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        texts = column.dictionary.to_pylist()
        for text in texts:
            if text not in self._numbers:
                self._numbers[text] = len(self.texts)
                self.texts.append(text)
        codes = np.array([*map(self._numbers.__getitem__, texts), 0], np.int32)
        found: NDArray[np.int32] = codes[column.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]
        return found


def _one_by_one(rows_of: Mapping[str, int], contents: pa.Table) -> Iterator[tuple[str, Stretch, str]]:
    names = (KEY, ID, FIRST, STOP, FAILURE, ARM, GRADER, LIMIT, CUT, UNGRADED)
    columns = zip(*(values_of(contents[name]) for name in names), strict=True)
    for path, rows in rows_of.items():
        for place, (key, identity, *about) in enumerate(islice(columns, rows)):
            yield key, Stretch(path, place, *about), identity


def _octets(key: str) -> bytes | None:
    """What a key of ours spells; None for another."""
    if len(key) != _DIGITS:
        return None
    try:
        octets = bytes.fromhex(key)
    except ValueError:
        return None
    return octets if octets.hex() == key else None


def halves(keys: pa.ChunkedArray) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """The first and the second half of each key as numbers, and which keys are 32 digits."""
    import numpy as np

    high, low, ours = np.empty(len(keys), np.uint64), np.empty(len(keys), np.uint64), np.empty(len(keys), np.bool_)
    for start in range(0, len(keys), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        (high[some], low[some]), ours[some] = _halves(keys.slice(start, _AT_ONCE))
    return high, low, ours


def _halves(keys: pa.ChunkedArray) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The same of some of them, in two rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    ours = pc.match_substring_regex(keys, f"^[0-9a-f]{{{_DIGITS}}}$").combine_chunks()
    plain = keys if pc.all(ours, min_count=0).as_py() else pc.if_else(ours, keys, "0" * _DIGITS)
    fixed = plain.cast(pa.binary()).cast(pa.binary(_DIGITS)).combine_chunks()
    digits = np.frombuffer(fixed.buffers()[1], np.uint8)[fixed.offset * _DIGITS :][: len(keys) * _DIGITS]
    values = (digits & 15) + 9 * (digits >> 6)
    octets = (values[0::2] << 4 | values[1::2]).reshape(-1, 16)
    return np.ascontiguousarray(octets).view(">u8").astype(np.uint64).T, ours.to_numpy(zero_copy_only=False)


def first_places(keys: pa.ChunkedArray) -> NDArray[np.int64]:
    """Of equal keys the place of the first, in order."""
    import numpy as np

    high, low, ours = halves(keys)
    if not ours.all():
        return np.sort(np.unique(keys.combine_chunks().dictionary_encode().indices.to_numpy(), return_index=True)[1])
    order = np.lexsort((low, high))  # of equal ones the first stays first
    high, low = high[order], low[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return np.sort(order[is_first])
