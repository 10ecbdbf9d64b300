"""Verdicts per second on three kinds of ordinary pairs, beside math-verify in the same run.

    python benchmarks/verify.py

math-verify is called as trainers call it: `verify(parse("$gold$"), parse(reply))` in the main thread. No pair comes twice,
so no cache helps; golds are read again for every reply. Prints the median of three rounds, and of one warm comparison
by a child process what it costs beyond the same comparison inside the child.
"""

import statistics
import sys
import time
from collections.abc import Callable

from hf_rap.verify import judge

ROUNDS = 3
COUNT = 300


def plain(round_number: int) -> list[tuple[str, str]]:
    """Numbers, letters and words in a box."""
    start = 100_000 * round_number
    numbers = [(rf"So it is \boxed{{{start + n}}}.", str(start + n + n % 2)) for n in range(COUNT // 3)]
    letters = [(rf"Row {start + n}: \boxed{{{'ABCD'[n % 4]}}}", "ABCD"[n % 3]) for n in range(COUNT // 3)]
    words = [
        (rf"\boxed{{red cube number {start + n}}}", f"red cube number {start + n + n % 2}") for n in range(COUNT // 3)
    ]
    return numbers + letters + words


def chat(round_number: int) -> list[tuple[str, str]]:
    """Replies of some sentences, whose answer no box marks."""
    start = 100_000 * round_number
    form = (
        "The picture shows two rows.\nIn the first there are {0} dots, in the second {1}.\n\n{2}\n\nI hope this helps!"
    )
    ends = (
        "The answer is {0}.",
        "Therefore, there are {0} dots in total.",
        "So the length is {0} cm.",
        "**Answer:** {0}",
    )
    return [(form.format(n, start, ends[n % 4].format(start + n)), str(start + n + (n // 4) % 2)) for n in range(COUNT)]


def expressions(round_number: int) -> list[tuple[str, str]]:
    """Roots, polynomials and pairs in a box."""
    start = 1000 * round_number
    pairs = []
    for n in range(start, start + COUNT // 3):
        pairs += [
            (rf"\boxed{{{n}\sqrt{{3}}}}", rf"\sqrt{{{3 * n * n + n % 2}}}"),
            (rf"\boxed{{(x+{n})^2}}", f"x^2+{2 * n}x+{n * n + n % 2}"),
            (rf"\boxed{{\left(\frac{{{n}}}{{7}}, -2\right)}}", rf"(\frac{{{n + n % 2}}}{{7}}, -2)"),
        ]
    return pairs


def ours(reply: str, gold: str) -> None:
    judge(reply, gold)


def math_verify(reply: str, gold: str) -> None:
    from math_verify import parse, verify

    verify(parse(f"${gold}$"), parse(reply))


def per_second(pairs: list[tuple[str, str]], judged: Callable[[str, str], None]) -> float:
    start = time.perf_counter()
    for reply, gold in pairs:
        judged(reply, gold)
    return len(pairs) / (time.perf_counter() - start)


def overhead() -> float:
    """Median milliseconds that one comparison by a warm child takes beyond the comparison itself."""
    from hf_rap.verify.comparer import answer_to, prepare
    from hf_rap.verify.comparers import ask

    prepare()
    request = ("equal", r"2\sqrt{3}", r"\sqrt{12}")

    def median(call: Callable[[], object]) -> float:
        call()
        times = []
        for _ in range(300):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return 1000 * statistics.median(times)

    return median(lambda: ask(*request)) - median(lambda: answer_to(list(request)))


def main() -> None:
    for warm in (ours, math_verify):
        per_second(expressions(9)[:9], warm)
    print(f"{'pairs':14}{'verdicts per second':>22}{'math-verify':>14}{'ratio':>8}")
    for kind in (plain, chat, expressions):
        rounds = [
            [per_second(kind(number), judged) for judged in (ours, math_verify)] for number in range(1, ROUNDS + 1)
        ]
        speed, theirs = (statistics.median(speeds) for speeds in zip(*rounds, strict=True))
        print(f"{kind.__name__:14}{speed:22,.0f}{theirs:14,.0f}{speed / theirs:7.1f}x")
    if "--overhead" in sys.argv or len(sys.argv) == 1:
        print(f"overhead of one comparison by a warm child: {overhead():.2f} ms")


if __name__ == "__main__":
    main()
