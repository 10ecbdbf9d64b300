"""A process of its own that maps every callable, and prints the new columns as JSON; see `test_surroundings.py`."""

import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

SPAWNED = ("cde_score", "Rollouts", "lengths")  # each process loads everything anew


def main(way: str) -> None:
    if way == "strict":  # of ours, and those that are raised in our modules
        from hf_rap.errors import RapDeprecationWarning

        warnings.filterwarnings("error", category=RapDeprecationWarning)
        warnings.filterwarnings("error", module=r"hf_rap(\.|$)")
    import datasets
    import multiprocess
    from every_callable import CALLABLES, everything, new_columns, rows_for

    datasets.disable_caching()
    datasets.disable_progress_bars()
    ds = everything()

    def mapped(name, **options):
        call = CALLABLES[name]
        return new_columns(call, rows_for(call, ds).map(call, batched=True, batch_size=3, **options))

    if way in ("fork", "spawn"):
        multiprocess.set_start_method(way)
        columns = {name: mapped(name, num_proc=2) for name in (SPAWNED if way == "spawn" else CALLABLES)}
    elif way == "threads":
        with ThreadPoolExecutor(8) as pool:
            rounds = [{name: pool.submit(mapped, name) for name in CALLABLES} for _ in range(3)]
            columns, *others = [{name: future.result() for name, future in each.items()} for each in rounds]
        assert all(other == columns for other in others)
    else:
        columns = {name: mapped(name) for name in CALLABLES}
    print(json.dumps(columns))


if __name__ == "__main__":
    main(sys.argv[1])
