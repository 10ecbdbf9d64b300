"""Options that several commands share, and what they become."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from hf_rap.columns import ARMS
from hf_rap.errors import SettingError
from hf_rap.plugins import called, object_at
from hf_rap.rows.chats import TURNS
from hf_rap.rows.choice_golds import ANSWERS_AS
from hf_rap.rows.golds import SEVERAL
from hf_rap.rows.presets import PRESETS, find_prompt
from hf_rap.select.base import DROP, TEXT_ROWS
from hf_rap.select.methods import METHODS, find_method
from hf_rap.stats.settings import CUT
from hf_rap.stats.thresholds import AS_MANY, MIN_REPLACEMENT_CDE

from .how import how_option

if TYPE_CHECKING:
    import datasets

    from hf_rap.adaptive.stopping import Exact, Sequential
    from hf_rap.engines.base import Engine
    from hf_rap.engines.endpoint import EndpointEngine
    from hf_rap.engines.transformers_engine import TransformersEngine
    from hf_rap.engines.vllm_engine import VLLMEngine
    from hf_rap.evidence.rollouts import Rollouts
    from hf_rap.exports.limits import Limits
    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.prompts import PromptTemplate
    from hf_rap.select import Selection
    from hf_rap.select.overrides import Marks

TRANSFORMERS, VLLM, ENDPOINT = "transformers", "vllm", "endpoint"  # of --engine
Command = TypeVar("Command", bound=Callable[..., Any])


class Grouped(click.Command):
    """A command whose help lists its options by what they are about, and whose --out replaces no file of another's."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs it; where there is a file already, only if it was made in the same way."""
        if media_roots := ctx.params.pop("media_roots", ()):
            from hf_rap.rows.media import allowed

            ctx.with_resource(allowed(media_roots))
        out = ctx.params.get("out")
        if isinstance(out, Path) and "overwrite" in ctx.params:
            from .files import refuse_other_file

            refuse_other_file(out, overwrite=ctx.params.pop("overwrite"))
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section per title that `together` has given, in the order in which the titles come."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(parameter, "title", "Options"), []).append(record)
        sections["Options"] = sections.pop("Options")  # last, with --help
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


command = partial(click.command, cls=Grouped)


def together(options: Iterable[Callable[[Any], Any]], title: str | None = None) -> Callable[[Command], Command]:
    """One decorator that adds all these options, under a title of their own in the help."""

    def add(command: Command) -> Command:
        before = len(getattr(command, "__click_params__", ()))
        for option in reversed(list(options)):
            command = option(command)
        if title is not None:
            for parameter in command.__click_params__[before:]:  # type: ignore[attr-defined]
                parameter.title = title
        return command

    return add


def _old_instruction(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """`--instruction` was all that could be said of a prompt."""
    if value is not None:
        click.echo(
            "hf-rap: --instruction is now a file with `suffix: ...` for --prompt; the old name goes away in version 0.2.",
            err=True,
        )
    return value


_media_root = click.option(
    "--media-root",
    "media_roots",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder beside that of SOURCE whose files rows may name; may be given several times.",
)


def source_argument(command: Command) -> Command:
    """SOURCE as one text; its parts may also be given as flags, which then win."""

    @wraps(command)
    def with_source(
        *args: Any, source: str, config: str | None, revision: str | None, split: str | None, **options: Any
    ) -> Any:
        from hf_rap.rows.sources import Source, parse_source

        if config or revision or split:
            parsed = parse_source(source)
            named = (config or parsed.config, revision or parsed.revision, split or parsed.split)
            source = str(Source(parsed.path, *named))
        return command(*args, source=source, **options)

    parts = [
        click.argument("source"),
        click.option("--config", help="Configuration of SOURCE; the same as name:config."),
        click.option("--revision", help="Branch, tag or commit of SOURCE; the same as name@revision."),
        click.option("--split", help="Split of SOURCE; the same as name#split."),
        _media_root,
    ]
    return cast("Command", together(parts, title="Source")(with_source))


def sources_argument(command: Command) -> Command:
    """SOURCE, or several of them that are put together, without test sets."""
    without = click.option(
        "--without",
        metavar="SOURCE",
        multiple=True,
        help="Leave out rows that stand in this test set; may be repeated.",
    )
    return several_sources(command, without)


def several_sources(command: Command, *further: Any) -> Command:
    """SOURCE, or several of them; parts of a single one may also be given as flags, which then win."""

    @wraps(command)
    def with_sources(
        *args: Any,
        sources: tuple[str, ...],
        config: str | None,
        revision: str | None,
        split: str | None,
        **options: Any,
    ) -> Any:
        from hf_rap.rows.sources import Source, parse_source

        if config or revision or split:
            if len(sources) > 1:
                raise click.UsageError(
                    "--config, --revision and --split are for one SOURCE: write name:config@revision#split."
                )
            parsed = parse_source(sources[0])
            named = (config or parsed.config, revision or parsed.revision, split or parsed.split)
            sources = (str(Source(parsed.path, *named)),)
        return command(*args, sources=sources, **options)

    parts = [
        click.argument("sources", metavar="SOURCE...", nargs=-1, required=True),
        click.option("--config", help="Configuration of SOURCE; the same as name:config."),
        click.option("--revision", help="Branch, tag or commit of SOURCE; the same as name@revision."),
        click.option("--split", help="Split of SOURCE; the same as name#split."),
        _media_root,
        *further,
    ]
    return cast("Command", together(parts, title="Source")(with_sources))


class ParquetFile(click.ParamType[Path]):
    """A file that can be written later; found out now, for hours may lie between."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002
        """The path.

        Raises:
            SourceError: it is neither the name of a Parquet file nor of a folder, or nothing can be written there.
        """
        from .files import check_file

        return check_file(Path(value), is_folder=value.endswith(("/", os.sep)))


class BatchSize(click.ParamType["int | str"]):
    """A whole number, or auto."""

    name = "rows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or "auto"; `TransformersEngine` says what it takes."""
        return value if value == "auto" else click.INT.convert(value, param, ctx)


def out_option(text: str, *, required: bool = False) -> Callable[[Command], Command]:
    """--out FILE.parquet."""
    return together(
        [
            click.option("--out", type=ParquetFile(), required=required, help=text),
            click.option("--overwrite", is_flag=True, help="Replace a file at --out that was made in another way."),
        ]
    )


as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")

layout_options = together(
    [
        click.option("--question", help="Column of the question; default: recognised, as all of these."),
        click.option("--images", help="Column of the image or images, or several: image_1,image_2."),
        click.option("--answer", help="Column of the gold answer; a field of a struct is struct.field."),
        click.option("--choices", help="Column of the options of a multiple choice, or one for each: A,B,C,D."),
        click.option(
            "--answers-as",
            type=click.Choice(ANSWERS_AS),
            help="How golds name an option: letter, text, either (named), or number from 0 or 1 (index0, index1).",
        ),
        click.option("--choice-form", help="How an option stands below the question; default: '{letter}. {text}'."),
        click.option(
            "--turns",
            type=click.Choice(TURNS),
            help="Which question of a chat with several; each: a row for every one.",
        ),
        click.option(
            "--several",
            type=click.Choice(SEVERAL),
            help="Of the answers of several people, any (default) or the majority.",
        ),
        click.option("--labels", help="What the numbers 0, 1, ... of the golds stand for: no,yes."),
        click.option("--ignore-columns", help="Columns that look like options or images and are not to be read: a,b."),
        click.option("--id", "id_column", help="Column that names the rows; default: recognised, else a content hash."),
    ],
    title="Columns",
)

model_options = together(
    [
        click.option("--model", required=True, help="Hub id or folder of a vision-language model, or 'demo'."),
        click.option("--model-revision", help="Branch, tag or commit of the model."),
        click.option("--adapter", help="LoRA adapter on the model: folder, or Hub id as name or name@revision."),
        how_option("--device", help="cuda, cuda:1, cpu, or auto (all GPUs); default: a GPU if there is one."),
        click.option("--dtype", default="auto", show_default=True, help="auto, bfloat16, float16 or float32."),
        how_option("--attn-implementation", help="sdpa, flash_attention_2 or eager; default: transformers' choice."),
        how_option(
            "--batch-size",
            type=BatchSize(),
            default="auto",
            show_default=True,
            help="Rows generated together; auto: as many as fit the GPU, 16 on a CPU.",
        ),
        click.option(
            "--processor-options", default="{}", help="JSON for the processor, e.g. '{\"max_pixels\": 1003520}'."
        ),
        click.option(
            "--allow-missing",
            multiple=True,
            metavar="PATTERN",
            help="Weights that the checkpoint may lack or have left over, e.g. 'visual.*'; others are refused.",
        ),
        click.option("--trust-remote-code", is_flag=True, help="Run code that comes with the model."),
    ],
    title="Model",
)


class Duration(click.ParamType[float]):
    """90, 90s, 10m or 2h, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; one that is no duration is bad usage."""
        text = str(value).strip()
        unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
        try:
            seconds = float(text[:-1]) * unit if unit else float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            self.fail(
                f"{text!r} is no duration: give seconds, or a number with s, m or h behind it, such as 30m.", param, ctx
            )
        return seconds


_engine_option = together(
    [
        click.option(
            "--engine",
            default=TRANSFORMERS,
            show_default=True,
            help="transformers, vllm, endpoint, or your own; --endpoint implies it. Another engine is other evidence.",
        )
    ],
    title="Model",
)
_vllm_options = together(
    [
        how_option("--data-parallel", type=int, help="Copies of the model, each on GPUs of its own; default: 1."),
        how_option("--tensor-parallel", type=int, help="GPUs that share one model; default: 1."),
        click.option("--max-model-len", type=int, help="Tokens of prompt and reply; default: as many as fit."),
        click.option(
            "--vllm-options", metavar="JSON", help='Other engine arguments of vLLM, e.g. \'{"quantization": "fp8"}\'.'
        ),
    ],
    title="vLLM",
)
_endpoint_options = together(
    [
        click.option("--endpoint", help="URL of an OpenAI-compatible server (http://host:8000/v1) that has --model."),
        how_option("--token-env", help="Environment variable with the server's token; default: no token is sent."),
        how_option("--concurrency", default=32, show_default=True, help="Requests to the server at once."),
        how_option(
            "--timeout",
            type=Duration(),
            default="10m",
            show_default=True,
            help="For one request; twice as long at every retry.",
        ),
        how_option("--retries", default=8, show_default=True, help="Further tries of a request that failed."),
        how_option(
            "--wait-for-server",
            type=Duration(),
            default="0",
            show_default=True,
            help="How long a server that is away is waited for, e.g. 30m; no request uses up its retries meanwhile.",
        ),
        how_option(
            "--max-reply-bytes",
            type=click.IntRange(1),
            default=1 << 26,
            show_default=True,
            help="Of an answer of the server; a larger one counts as one that cannot be read.",
        ),
        click.option("--extra-body", default="{}", help="JSON added to every request, e.g. '{\"top_k\": -1}'."),
    ],
    title="Server",
)
engine_options = together([_engine_option, _vllm_options, _endpoint_options])

run_options = together(
    [
        click.option(
            "--run", help="Folder or URL (s3://, hf://buckets/...) that keeps what is done: resumes, tops up."
        ),
        how_option(
            "--rows-per-part",
            type=int,
            help="What a kill can cost each process; default: 64 or --batch-size, 192 where that is auto on a GPU, "
            "16 for steps, 256 in vLLM on a GPU, where two are in flight.",
        ),
        how_option("--retry-errors", is_flag=True, help="Do rows again that failed earlier."),
        click.option(
            "--partial", is_flag=True, help="With --run: ask nothing, and leave out the rows that the run lacks so far."
        ),
        how_option(
            "--ray", help="Address of the Ray cluster of this machine (auto, HOST:PORT, local) that shares the run."
        ),
        how_option("--ray-workers", type=int, help="Actors, one model each; default: one per GPU, or CPU."),
        how_option("--trackio", metavar="PROJECT", help="Also log rates and counts to this trackio project."),
        how_option(
            "--max-total-tokens",
            type=int,
            metavar="N",
            help="Stop before more tokens than this are generated; the same command goes on later.",
        ),
        how_option("--max-errors", default=0.5, show_default=True, help="Stop when a larger share of rows fails."),
    ],
    title="Run folder",
)


def prompt_option(text: str) -> Callable[[Command], Command]:
    """--prompt, with a text about it that ends its help."""
    return click.option("--prompt", metavar="NAME|FILE", help=f"{', '.join(PRESETS)}, or a YAML file. {text}")


old_instruction = click.option(
    "--instruction", hidden=True, callback=_old_instruction, help="The old name of --prompt."
)
_asking = [
    click.option("--keep-system", is_flag=True, help="Ask with the row's own system turn where it has one."),
    old_instruction,
]
likelihood_prompt_options = together(
    [prompt_option("What stands around the question (docs/prompts.md); default: at-once."), *_asking]
)


def make_prompt(options: Mapping[str, Any], default: str) -> PromptTemplate:
    """The prompt from what prompt options gathered; the one of this name where nothing is given."""
    from hf_rap.rows.prompts import PromptTemplate

    given, instruction = options["prompt"], options["instruction"]
    if given is not None and instruction is not None:
        raise click.UsageError("Give --prompt alone: --instruction is its old name.")
    prompt = find_prompt(given or default) if instruction is None else PromptTemplate(suffix=instruction)
    return replace(prompt, keep_system=True) if options.get("keep_system") else prompt


def prompt_if_given(options: Mapping[str, Any]) -> PromptTemplate | None:
    """The same, where something is given."""
    return None if options["prompt"] is options["instruction"] is None else make_prompt(options, "default")


_drawing = [
    click.option(
        "--temperature",
        default=1.0,
        show_default=True,
        help="0 takes the likeliest token, so that attempts are all the same.",
    ),
    click.option(
        "--top-p", default=1.0, show_default=True, help="Share of probability that tokens are drawn from; 1 keeps all."
    ),
    click.option("--top-k", default=0, show_default=True, help="0 keeps every token."),
    click.option("--max-new-tokens", default=1024, show_default=True, help="Longer replies are cut off."),
    click.option("--seed", default=0, show_default=True, help="Of sampling and of ties in the selection."),
    prompt_option("What stands around the question (docs/prompts.md); default: think, then box the answer."),
    *_asking,
]
sampling_options = together(
    [
        click.option("--attempts", default=5, show_default=True, help="Replies per row and arm."),
        click.option(
            "--arms",
            type=click.Choice(["both", *ARMS]),
            default="both",
            show_default=True,
            help="image: ask nothing on the text alone, which is half of the replies; enough for --method difficulty.",
        ),
        *_drawing,
        click.option("--attention", is_flag=True, help="Also note where the model looked, for rap_ace."),
        click.option("--keep-ids", is_flag=True, help="Also keep the tokens of the replies, for a second pass."),
    ],
    title="Sampling",
)
drawing_options = together(_drawing, title="Sampling")


_grader = [
    click.option(
        "--verifier",
        metavar="MODULE:ATTRIBUTE",
        help="Your own grader (docs/graders.md); default: the built-in verifier.",
    ),
    click.option(
        "--cut",
        type=click.Choice(CUT),
        help="What a reply that hit the token limit counts as; default: wrong. graded: on what is there.",
    ),
]
grader_options = together(_grader, title="Grading")
grading_options = together(
    [
        *_grader,
        click.option("--correct", type=float, help="Reward from which on a reply counts as solved; default: 1."),
    ],
    title="Grading",
)


def make_grading(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `Rollouts`, `Controls` and `regrade` that grading_options gathered; what was not given is left out."""
    given = {name: options[name] for name in ("correct", "cut") if options.get(name) is not None}
    if options["verifier"] is not None:
        place = options["verifier"]
        given["verifier"] = called(object_at(place, "The grader", "my_graders:anls"), f"The grader {place}")
    return given


adaptive_options = together(
    [
        click.option(
            "--adaptive",
            type=click.Choice(["exact", "sequential"]),
            help="Spare attempts. exact: those that cannot change the selection; sequential: more where it is unsure, "
            "--attempts on average.",
        ),
        click.option(
            "--agreement", type=float, help="With --adaptive sequential: stop when so sure (Jaccard), e.g. 0.8."
        ),
    ],
    title="Fewer attempts",
)


def make_stopping(options: dict[str, Any]) -> Exact | Sequential | None:
    """When rows have enough attempts, from adaptive_options and the options of a selection; None without --adaptive."""
    from hf_rap.adaptive.stopping import Exact, Sequential

    if options["adaptive"] is None:
        if options["agreement"] is not None:
            raise click.UsageError("--agreement is for --adaptive sequential.")
        return None
    if not find_method(options.get("method", "rap")).adaptive:
        raise click.UsageError(
            f"--adaptive is for --method {', '.join(m.name for m in METHODS.values() if m.adaptive)}."
        )
    if options["adaptive"] == "sequential":
        return Sequential(min_cde=options["min_cde"], agreement=options["agreement"])
    if options["agreement"] is not None:
        raise click.UsageError("--agreement is for --adaptive sequential.")
    names = ("min_cde", "replace_easy", "min_replacement_cde", "replacements", "seed")
    fixed = find_method(options.get("method", "rap")).fixed
    return Exact(**{name: fixed.get(name, options[name]) for name in names})


class NumberOrWord(click.ParamType[Any]):
    """0.5 as a number, none as None, q0.9, auto and as-many as the words that `select_cognitive` reads."""

    name = "number or word"

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        """The value as a number where it is one, and as a whole number where it may be one."""
        if value == "none":
            return None
        try:
            return int(value) if self.whole and str(value).isdigit() else float(value)
        except ValueError:
            return value.replace("-", " ")


class MarksFile(click.ParamType["Marks"]):
    """A file with marks, read now: hours may lie between this and the selection."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Marks:  # noqa: ARG002
        """The marks; `read_marks` says what it takes."""
        from hf_rap.select.overrides import read_marks

        return read_marks(value)


overrides_option = click.option(
    "--overrides",
    type=MarksFile(),
    help="What a person says goes before the rule: CSV, JSON or Parquet with rap_id and mark (keep, drop, wrong_gold).",
)
_rule = [
    click.option(
        "--min-cde",
        type=NumberOrWord(),
        default=0.5,
        show_default=True,
        help="Keep rows with cde above this; q0.9 is a quantile.",
    ),
    click.option(
        "--replace-easy/--keep-easy", default=True, show_default=True, help="Swap always solved rows for hard ones."
    ),
    click.option(
        "--min-replacement-cde",
        type=NumberOrWord(),
        default=MIN_REPLACEMENT_CDE,
        show_default=True,
        help="Replacements have a cde above this; none: no floor, as in the paper.",
    ),
    click.option(
        "--replacements",
        type=NumberOrWord(whole=True),
        default=AS_MANY.replace(" ", "-"),
        show_default=True,
        help="How many at most: rows (20), a share of those that leave (0.5), or as-many.",
    ),
]
rule_options = together(_rule, title="Selection")
selection_options = together(
    [
        *_rule,
        click.option(
            "--max-ace",
            type=NumberOrWord(),
            default="auto",
            show_default=True,
            help="Where rap_ace exists: a number or a quantile; auto: 0.1 for literal psi, q0.9 for windowed; none: off.",
        ),
        click.option(
            "--min-probability", type=float, help="Be so sure that the true cde is above --min-cde, e.g. 0.8."
        ),
        click.option(
            "--probe-prior",
            is_flag=True,
            help="With --min-probability: start from what a probe foretells of each row (rap_probe_image_rate, rap_probe_text_rate).",
        ),
        click.option(
            "--budget",
            help="Exact number of rows (200), share of all rows (0.1), or rows per value: geo=200,chart=100.",
        ),
        click.option("--stratify-by", help="Column whose values share the budget."),
        click.option(
            "--text-rows",
            type=click.Choice(TEXT_ROWS),
            default=DROP,
            show_default=True,
            help="Rows without an image: drop them, or keep those whose pass rate is in the published band.",
        ),
        click.option("--method", default="rap", show_default=True, help=f"One of {', '.join(METHODS)}."),
        overrides_option,
    ],
    title="Selection",
)

band_options = together(
    [
        click.option("--low", type=float, help="Smallest pass rate with the image; default: the paper's."),
        click.option("--high", type=float, help="Largest pass rate with the image; default: the paper's."),
        click.option(
            "--stage",
            type=click.Choice(["one", "two"]),
            help="Of two stages of training: the moderate, or the harder rows.",
        ),
        click.option(
            "--middle", type=float, help="With --stage: rows with a smaller pass rate are stage two; default: 0.5."
        ),
        click.option(
            "--sizes", metavar="ONE,TWO", help="With --stage: rows of each, e.g. 2000,600, instead of --middle."
        ),
    ],
    title="With --method difficulty",
)

top_options = together(
    [
        click.option("--top", help="Keep the best by --by instead: a share of each source (0.1) or a number of rows."),
        click.option("--by", default="rap_bis", show_default=True, help="With --top: the score to rank by."),
        click.option("--per", help="With --top: column whose values get a quota each; default: one quota for all."),
        click.option("--alpha", type=float, help="With --top: of rap_bis; default: 0.05, the paper's."),
        click.option("--lowest", is_flag=True, help="With --top: rank the lowest first."),
        click.option("--max-per-question", type=int, help="With --top: rows per question of a source."),
        click.option("--drop-duplicates", is_flag=True, help="With --top: of identical rollouts keep the first."),
        click.option(
            "--ties",
            type=click.Choice(["first", "random"]),
            help="With --top: of equal scores the earlier row, or any by --seed; default: first for rap_bis, else random.",
        ),
        click.option(
            "--quotas",
            type=click.Choice(["exact", "release"]),
            default="exact",
            show_default=True,
            help="With --top: how shares become rows; release: in floats, as the released script.",
        ),
    ],
    title="Ranking",
)

version_options = together(
    [
        click.option("--to-folder", type=click.Path(path_type=Path), help="New or empty folder, instead of REPO."),
        click.option("--version", "version_name", help="Three numbers; default for a folder: 1.0.0."),
        click.option("--licence", help="Of the data, such as cc-by-4.0; default: that of the source."),
        click.option("--name", help="Name of the dataset on the card of a folder; default: the folder's name."),
        click.option(
            "--report", is_flag=True, help="Add a page to look at the rows, report.html, linked from the card."
        ),
    ],
    title="Version",
)


def _old_control(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """`--control` of publish was another thing than that of score."""
    if value:
        click.echo("hf-rap: --control is now called --random-control; the old name goes away in version 0.2.", err=True)
        ctx.meta["hf_rap.random_control"] = True


def _random_control(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    """Under either name."""
    return value or ctx.meta.get("hf_rap.random_control", False)


_hub = [
    click.option(
        "--bump", type=click.Choice(["patch", "minor", "major"]), help="The version after the highest there is."
    ),
    click.option("--public", is_flag=True, help="Make the repository public, if it is made now."),
    click.option(
        "--random-control",
        is_flag=True,
        callback=_random_control,
        help="Add as many rows drawn at random, to compare with: the config control.",
    ),
    click.option(
        "--control",
        "old_control",
        is_flag=True,
        hidden=True,
        is_eager=True,
        expose_value=False,
        callback=_old_control,
        help="The old name of --random-control.",
    ),
    click.option("--allow-lower", is_flag=True, help="Publish although a higher version is there already."),
    click.option("--despite-licence", is_flag=True, help="Publish although the licence of the source forbids it."),
]
hub_options = together(_hub, title="Version")
dry_publish_option = click.option("--dry-run", is_flag=True, help="Say what would be published, and send nothing.")

handoff_options = together(
    [
        click.option("--max-prompt-tokens", type=int, help="Longest prompt of the training run; needs --model."),
        click.option("--model", help="Hub id or folder of the model to train, or 'demo'; counts the tokens."),
        click.option("--gpus", type=int, default=1, show_default=True, help="Of the machine to train on."),
        click.option("--group", type=int, default=8, show_default=True, help="Replies to a prompt."),
        click.option(
            "--val-rows", type=int, help="Rows to hold out; default: a tenth, up to 64, for trainers that need some."
        ),
        click.option("--min-pixels", type=int, help="Width times height of the smallest image."),
        click.option("--max-pixels", type=int, help="Width times height of the largest image."),
        click.option("--max-images", type=int, help="In one row."),
        click.option("--rollout-batch", type=int, help="Prompts per step; fewer rows than that are refused."),
        click.option(
            "--usual-verifier", is_flag=True, help="Refuse answers that the trainer's own reward cannot read."
        ),
        prompt_option("Another prompt than the rows were scored with (docs/prompts.md)."),
        click.option("--hints", is_flag=True, help="Put the hints of difficulty behind the questions."),
        click.option("--fix", is_flag=True, help="Mend what can be without changing what a row asks."),
        click.option("--drop", is_flag=True, help="Leave out the rows that would be refused."),
    ],
    title="Training run",
)


def make_limits(options: dict[str, Any]) -> Limits:
    """`Limits` from what handoff_options gathered."""
    from hf_rap.demo import MODEL
    from hf_rap.exports.limits import Limits

    counted = None
    model = str(MODEL) if options["model"] == "demo" else options["model"]
    if options["max_prompt_tokens"] and model:
        from hf_rap.engines.prompt_tokens import PromptTokens

        counted = PromptTokens(model)
    names = (
        *("max_prompt_tokens", "min_pixels", "max_pixels", "max_images", "rollout_batch", "usual_verifier"),
        *("gpus", "group", "val_rows"),
    )
    return Limits(**{name: options[name] for name in names}, prompt_tokens=counted, model=model)


def make_layout(options: Mapping[str, Any], ds: datasets.Dataset, remembered: Layout | None = None) -> Layout | None:
    """The layout from what layout_options gathered for this dataset; None when all of it is to be recognised.

    Args:
        options: those of the command.
        ds: the rows.
        remembered: what the file says that they were read with; options go before.
    """
    from hf_rap.rows.settling import layout_with

    columns = {name: _names_in(options.get(name)) for name in ("images", "choices")}
    named = {
        **{name: options.get(name) for name in ("question", "answer", "answers_as", "choice_form", "turns", "several")},
        **{name: names[0] if len(names) == 1 else names for name, names in columns.items() if names},
        "id": options.get("id_column"),
        "ignore": _names_in(options.get("ignore_columns")) or None,
        "labels": _names_in(options.get("labels")) or None,
    }
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if remembered is not None:
        return replace(remembered, **given)
    return layout_with(ds, given) if given else None


def settle_layout(options: Mapping[str, Any], ds: datasets.Dataset, source: str) -> Layout:
    """The layout that the rows of a source are read with, with nothing open; says what was decided by its rows."""
    from .files import layout_in

    return settle_noting(make_layout(options, ds, layout_in(source)), ds)


def settle_noting(layout: Layout | None, ds: datasets.Dataset) -> Layout:
    """The layout with nothing open; says what was decided by the rows."""
    from hf_rap.rows.settling import settle

    from .output import note

    settled, remarks = settle(layout, ds)
    for remark in remarks:
        note(remark)
    return settled


def _names_in(text: str | None) -> tuple[str, ...]:
    """The names of columns in a list with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def make_rollouts(options: dict[str, Any], layout: Layout) -> Rollouts:
    """`Rollouts` from what model_options, sampling_options, grading_options and layout_options gathered."""
    from hf_rap.evidence.rollouts import Rollouts

    return Rollouts(
        make_engine(options),
        **{name: options[name] for name in ("attempts", "temperature", "top_p", "top_k", "max_new_tokens", "seed")},
        prompt=make_prompt(options, "default"),
        arm=None if options["arms"] == "both" else options["arms"],
        layout=layout,
        attention=options["attention"],
        states=options["states"],
        keep_ids=options["keep_ids"],
        **make_grading(options),
    )


def _make_endpoint(options: dict[str, Any]) -> EndpointEngine:
    """The server that engine_options name."""
    from hf_rap.engines.endpoint import EndpointEngine

    if options["adapter"] is not None:
        raise click.UsageError(
            "--adapter is for a local model; a server serves an adapter by a name of its own: --model."
        )
    return EndpointEngine(
        options["endpoint"],
        model=options["model"],
        revision=options["model_revision"],
        token_env=options["token_env"],
        concurrency=options["concurrency"],
        timeout=options["timeout"],
        retries=options["retries"],
        wait_for_server=options["wait_for_server"],
        max_reply_bytes=options["max_reply_bytes"],
        extra_body=_json_object(options["extra_body"], "--extra-body") or None,
    )


def make_engine(options: dict[str, Any]) -> Engine:
    """The server that engine_options name, the engine of a plugin, or the local model of model_options."""
    name = options["engine"]
    if name not in (TRANSFORMERS, VLLM) and options["adapter"] is not None:
        raise click.UsageError(f"--adapter is for {TRANSFORMERS} and {VLLM}: --engine {name} does not take one.")
    if name != VLLM:
        _refuse_given(options, _OF_VLLM, f"for --engine {VLLM}")
    if name == VLLM:
        return _make_vllm(options)
    if name not in (TRANSFORMERS, ENDPOINT):
        return _make_own_engine(name, options["model"])
    if name == ENDPOINT and options["endpoint"] is None:
        raise click.UsageError("--engine endpoint needs --endpoint URL.")
    return make_local_engine(options) if options["endpoint"] is None else _make_endpoint(options)


_OF_VLLM = ("data_parallel", "tensor_parallel", "max_model_len", "vllm_options")
_NOT_OF_VLLM = ("endpoint", "device", "attn_implementation", "batch_size", "allow_missing")


def _refuse_given(options: Mapping[str, Any], names: Iterable[str], what_for: str) -> None:
    """Raises `UsageError` where one of these is given."""
    given = [name for name in names if options[name] not in (None, "auto", ())]
    if given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} is {what_for}.")


def refuse_together(options: Mapping[str, Any], reasons: Mapping[str, str], advice: str) -> None:
    """Raises `UsageError` with its reason for the first option that was given; a number of 0 was given as well."""
    for name, why in reasons.items():
        given = options.get(name)
        if given not in (None, (), "") and given is not False:
            raise click.UsageError(f"{why}: {advice}.")


def _make_vllm(options: dict[str, Any]) -> VLLMEngine:
    """The model of model_options in vLLM."""
    from hf_rap.engines.vllm_engine import VLLMEngine

    _refuse_given(options, _NOT_OF_VLLM, f"not for --engine {VLLM}, which finds that out itself, or has --vllm-options")
    others = _json_object(options["vllm_options"] or "{}", "--vllm-options")
    fields = {name: others.pop(name) for name in VLLMEngine.arguments if name in others}
    return VLLMEngine(
        _model_named(options),
        revision=options["model_revision"],
        dtype=options["dtype"],
        adapter=options["adapter"],
        processor_options=_json_object(options["processor_options"], "--processor-options") or None,
        trust_remote_code=options["trust_remote_code"],
        max_model_len=options["max_model_len"],
        data_parallel_size=options["data_parallel"] or 1,
        tensor_parallel_size=options["tensor_parallel"] or 1,
        options=others or None,
        **fields,
    )


def _model_named(options: Mapping[str, Any]) -> str:
    """--model, in which demo is the small model that ships with hf_rap."""
    from hf_rap.demo import MODEL

    return str(MODEL) if options["model"] == "demo" else str(options["model"])


def _make_own_engine(name: str, model: str) -> Engine:
    """The engine of a plugin: its class, called with the model."""
    from hf_rap.plugins import plugins

    classes = plugins("engine", (TRANSFORMERS, VLLM, ENDPOINT))
    if name not in classes:
        raise SettingError(
            f"There is no engine {name!r}. There is: {', '.join([TRANSFORMERS, VLLM, ENDPOINT, *classes])}. The class of your own "
            "(see `hf_rap.Engine`) comes in with `hf-rap --plugin module:attribute`."
        )
    engine: Engine = classes[name](model)
    return engine


def make_local_engine(options: dict[str, Any]) -> TransformersEngine:
    """The model of model_options."""
    from hf_rap.engines.transformers_engine import TransformersEngine

    return TransformersEngine(
        _model_named(options),
        revision=options["model_revision"],
        device=options["device"],
        dtype=options["dtype"],
        attn_implementation=options["attn_implementation"],
        batch_size=options["batch_size"],
        trust_remote_code=options["trust_remote_code"],
        processor_options=_json_object(options["processor_options"], "--processor-options") or None,
        adapter=options["adapter"],
        allow_missing=options["allow_missing"],
    )


def _json_object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SettingError(f"{option} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise SettingError(f"{option} must be a JSON object such as {{}}, got {text!r}.")
    return value


def make_selection(ds: datasets.Dataset, options: dict[str, Any]) -> Selection:
    """The selection by what selection_options, and perhaps band_options, gathered."""
    from hf_rap.select import select_cognitive

    band = {name: options[name] for name in _BAND if options.get(name) is not None}
    if band:
        return _select_in_band(ds, options, band)
    names = (
        "min_cde",
        "max_ace",
        "replace_easy",
        "min_replacement_cde",
        "replacements",
        "min_probability",
        "probe_prior",
        "text_rows",
        "stratify_by",
        "method",
        "seed",
        "overrides",
    )
    return select_cognitive(ds, **{name: options[name] for name in names}, budget=budget_of(options["budget"]))


_BAND = ("low", "high", "stage", "middle", "sizes")


def _select_in_band(ds: datasets.Dataset, options: dict[str, Any], band: dict[str, Any]) -> Selection:
    """`select_difficulty`, or one of the two of `split_stages`."""
    from hf_rap.select.base import Settings
    from hf_rap.select.difficulty import select_difficulty, split_stages

    first = next(iter(band))
    if options["method"] != "difficulty":
        raise click.UsageError(f"--{first} means nothing to method {options['method']!r}: add --method difficulty.")
    settings = Settings.of({**options, "budget": budget_of(options["budget"])})
    settings.refuse_others("difficulty", METHODS["difficulty"].options, {})
    stage = band.pop("stage", None)
    if stage is None:
        if divides := next((name for name in ("middle", "sizes") if name in band), None):
            raise click.UsageError(f"--{divides} divides the band into two stages: add --stage one, or two.")
        marks = options["overrides"]
        return select_difficulty(ds, **band, min_probability=options["min_probability"], overrides=marks)
    if options["min_probability"] is not None:
        raise click.UsageError(
            "--min-probability does not go with --stage: a stage is made of the pass rates as they are."
        )
    if "sizes" in band:
        parts = band["sizes"].split(",")
        if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
            raise click.UsageError(f"--sizes takes two numbers of rows, such as 2000,600, got {band['sizes']!r}.")
        band["sizes"] = (int(parts[0]), int(parts[1]))
    stages = split_stages(ds, **band, seed=options["seed"], overrides=options["overrides"])
    return stages.one if stage == "one" else stages.two


def make_top(ds: datasets.Dataset, options: dict[str, Any]) -> Selection:
    """`select_top` with what top_options gathered."""
    from hf_rap.select import select_top

    budget = budget_of(options["top"], "--top")
    names = (
        "by",
        "per",
        "alpha",
        "lowest",
        "max_per_question",
        "drop_duplicates",
        "ties",
        "quotas",
        "seed",
        "overrides",
    )
    if isinstance(budget, dict):
        raise SettingError("--top takes a number of rows or a share of them; --per names a column with a quota each.")
    size = {"count": budget} if isinstance(budget, int) else {"ratio": budget}
    return select_top(ds, **size, **{name: options[name] for name in names})


def budget_of(given: str | None, option: str = "--budget") -> int | float | dict[str, int] | None:
    """A number of rows, a share of them, or rows for each value of a column."""
    if given is None:
        return None
    try:
        if "=" in given:
            parts = (part.rpartition("=") for part in given.split(","))
            return {value.strip(): int(rows) for value, _, rows in parts}
        return int(given) if given.isdigit() else float(given)
    except ValueError as error:
        raise SettingError(
            f"{option} takes a number of rows (200), a share of them (0.1) or rows per value (a=200,b=100), got {given!r}."
        ) from error
