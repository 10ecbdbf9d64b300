"""Does training on the selection help? GRPO with TRL on the whole planted pool and on subsets of it, measured on held-out rows.

    python benchmarks/training.py --work FOLDER [--quick]       train, measure, write results, tables and plot
    python benchmarks/training.py --work FOLDER --report        tables and plot again, from what is in FOLDER

A small model that can see, but often answers without looking, is made first (`training_start.py`; a minute, kept in FOLDER).
It scores the pool itself, as a user's model does. Then each arm is trained from it with the same recipe until it has made `--steps` steps and has
sampled as many tokens as these steps take on the whole pool, so that one run gives both comparisons. The whole pool goes on
until it has also spent the tokens that scoring cost. A killed run goes on where it was.

About 35 CPU minutes, with --quick (one seed, few steps) four; a process per core. A GPU is used where there is one.
The figures of docs/measurements/training.md: --out docs/evidence --images docs/images.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hf_rap import TransformersEngine
from hf_rap.demo import MODEL

CAN_GROW = ("seeds", "arms")  # of a plan that goes on in its folder


@dataclass(frozen=True)
class Plan:
    """What is run; the same plan gives the same runs, up to the rounding of the machine's arithmetic."""

    work: str
    start: str
    mix: str = "wasteful"
    rows: int = 800
    seeds: int = 5
    steps: int = 40
    every: int = 10
    learning_rate: float = 1e-4
    prompts_per_step: int = 8
    arms: tuple[str, ...] = ()
    cpu: bool = True


def prepare(plan: Plan, seed: int) -> dict[str, Any]:
    """The rows of every arm of one seed, chosen by the model that is going to be trained."""
    quiet()
    from training_data import choose_rows, make_pool

    pool = make_pool(plan.rows, plan.mix, seed=seed)
    return choose_rows(pool, plan.start, Path(plan.work), seed=seed, device=device(plan))


def train_arm(plan: Plan, seed: int, arm: str) -> dict[str, Any]:
    """One run: trained, and measured where its model was kept."""
    quiet()
    import training_data
    from training_grpo import Budget, Recipe, train

    name = f"{seed}-{arm.replace(', ', '-').replace(' ', '-')}"
    found = Path(plan.work) / f"run-{name}.json"
    if found.exists():
        return json.loads(found.read_text())
    chosen = prepare(plan, seed)
    rows = training_data.make_pool(plan.rows, plan.mix, seed=seed).select(chosen["arms"][arm])
    recipe = replace(Recipe(), learning_rate=plan.learning_rate, prompts_per_step=plan.prompts_per_step)
    equal = round(plan.steps * recipe.replies_per_step * chosen["mean_reply"])
    scored = equal + training_data.scoring_tokens(training_data.RAP, chosen)
    budget = Budget(plan.steps, (equal, scored) if arm == training_data.WHOLE else (equal,), plan.every)
    folder = Path(
        tempfile.mkdtemp(prefix=f"models-{name}-", dir=plan.work)
    )  # of its own, should two be at the same run
    clock = training_data.Clock()
    trained = train(plan.start, rows, folder, budget, recipe=recipe, seed=seed, cpu=plan.cpu)
    seconds = clock.lap()
    held_out = training_data.planted_rows(training_data.HELD_OUT, seed=training_data.HELD_OUT_SEED)
    measured = {
        step: training_data.measure(str(folder / f"checkpoint-{step}"), held_out, plan.mix, device=device(plan))
        for step in sorted(int(kept.name.split("-")[1]) for kept in folder.glob("checkpoint-*"))
    }
    run = {
        "seed": seed,
        "arm": arm,
        "rows": len(rows),
        "steps": plan.steps,
        "tokens_equal": equal,
        "tokens_with_scoring": scored,
        "scoring_tokens": training_data.scoring_tokens(arm, chosen),
        "training": seconds,
        "steps_made": len(trained["reward"]),
        **trained,
        "measured": measured,
    }
    shutil.rmtree(folder)
    partial = folder.with_suffix(".part")
    partial.write_text(json.dumps(run))
    partial.rename(found)
    return json.loads(found.read_text())  # keys of numbers are text now, as in a run that was read


def device(plan: Plan) -> str | None:
    return "cpu" if plan.cpu else None


def quiet() -> None:
    """One thread per process, no bars, nothing from the network."""
    import datasets
    import torch
    import transformers

    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    datasets.disable_caching()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def make_start(plan: Plan) -> Plan:
    """The plan with its start, which is trained once per folder."""
    folder = Path(plan.work) / "start"
    if not plan.start and not folder.exists():
        quiet()
        import training_start

        print(f"Training the start, once: {folder}", flush=True)
        making = folder.with_suffix(".part")
        training_start.make_start(making)
        making.rename(folder)
    return replace(plan, start=plan.start or str(folder))


def accuracy_of(plan: Plan, model: str) -> dict[str, Any]:
    quiet()
    import training_data

    held_out = training_data.planted_rows(training_data.HELD_OUT, seed=training_data.HELD_OUT_SEED)
    return training_data.measure(model, held_out, plan.mix, device=device(plan))


def settings_of(plan: Plan) -> dict[str, Any]:
    """What decides the runs, ready for JSON, without paths."""
    settings = {name: value for name, value in asdict(plan).items() if name not in ("work", "start")}
    return {**settings, "arms": list(plan.arms), "weights": str(TransformersEngine(plan.start).identity)}


def run(plan: Plan, workers: int) -> None:
    """All runs of the plan, seed by seed; the whole pool, the longest, first."""
    settings = settings_of(plan)
    about = Path(plan.work) / "plan.json"
    if about.exists():
        before = json.loads(about.read_text())["plan"]
        other = [name for name, value in settings.items() if name not in CAN_GROW and before.get(name) != value]
        if other:
            told = ", ".join(f"{name} {before.get(name)!r}, now {settings[name]!r}" for name in other)
            raise SystemExit(f"{plan.work} holds runs of another plan ({told}). Name another --work folder.")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        models = {"start": plan.start, "built_in": str(MODEL)}
        measured = dict(zip(models, pool.map(accuracy_of, [plan] * 2, models.values()), strict=True))
        about.write_text(json.dumps({"plan": settings, **measured}))
        list(pool.map(prepare, [plan] * plan.seeds, range(plan.seeds)))
        jobs = [pool.submit(train_arm, plan, seed, arm) for seed in range(plan.seeds) for arm in plan.arms]
        for job in as_completed(jobs):
            said = job.result()
            share = said["measured"][str(plan.steps)]["image"]
            done = sum(one.done() for one in jobs)
            print(f"{done}/{len(jobs)} seed {said['seed']}, {said['arm']}: {share:.1%} of image questions", flush=True)


def collect(work: Path) -> dict[str, Any]:
    """What is in the folder: all runs, or those that were finished before it was stopped."""
    from training_data import ARMS

    about = json.loads((work / "plan.json").read_text())
    runs = [json.loads(path.read_text()) for path in work.glob("run-*.json")]
    runs.sort(key=lambda run: (run["seed"], ARMS.index(run["arm"])))
    seeds = sorted({run["seed"] for run in runs})
    made = {"seeds": len(seeds), "arms": [arm for arm in ARMS if any(run["arm"] == arm for run in runs)]}
    chosen = {str(seed): json.loads((work / f"chosen-{seed}.json").read_text()) for seed in seeds}
    return {**about, "plan": {**about["plan"], **made}, "chosen": chosen, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the start and the runs; a killed run goes on there"
    )
    parser.add_argument("--start", type=Path, help="a model's folder, in place of one made here")
    parser.add_argument("--quick", action="store_true", help="one seed, few steps")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--mix", choices=("wasteful", "even"), default=Plan.mix)
    parser.add_argument("--arms", help="some of the arms, with + between them")
    for name in ("rows", "seeds", "steps", "every", "prompts_per_step"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--workers", type=int, default=0, help="processes; default: one per core, one on a GPU")
    parser.add_argument("--out", type=Path, help="folder of training-MIX.json; default: --work")
    parser.add_argument("--images", type=Path, help="folder of training-MIX.png; default: --work")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    import torch
    from training_data import ARMS

    options.work.mkdir(parents=True, exist_ok=True)
    if not options.report:
        cpu = not torch.cuda.is_available()
        plan = make_start(Plan(str(options.work), str(options.start or ""), mix=options.mix, arms=ARMS, cpu=cpu))
        if options.quick:
            plan = replace(plan, rows=400, seeds=1, steps=10, every=5)
        given = {name: getattr(options, name) for name in ("rows", "seeds", "steps", "every", "prompts_per_step")}
        given["learning_rate"] = options.learning_rate
        given["arms"] = tuple(options.arms.split("+")) if options.arms else None
        plan = replace(plan, **{name: value for name, value in given.items() if value is not None})
        workers = options.workers or (os.cpu_count() or 1 if plan.cpu else 1)
        run(plan, workers)
    from training_report import report

    report(collect(options.work), options.out or options.work, options.images or options.work)


if __name__ == "__main__":
    main()
