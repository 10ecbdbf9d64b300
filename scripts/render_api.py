"""Which public name stands on which page of docs/reference/python; what the pages say of it mkdocstrings reads from its docstring."""

from __future__ import annotations

import inspect

from page_tables import table

import hf_rap
from hf_rap import errors

# Page -> its title, its first sentence, its names.
TOPICS = {
    "data": (
        "Data",
        "Rows of yours and of the Hub: read, looked at, mixed.",
        "load_source Source inspect_dataset Inspection Layout mix_datasets Mixture describe_source SourceInfo Column",
    ),
    "evidence": (
        "Evidence",
        "What a model does with the rows: replies, grades, attention, likelihoods, steps.",
        (
            "Rollouts collect_evidence estimate Estimate grader Grading regrade PromptTemplate add_pass_rates add_rollout_file Attention "
            "Controls Likelihood ReplyLikelihood PromptStates Collector StepRewards annotate_steps load_process_rewards ProcessLayout EpochReport"
        ),
    ),
    "engines": (
        "Engines",
        "What runs the model.",
        "TransformersEngine VLLMEngine EndpointEngine Engine Sampling Request Completion",
    ),
    "runs": (
        "Runs and fewer attempts",
        "Evidence that survives a crash, and rows that get as many attempts as they need.",
        "collect_in_run list_runs Held collect_adaptive Exact Sequential collect_probed Probing fit_probe Probe ProbeReport",
    ),
    "scores": (
        "Scores",
        "Evidence becomes numbers, in seconds.",
        (
            "cde_score CDEScore difficulty_score DifficultyScore ace_score ACEScore gold_doubt_score GoldDoubtScore bis_score BISScore visual_dependence_score VisualDependenceScore "
            "add_scores fit_prior Prior list_doubts Doubts Doubt scorer Scorer FunctionScorer"
        ),
    ),
    "select": (
        "Selecting",
        "Scores become a decision with a reason for every row.",
        (
            "select_cognitive Selection select_difficulty split_stages Stages select_top Quantile compare_methods Comparison stability "
            "Stability Method Settings Decision Step Reason Citation"
        ),
    ),
    "publish": (
        "Publishing",
        "A selection becomes a version, in a folder or on the Hub.",
        "publish_to_folder Published publish Release load diff Difference reselect yank report",
    ),
    "export": (
        "Exporting",
        "Rows in the layout of a trainer, and parts of your own.",
        "export Exported check_export Handoff Limits pull add_plugin",
    ),
    "errors": ("Errors", "Everything that hf_rap raises on purpose; anything else is a fault of ours.", "RapError"),
}
# Of these you write one of your own, or read what they hold: their parts are shown, too.
OPEN = ("Engine", "Collector", "Scorer", "Selection", "Layout", "Prior")
_OPTIONS = "    options:\n      members: null\n"


def names_on(topic: str) -> list[str]:
    """The names of a page, with where they are found."""
    names = [f"hf_rap.{name}" for name in TOPICS[topic][2].split()]
    if topic == "errors":
        classes = inspect.getmembers(errors, inspect.isclass)
        own = [name for name, thing in classes if issubclass(thing, errors.RapError) and thing is not errors.RapError]
        names += [f"hf_rap.errors.{name}" for name in [*own, "RapDeprecationWarning"]]
    return names


def topic_page(topic: str) -> str:
    """One page: a line for each name, in whose place the site has what its docstring says."""
    title, sentence, _ = TOPICS[topic]
    parts = [f"# {title} in Python\n\n{sentence} [All names](../python.md)\n"]
    parts += [f"::: {name}\n{_OPTIONS if name.rpartition('.')[2] in OPEN else ''}" for name in names_on(topic)]
    return "\n".join(parts)


def names_page() -> str:
    """Every public name with the first sentence about it, and where the rest is."""
    parts = [
        "# Names in Python\n",
        "`from hf_rap import NAME`; `help(NAME)` says what these pages say. `hf_rap.__version__` is the version.\n",
    ]
    for topic, (title, sentence, _) in TOPICS.items():
        rows = [(f"[`{_short(name)}`](python/{topic}.md#{name})", first_line(_thing(name))) for name in names_on(topic)]
        parts += [f"## {title}\n", f"{sentence}\n", "\n".join(table(("name", "what it is"), rows)) + "\n"]
    return "\n".join(parts)


def first_line(thing: object) -> str:
    """The first paragraph of a docstring, as Markdown that shows these very letters."""
    from render_reference import plain

    return plain((inspect.getdoc(thing) or "").split("\n\n")[0].split("\n>>>")[0])


def _short(name: str) -> str:
    return name.removeprefix("hf_rap.")


def _thing(name: str) -> object:
    thing: object = hf_rap
    for part in _short(name).split("."):
        thing = getattr(thing, part)
    return thing


PAGES = {"python.md": names_page, **{f"python/{topic}.md": (lambda topic=topic: topic_page(topic)) for topic in TOPICS}}
