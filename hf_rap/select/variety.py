"""The variance promotion score of arXiv 2509.21268: how much rewards vary, and how much replies do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import DIFFICULTY, IMAGE_RESPONSES
from hf_rap.errors import LayoutError
from hf_rap.papers import CITE_VARIANCE_PROMOTION, VARIANCE_PROMOTION
from hf_rap.stats.arrays import arrow_columns, numbers_of

from .method import Citation, Method
from .pass_rates import learnability_of
from .ranking import RANKED, STEPS, by_rank, reasons_of_rank

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from .base import Decision, Settings

_ROWS_AT_ONCE = 2_000  # so that the words of a part stay in the processor's cache


def distinct_trigrams(replies: pa.Array) -> NDArray[np.float64]:
    """Different runs of three words by all such runs in the replies of each row, (n_rows,), in (0, 1].

    Replies of fewer than three words have no such run. Where no reply of a row has one, it is different replies by all
    replies; NaN without a reply. Words are what white space divides.

    Raises:
        LayoutError: the column holds no lists of texts.

    >>> import pyarrow as pa
    >>> distinct_trigrams(pa.array([["a b c d", "a b c e"], ["4", "4"], None])).tolist()
    [0.75, 0.5, nan]
    """
    import numpy as np
    import pyarrow as pa

    if pa.types.is_null(replies.type):
        return np.full(len(replies), np.nan)
    lists = pa.types.is_list(replies.type) or pa.types.is_large_list(replies.type)
    if not (lists and (pa.types.is_null(replies.type.value_type) or _is_text(replies.type.value_type))):
        raise LayoutError(
            f"Method 'variance-promotion' reads a list of replies per row from {IMAGE_RESPONSES.name!r}, but the column is of type "
            f"{replies.type}. Store lists of texts, null where there is no reply."
        )
    parts = [_of_some(replies.slice(start, _ROWS_AT_ONCE)) for start in range(0, len(replies), _ROWS_AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _of_some(replies: pa.Array) -> NDArray[np.float64]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    row_of_reply = pc.list_parent_indices(replies).to_numpy()
    texts = pc.list_flatten(replies).cast(pa.string())
    there = texts.is_valid().to_numpy(zero_copy_only=False)
    texts, row_of_reply = texts.drop_null(), row_of_reply[there]
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))
    reply_of_word = pc.list_parent_indices(words).to_numpy()
    codes = _numbered(pc.list_flatten(words))
    whole = reply_of_word[2:] == reply_of_word[:-2]
    # Three words as one number: the pair is numbered anew, so that nothing overflows.
    pairs = _numbered(pa.array(codes[:-2][whole] * (len(codes) + 1) + codes[1:-1][whole]))
    runs = _numbered(pa.array(pairs * (len(codes) + 1) + codes[2:][whole]))
    by_runs = _share_of_different(row_of_reply[reply_of_word[2:][whole]], runs, len(replies))
    by_replies = _share_of_different(row_of_reply, _numbered(texts), len(replies))
    return np.where(np.isnan(by_runs), by_replies, by_runs)


def _numbered(values: pa.Array) -> NDArray[np.int64]:
    """A number from 0 for each different value; hashed, which is several times as fast as sorting."""
    import numpy as np

    numbers: NDArray[np.int64] = values.dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers


def _share_of_different(rows: NDArray[np.int64], codes: NDArray[np.int64], n_rows: int) -> NDArray[np.float64]:
    """Different codes of each row by all of its codes, (n_rows,); NaN without one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    every = np.bincount(rows, minlength=n_rows).astype(np.float64)
    width = int(codes.max()) + 1 if len(codes) else 1
    different = np.bincount(pc.unique(pa.array(rows * width + codes)).to_numpy() // width, minlength=n_rows)
    shares: NDArray[np.float64] = np.divide(different, every, out=np.full(n_rows, np.nan), where=every > 0)
    return shares


def by_variance_promotion(ds: Any, settings: Settings) -> Decision:
    """`method="variance-promotion"` of `select_cognitive`."""
    columns = arrow_columns(ds, [DIFFICULTY.name, IMAGE_RESPONSES.name])
    rewards = learnability_of(numbers_of(columns[DIFFICULTY.name]))
    replies = distinct_trigrams(columns[IMAGE_RESPONSES.name])
    scores = VARIANCE_PROMOTION.outcome * rewards + VARIANCE_PROMOTION.diversity * replies
    return by_rank(ds, settings, scores.round(12), ("most_varied", "not_most_varied"))


VARIANCE_PROMOTION_SCORE = Method(
    "variance-promotion",
    by_variance_promotion,
    "rows whose rewards and replies vary most from attempt to attempt",
    reasons=reasons_of_rank("most_varied", "variance promotion score"),
    steps=STEPS,
    options=RANKED,
    needs=(DIFFICULTY, IMAGE_RESPONSES),
    needs_budget=True,
    citations=(Citation("The method (variance promotion score)", CITE_VARIANCE_PROMOTION),),
)
