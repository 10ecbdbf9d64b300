"""Who shows whose pictures: a seeded exchange over a whole dataset, in which nobody gets pictures of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any

from hf_rap.columns import CONTROL_ERROR_CODES
from hf_rap.errors import RowError
from hf_rap.rows.cells import columns_of
from hf_rap.rows.images import fingerprint, open_image
from hf_rap.rows.questions import raw_rows, row_id, text_and_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import datasets
    from PIL import Image

    from hf_rap.rows.layouts import Layout

ROWS_PER_BATCH = 256  # in memory at once, with the files of their images
TRIES = 64  # broken givers that a row passes over before it goes without


@dataclass(frozen=True)
class _Giver:
    """One row with pictures; equal rows count once."""

    place: int
    row_id: str
    pictures: tuple[bytes, ...]  # digests
    key: bytes


class Donors:
    """The giver of pictures for each row of a dataset.

    All rows with equally many pictures stand in a ring, ordered by a hash of the seed, their pictures and
    their id, rows with the same pictures side by side. Each takes first from the one that stands as many
    places further on as the most common pictures occur, then from the next ones with pictures that it has
    not been given yet, always passing over those that share a picture with it. So where no pictures fill
    half of the ring every row is the first giver once; and who gives to whom depends neither on the order
    of the rows, nor on batches, nor on processes, and a new row changes it for its neighbours alone.

    Pictures are the same when their files are: one picture saved in two ways counts as two.

    Args:
        ds: all rows.
        layout: which column is what.
        seed: another seed is another order.
    """

    def __init__(self, ds: datasets.Dataset, layout: Layout, *, seed: int = 0) -> None:
        self.layout = layout
        self.seed = seed
        self._ds = ds.select_columns(layout.columns_in(ds.column_names)).with_format("arrow")
        self._rings: dict[int, list[_Giver]] = {}
        self._places: dict[bytes, int] = {}
        self._ends: dict[tuple[bytes, ...], int] = {}
        self._shifts: dict[int, int] = {}
        for start in range(0, len(ds), ROWS_PER_BATCH):
            batch = columns_of(self._ds[start : start + ROWS_PER_BATCH])
            for place, raw in enumerate(raw_rows(batch, layout), start):
                self._enter(place, raw)
        for ring in self._rings.values():
            ring.sort(key=lambda giver: (self._order(*giver.pictures), self._order(giver.key)))
            self._places |= {giver.key: place for place, giver in enumerate(ring)}
            self._ends |= {giver.pictures: place + 1 for place, giver in enumerate(ring)}
            self._shifts[len(ring[0].pictures)] = max(Counter(giver.pictures for giver in ring).values())

    def pictures_for(self, raw: Mapping[str, Any], *, count: int = 1) -> list[tuple[str, list[Image.Image]]]:
        """The ids of the first `count` givers and their pictures, as many as the row has, opened.

        Fewer, but at least one, where there are no more.

        Args:
            raw: the row, as `hf_rap.rows.layouts.raw_rows` gives it.
            count: givers wanted.

        Raises:
            RowError: "no_donor": nobody has as many pictures, other ones, that can be read.
        """
        pictures: list[tuple[str, list[Image.Image]]] = []
        for giver in islice(self.givers(raw), TRIES + count):
            (row,) = raw_rows(columns_of(self._ds[[giver.place]]), self.layout)
            try:
                pictures.append((giver.row_id, [open_image(image) for image in text_and_images(row, self.layout)[1]]))
            except RowError:
                continue  # the next one, for every process alike
            if len(pictures) == count:
                break
        if not pictures:
            raise RowError("no_donor", CONTROL_ERROR_CODES["no_donor"])
        return pictures

    def givers(self, raw: Mapping[str, Any]) -> Iterator[_Giver]:
        """Those whose pictures the row may be shown, the first choice first, no pictures twice.

        Raises:
            RowError: "no_donor": the row is not in the dataset.
        """
        pictures, _, key = self._known_by(raw)
        if key not in self._places:
            raise RowError("no_donor", "the row is not in the dataset whose pictures are shuffled")
        ring = self._rings[len(pictures)]
        start, step = self._places[key], self._shifts[len(pictures)]
        end = step + len(ring)
        given: set[tuple[bytes, ...]] = set()
        while step < end:
            place = (start + step) % len(ring)
            giver = ring[place]
            if giver.pictures not in given and not set(giver.pictures) & set(pictures):
                yield giver
                given.add(giver.pictures)
            step += self._ends[giver.pictures] - place  # the same pictures stand side by side

    def _enter(self, place: int, raw: Mapping[str, Any]) -> None:
        pictures, identity, key = self._known_by(raw)
        if pictures and key not in self._places:
            self._places[key] = place
            self._rings.setdefault(len(pictures), []).append(_Giver(place, identity, pictures, key))

    def _known_by(self, raw: Mapping[str, Any]) -> tuple[tuple[bytes, ...], str, bytes]:
        """Digests of the pictures, the id, and a digest of both."""
        images: Sequence[Any] = text_and_images(raw, self.layout)[1]
        pictures = tuple(blake2b(fingerprint(image), digest_size=16).digest() for image in images)
        identity = row_id(raw, self.layout)
        named = b"".join((*pictures, identity.encode("utf-8", "surrogatepass")))
        return pictures, identity, blake2b(named, digest_size=16).digest()

    def _order(self, *parts: bytes) -> bytes:
        return blake2b(b"".join(parts), digest_size=16, key=f"{self.seed}".encode()).digest()
