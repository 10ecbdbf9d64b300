"""Right verdicts by kind of pair, beside math-verify and mathruler.

    python benchmarks/verifiers.py > table.md

The other two are called as trainers call them: math-verify by `verify(parse(gold), parse(reply))`, with the gold bare and
in dollars, whichever gives the right verdict; mathruler by `grade_answer(extract_boxed_content(reply), gold)`. Any answer
of a list counts. They have no verdict for a gold that cannot be read: WRONG is right for them there. A pair on which one
takes more than 20 seconds or fails counts as not right. A verifier that is not installed
(`scripts/requirements/verifiers.txt`) has no column.
"""

import json
import queue
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

DATA = Path(__file__).parents[1] / "tests" / "data"
FILES = ("answers_reported.jsonl", "answers_held_out.jsonl")
LIMIT_SECONDS = 20
# Kinds of fewer pairs share a row, the last one.
FEW, OTHERS = 4, "~ others"


def hf_rap(pair: dict) -> str:
    from hf_rap.verify import judge

    return judge(
        pair["reply"], pair["gold"], question=pair.get("question", ""), options=pair.get("options")
    ).verdict.value


def math_verify(pair: dict) -> str:
    from math_verify import parse, verify

    reply = parse(pair["reply"])
    return accepted(pair, lambda gold: verify(parse(gold), reply) or verify(parse(f"${gold}$"), reply))


def mathruler(pair: dict) -> str:
    from mathruler.grader import extract_boxed_content, grade_answer

    reply = extract_boxed_content(pair["reply"])
    return accepted(pair, lambda gold: grade_answer(reply, gold))


def accepted(pair: dict, agrees: Callable[[str], bool]) -> str:
    golds = pair["gold"] if isinstance(pair["gold"], list) else [pair["gold"]]
    return "correct" if any(agrees(str(gold)) for gold in golds) else "wrong"


def kind_of(pair: dict) -> str:
    return pair["kind"].partition(":")[0]


VERIFIERS = {"hf_rap": hf_rap, "math-verify": math_verify, "mathruler": mathruler}


def work(name: str) -> None:
    """Pairs in, a verdict a line out."""
    VERIFIERS[name]({"reply": r"\boxed{1}", "gold": "1"})
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            verdict = VERIFIERS[name](json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever a verifier raises
            verdict = type(error).__name__
        print(verdict, flush=True)


def verdicts(name: str, pairs: list[dict]) -> list[str] | None:
    """Of one verifier, in a process that is replaced when it takes too long; None where it does not start."""
    process, given = None, []
    for pair in pairs:
        if process is None:
            process, lines = start(name)
            if lines.get(timeout=300) != "ready":
                return None
        process.stdin.write(json.dumps(pair) + "\n")
        process.stdin.flush()
        try:
            given.append(lines.get(timeout=LIMIT_SECONDS))
        except queue.Empty:
            given.append("too slow")
            process.kill()
            process = None
    process.kill()
    return given


def start(name: str) -> tuple[subprocess.Popen, queue.Queue]:
    pipe = subprocess.PIPE
    command = [sys.executable, __file__, "--work", name]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
    lines: queue.Queue = queue.Queue()

    def read() -> None:
        for line in process.stdout:
            lines.put(line.strip())
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    return process, lines


def main() -> None:
    if "--work" in sys.argv:
        work(sys.argv[2])
        return
    for file in FILES:
        pairs = [json.loads(line) for line in (DATA / file).read_text("utf-8").splitlines()]
        columns = {name: given for name in VERIFIERS if (given := verdicts(name, pairs)) is not None}
        right: dict = defaultdict(lambda names=tuple(columns): dict.fromkeys(names, 0))
        sizes = defaultdict(int)
        often = Counter(kind_of(pair) for pair in pairs)
        for number, pair in enumerate(pairs):
            kind = kind_of(pair) if often[kind_of(pair)] >= FEW else OTHERS
            sizes[kind] += 1
            for name, given in columns.items():
                wanted = {pair["expected"]} | (
                    {"wrong"} if name != "hf_rap" and pair["expected"] == "unreadable" else set()
                )
                right[kind][name] += given[number] in wanted
        print(f"\n`tests/data/{file}`\n\n| kind | pairs | {' | '.join(columns)} |\n|---|---:|{'---:|' * len(columns)}")
        for kind in sorted(sizes):
            print(f"| {kind.strip('~ ')} | {sizes[kind]} | {' | '.join(str(right[kind][name]) for name in columns)} |")
        totals = {name: sum(counts[name] for counts in right.values()) for name in columns}
        print(f"| **all** | {len(pairs)} | {' | '.join(f'{n} ({n / len(pairs):.1%})' for n in totals.values())} |")
        slow = {name: given.count("too slow") for name, given in columns.items()}
        print(f"\nmore than {LIMIT_SECONDS} seconds: " + ", ".join(f"{name} {count}" for name, count in slow.items()))


if __name__ == "__main__":
    main()
