"""The names, types and meanings of every column that hf_rap adds.

Three kinds of column, never mixed: *evidence* (what the model did), *scores* (a number derived
from evidence) and *decisions* (keep or not, and why). Unknown is null: never 0, -1 or NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ColumnExistsError, MissingColumnError, SettingError
from .options import check_choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import datasets

PREFIX = "rap_"


@dataclass(frozen=True)
class Column:
    """One column: its name, its Arrow type in words, and what it means.

    Args:
        name: in the dataset; ours begin with `rap_`.
        dtype: such as "float64" or "list<string>".
        meaning: for people, as pages and cards print it.

    """

    name: str
    dtype: str
    meaning: str


ID = Column("rap_id", "string", "id column of the user, or hash of question, pictures (their pixels) and answer")
IMAGE_REWARDS = Column(
    "rap_image_rewards", "list<float64>", "per attempt with the image: 1 correct, 0 wrong, null not judged"
)
TEXT_REWARDS = Column("rap_text_rewards", "list<float64>", "the same for attempts on the question alone")
IMAGE_RESPONSES = Column("rap_image_responses", "list<string>", "replies with the image, one per attempt")
TEXT_RESPONSES = Column("rap_text_responses", "list<string>", "replies on the question alone")
IMAGE_TOKENS = Column("rap_image_tokens", "list<int32>", "tokens generated per attempt with the image")
TEXT_TOKENS = Column("rap_text_tokens", "list<int32>", "tokens generated per attempt on the question alone")
IMAGE_TRUNCATED = Column("rap_image_truncated", "list<bool>", "reply with the image hit the token limit")
TEXT_TRUNCATED = Column("rap_text_truncated", "list<bool>", "reply on the question alone hit the token limit")
IMAGE_FORMATTED = Column(
    "rap_image_formatted",
    "list<bool>",
    "reply with the image has the format that the prompt asks for; null where it asks none",
)
TEXT_FORMATTED = Column("rap_text_formatted", "list<bool>", "the same of replies on the question alone")
IMAGE_PROMPT_TOKENS = Column(
    "rap_image_prompt_tokens", "int32", "tokens of the prompt with the image, those of the image included; null unknown"
)
ERROR = Column("rap_error", "string", "'code: message' saying why evidence is missing; null when it is all there")
EPOCH_REWARDS = Column(
    "rap_epoch_rewards", "list<float64>", "mean reward of the row in each epoch of a training run, null where not seen"
)
SETTINGS = Column(
    "rap_settings", "string", "JSON: everything that could change this row's evidence (model, prompt, sampling, ...)"
)
UPDATE = Column(
    "rap_update",
    "string",
    "of an updated version where the row's evidence comes from: asked (again), drawn (to check), log (of the training), before",
)
# A row of an adaptive collection. In mode "exact" an arm with fewer than "attempts" attempts was stopped; one with an
# empty list was never asked. Null in all other evidence.
ADAPTIVE = Column("rap_adaptive", "string", "JSON: by what attempts were spared, and how many were planned")

# Beside the replies, on request (`Rollouts(keep_ids=True)`).
IMAGE_TOKEN_IDS = Column(
    "rap_image_token_ids",
    "list<list<int32>>",
    "tokens of each reply with the image as the model wrote them, the one that ends it included; null not told",
)
TEXT_TOKEN_IDS = Column("rap_text_token_ids", "list<list<int32>>", "the same of replies on the question alone")
TOKEN_IDS = {"image": IMAGE_TOKEN_IDS, "text": TEXT_TOKEN_IDS}

# One entry per attempt with the image. `error` says why the rest is null; the lists have one number per token of the
# reply. A is the last layer's attention between these tokens, heads pooled by max (rows renormalised) or mean. Files of
# earlier releases have the fields up to `image_shares`.
ATTENTION = Column(
    "rap_attention",
    "list<struct<"
    "error: string, "  # 'code: message'; null where the numbers are there
    "log_psi: float32, "  # literal psi, whole columns, as in the paper
    "log_psi_windowed: float32, "  # geometric mean over a window of rows
    "token: string, "  # the one with the highest windowed psi
    "position: int32, "  # its place in the reply, from 0
    "image_share: float32, "  # of the last layer's attention, mean over rows and heads, in [0, 1]
    "entropy: float32, "  # of the last layer's attention, in nats, mean over rows and heads
    "tokens: list<string>, "
    "product_max: list<float32>, "  # log of the product of column j of A over rows i >= j
    "product_mean: list<float32>, "
    "window_max: list<float32>, "  # mean of log A[i, j] over the first rows of column j
    "window_mean: list<float32>, "
    "image_shares: list<float32>, "
    # The same with rows of A divided by their sum over the reply's tokens alone, where above it is over all tokens.
    "product_max_reply: list<float32>, "
    "product_mean_reply: list<float32>, "
    "window_max_reply: list<float32>, "
    "window_mean_reply: list<float32>, "
    "thinking_tokens: int32, "  # so many tokens at the start, up to and with the last </think>, are the model's thinking
    # The same of the thinking by itself: rows and columns of these tokens; null where they are all of the reply, or none.
    "thinking_product_max: list<float32>, "
    "thinking_product_mean: list<float32>, "
    "thinking_window_max: list<float32>, "
    "thinking_window_mean: list<float32>, "
    "thinking_product_max_reply: list<float32>, "
    "thinking_product_mean_reply: list<float32>, "
    "thinking_window_max_reply: list<float32>, "
    "thinking_window_mean_reply: list<float32>>>",
    "where the last layer looked, per attempt with the image",
)
ATTENTION_SETTINGS = Column(
    "rap_attention_settings", "string", "JSON: everything that could change this row's `rap_attention`"
)

# The gold answer's own probability: `Likelihood`. One entry per spelling of the gold in the lists.
GOLD_SPELLINGS = Column(
    "rap_gold_spellings", "list<string>", "ways to write the gold answer whose probability was asked"
)
IMAGE_GOLD_LOGPROBS = Column(
    "rap_image_gold_logprobs", "list<float64>", "log p(spelling | question with image), nats; null not known"
)
TEXT_GOLD_LOGPROBS = Column("rap_text_gold_logprobs", "list<float64>", "the same on the question alone")
GOLD_TOKENS = Column("rap_gold_tokens", "list<int32>", "tokens of each spelling, those that close the answer included")
LIKELIHOOD_ERROR = Column(
    "rap_likelihood_error", "string", "'code: message' saying why a gold_logprob is missing; null when all are there"
)
LIKELIHOOD_SETTINGS = Column(
    "rap_likelihood_settings", "string", "JSON: everything that could change this row's gold_logprobs"
)

# What stored replies with the image are to the model when they are read again: `ReplyLikelihood`. One entry per attempt. The
# lists have one natural logarithm per token of the reply, at temperature 1; null under what was not asked, or could not be.
REPLY_LOGPROBS = Column(
    "rap_reply_logprobs",
    "list<struct<"
    "error: string, "  # 'code: message' saying why numbers that were asked for are missing
    "tokens: list<string>, "
    "image: list<float32>, "
    "text: list<float32>, "
    "blank: list<float32>, "
    "shuffled: list<float32>>>",
    "log p(token) of each reply with the image, behind the question with the image, without it, and with other pictures",
)
REPLY_LOGPROBS_SETTINGS = Column(
    "rap_reply_logprobs_settings", "string", "JSON: everything that could change this row's `rap_reply_logprobs`"
)

CDE = Column("rap_cde", "float64", "causal discrepancy, in [-1, 1]: higher = the image helped more")
CDE_CONTROL = Column(
    "rap_cde_control", "string", "what rap_cde compares the image with, where that is not the question alone"
)
IMAGE_STATES = Column(
    "rap_image_states",
    "list<float16>",
    "hidden states of the prompt's last token with the images, layer behind layer",
)
TEXT_STATES = Column("rap_text_states", "list<float16>", "the same of the question alone")
STATES_ERROR = Column("rap_states_error", "string", "'code: message' saying why the states are missing, or null")
STATES_SETTINGS = Column("rap_states_settings", "string", "JSON: everything that could change the states")

PROBE_IMAGE = Column("rap_probe_image_rate", "float64", "foretold pass rate with the images, in [0, 1]")
PROBE_TEXT = Column("rap_probe_text_rate", "float64", "foretold pass rate on the question alone, in [0, 1]")
PROBE_CDE = Column("rap_probe_cde", "float64", "foretold cde, in [-1, 1]; orders rows, no attempt is behind it")
PROBED = Column(
    "rap_probed", "string", "JSON: the cut by which a probe left rows out, and the recall that an audit shows"
)

LIKELIHOOD_CDE = Column(
    "rap_likelihood_cde", "float64", "how much likelier the image makes the gold answer: higher = the image helped more"
)
VISUAL_DEPENDENCE = Column(
    "rap_visual_dependence",
    "float64",
    "how much likelier the image makes the model's own replies, nats per token: higher = they hang on it more",
)
VISUAL_DEPENDENCE_ARM = Column(
    "rap_visual_dependence_arm",
    "string",
    "what rap_visual_dependence compares the image with, where that is not the question alone",
)
ACE = Column("rap_ace", "float64", "attention confidence: higher = more biased towards one token")
ACE_SETTINGS = Column("rap_ace_settings", "string", "JSON: the options that `rap_ace` was computed with")
DIFFICULTY = Column("rap_difficulty", "float64", "1 - pass rate with the image, in [0, 1]: higher = harder")
# How sure a score is: of the posterior of the row's true pass rates, given its attempts and the prior of the dataset.
CDE_MEAN = Column("rap_cde_mean", "float64", "expected true cde, in [-1, 1]")
CDE_LOW = Column("rap_cde_low", "float64", "lower end of the interval that holds the true cde")
CDE_HIGH = Column("rap_cde_high", "float64", "upper end of the interval that holds the true cde")
CDE_PROBABILITY = Column("rap_cde_probability", "float64", "probability that the true cde is above min_cde")
DIFFICULTY_MEAN = Column("rap_difficulty_mean", "float64", "expected true difficulty, in [0, 1]")
DIFFICULTY_LOW = Column("rap_difficulty_low", "float64", "lower end of the interval that holds the true difficulty")
DIFFICULTY_HIGH = Column("rap_difficulty_high", "float64", "upper end of the interval that holds the true difficulty")
DIFFICULTY_PROBABILITY = Column(
    "rap_difficulty_probability", "float64", "probability that the true pass rate with the image is inside the band"
)
GOLD_DOUBT = Column(
    "rap_gold_doubt", "float64", "probability that the gold is wrong and what most attempts say is right"
)
LIMR = Column("rap_limr", "float64", "learning impact, at most 1: higher = rewards follow the mean of training closer")

# Columns that may hold a question, the bare one before the one with a prompt around it.
QUESTIONS = ("question_orig", "question", "problem", "prompt")

# One rollout of process-reward data: a response in steps, each with its Monte Carlo score.
STEPS = Column(
    "steps_with_score",
    "list<struct<step: string, score: float64, num_mc_correct: int64, num_mc_total: int64>>",
    "the response in steps; score: share of continuations from the end of a step that reach the gold answer",
)
BIS_MIXTURE = Column("rap_bis_mixture", "float64", "p (1 - p), p the share of positive steps; in [0, 0.25]")
BIS_RELIABILITY = Column("rap_bis_reliability", "float64", "mean score of the positive steps, 1 without any")
BIS_MEAN = Column("rap_bis_mean", "float64", "mean score of all steps, in [0, 1]")
BIS_STEPS = Column("rap_bis_steps", "int32", "number of steps")
BIS_POSITIVE = Column("rap_bis_positive", "int32", "number of positive steps: score above the threshold")
BIS = Column("rap_bis", "float64", "balanced information, (mixture + alpha) reliability: higher = teaches more")

KEEP = Column("rap_keep", "bool", "the row is in the selection")
REASON = Column("rap_reason", "string", "why it is, or is not")

# Before the name of a question column: the same with a hint of its difficulty (hf_rap.training.hints).
HINTED_PREFIX = f"{PREFIX}hinted_"
# Between question and hint; no template holds it, so that exactly the hint can be taken away again.
HINT_SEPARATOR = "\n\n"

# One arm of the experiment: the question with its images, or the question alone.
ARMS = ("image", "text")


class ArmColumns(NamedTuple):
    """What an arm leaves behind: one list per row, one entry per attempt."""

    rewards: Column
    responses: Column
    tokens: Column
    truncated: Column


@dataclass(frozen=True)
class ControlArm:
    """A further arm: the prompt of the image arm, with something else in the place of the row's images.

    Its errors and settings are its own, so that arms can be added one after the other.
    """

    name: str
    shows: str
    donated: bool = False  # what is shown comes from another row

    def column(self, suffix: str, dtype: str, meaning: str) -> Column:
        """A column of this arm."""
        return Column(f"{PREFIX}{self.name}_{suffix}", dtype, meaning.format(self.shows))

    @property
    def attempts(self) -> ArmColumns:
        """The same as of the image arm."""
        return ArmColumns(
            self.column("rewards", "list<float64>", "per attempt with {}: 1 correct, 0 wrong, null not judged"),
            self.column("responses", "list<string>", "replies with {}, one per attempt"),
            self.column("tokens", "list<int32>", "tokens generated per attempt with {}"),
            self.column("truncated", "list<bool>", "reply with {} hit the token limit"),
        )

    @property
    def donors(self) -> Column:
        """Where what was shown comes from."""
        return self.column("donors", "list<string>", "per attempt the rap_id of the row that gave {}")

    @property
    def error(self) -> Column:
        """Like `rap_error`."""
        return self.column("error", "string", "'code: message' saying why replies with {} are missing, or null")

    @property
    def settings(self) -> Column:
        """Like `rap_settings`."""
        return self.column("settings", "string", "JSON: everything that could change the replies with {}")

    @property
    def columns(self) -> tuple[Column, ...]:
        """All of them, in order."""
        return (*self.attempts, *([self.donors] if self.donated else []), self.error, self.settings)


# A further arm is one line here, and how its images are made in `hf_rap.evidence.controls`.
CONTROLS = {
    arm.name: arm
    for arm in (
        ControlArm("blank", "a grey picture of the same size"),
        ControlArm("shuffled", "the pictures of another row", donated=True),
    )
}
ARM_COLUMNS: dict[str, ArmColumns] = {
    "image": ArmColumns(IMAGE_REWARDS, IMAGE_RESPONSES, IMAGE_TOKENS, IMAGE_TRUNCATED),
    "text": ArmColumns(TEXT_REWARDS, TEXT_RESPONSES, TEXT_TOKENS, TEXT_TRUNCATED),
    **{name: arm.attempts for name, arm in CONTROLS.items()},
}


# Derived from the replies, and kept beside the grades: a right answer may lack the format, and a wrong one have it.
FORMATTED = {"image": IMAGE_FORMATTED, "text": TEXT_FORMATTED}


def control_rewards(control: str) -> Column:
    """The rewards without the row's image: of the arm that cde compares the image with; raises `SettingError`."""
    check_choice("control", control, (arm for arm in ARM_COLUMNS if arm != "image"))
    return ARM_COLUMNS[control].rewards


# Written before any evidence, by what puts datasets together.
UNASKED = Column("rap_unasked", "string", "'code: message' saying why a row is not to be asked, or null")

EVIDENCE = (
    ID,
    IMAGE_REWARDS,
    TEXT_REWARDS,
    IMAGE_RESPONSES,
    TEXT_RESPONSES,
    IMAGE_TOKENS,
    TEXT_TOKENS,
    IMAGE_TRUNCATED,
    TEXT_TRUNCATED,
    IMAGE_FORMATTED,
    TEXT_FORMATTED,
    IMAGE_PROMPT_TOKENS,
    ERROR,
    SETTINGS,
)
ATTENTION_EVIDENCE = (ATTENTION, ATTENTION_SETTINGS)
LIKELIHOOD_EVIDENCE = (
    GOLD_SPELLINGS,
    IMAGE_GOLD_LOGPROBS,
    TEXT_GOLD_LOGPROBS,
    GOLD_TOKENS,
    LIKELIHOOD_ERROR,
    LIKELIHOOD_SETTINGS,
)
REPLY_EVIDENCE = (REPLY_LOGPROBS, REPLY_LOGPROBS_SETTINGS)
STATES_EVIDENCE = (IMAGE_STATES, TEXT_STATES, STATES_ERROR, STATES_SETTINGS)
CONTROL_EVIDENCE = tuple(column for arm in CONTROLS.values() for column in arm.columns)
SCORES = (CDE, ACE, DIFFICULTY)
# Evidence that `Rollouts` writes on request alone, or not at all.
OTHER_EVIDENCE = (
    EPOCH_REWARDS,
    ADAPTIVE,
    PROBED,
    UPDATE,
    *TOKEN_IDS.values(),
    *LIKELIHOOD_EVIDENCE,
    *REPLY_EVIDENCE,
    *STATES_EVIDENCE,
    *CONTROL_EVIDENCE,
)
# What stays in `scored`: no trainer wants it.
EVIDENCE_NAMES = frozenset(column.name for column in (*EVIDENCE, *ATTENTION_EVIDENCE, *OTHER_EVIDENCE, UNASKED))
# Shown where they are there; SCORES are always shown, as not computed if need be.
CDE_CERTAINTY = (CDE_MEAN, CDE_LOW, CDE_HIGH, CDE_PROBABILITY)
DIFFICULTY_CERTAINTY = (DIFFICULTY_MEAN, DIFFICULTY_LOW, DIFFICULTY_HIGH, DIFFICULTY_PROBABILITY)
PROBE_SCORES = (PROBE_IMAGE, PROBE_TEXT, PROBE_CDE)
OTHER_SCORES = (
    *CDE_CERTAINTY,
    *DIFFICULTY_CERTAINTY,
    LIKELIHOOD_CDE,
    VISUAL_DEPENDENCE,
    *PROBE_SCORES,
    LIMR,
    BIS,
    GOLD_DOUBT,
)
DECISIONS = (KEEP, REASON)

# What was computed from grades, so that it goes with them.
FROM_GRADES = (
    *(CDE, CDE_CONTROL, ACE, ACE_SETTINGS, DIFFICULTY, GOLD_DOUBT),
    *(*CDE_CERTAINTY, *DIFFICULTY_CERTAINTY, *DECISIONS),
)

# What makes these columns, for errors about one that is missing.
_MAKERS: tuple[tuple[tuple[Column, ...], str], ...] = (
    ((UNASKED,), "mix_datasets(sources, without=...), or `hf-rap rollouts --without`"),
    (EVIDENCE, "ds.map(Rollouts(engine), batched=True), or `hf-rap rollouts`"),
    (
        ATTENTION_EVIDENCE,
        (
            "ds.map(Rollouts(engine, attention=True), batched=True), or `hf-rap rollouts --attention`; for replies that are "
            "there ds.map(Attention(engine), batched=True), or `hf-rap attention`"
        ),
    ),
    (
        (IMAGE_TOKEN_IDS, TEXT_TOKEN_IDS),
        "ds.map(Rollouts(engine, keep_ids=True), batched=True), or `hf-rap rollouts --keep-ids`",
    ),
    (LIKELIHOOD_EVIDENCE, "ds.map(Likelihood(engine), batched=True), or `hf-rap likelihood`"),
    (
        REPLY_EVIDENCE,
        "ds.map(ReplyLikelihood(engine), batched=True) on rows that have replies, or `hf-rap dependence`",
    ),
    (STATES_EVIDENCE, "ds.map(PromptStates(engine), batched=True)"),
    (CONTROL_EVIDENCE, "collect_evidence(ds, Controls(engine)) on rows that have replies, or `hf-rap controls`"),
    ((PROBED,), "collect_probed(ds, rollouts)"),
    ((ADAPTIVE,), "collect_adaptive(ds, rollouts, 'exact'), or `hf-rap rollouts --adaptive`"),
    ((UPDATE,), "`hf-rap update`"),
    ((EPOCH_REWARDS,), "add_epoch_rewards(ds, files), from the files of a training run"),
    ((STEPS,), "load_process_rewards(source), ds.map(StepRewards(engine), batched=True), or `hf-rap annotate-steps`"),
    ((CDE,), "ds.map(cde_score, batched=True), or `hf-rap score`"),
    ((CDE_CONTROL,), "ds.map(CDEScore(control='blank'), batched=True), or `hf-rap score --control`"),
    (CDE_CERTAINTY, "ds.map(CDEScore(prior=fit_prior(ds)), batched=True), or `hf-rap score --intervals`"),
    ((DIFFICULTY,), "ds.map(difficulty_score, batched=True), or `hf-rap score`"),
    (DIFFICULTY_CERTAINTY, "ds.map(DifficultyScore(prior=fit_prior(ds)), batched=True), or `hf-rap score --intervals`"),
    ((ACE, ACE_SETTINGS), "ds.map(ace_score, batched=True), or `hf-rap score --score ace`"),
    ((LIKELIHOOD_CDE,), "ds.map(likelihood_cde_score, batched=True), or `hf-rap likelihood`"),
    (
        (VISUAL_DEPENDENCE,),
        "ds.map(visual_dependence_score, batched=True), or `hf-rap score --score visual_dependence`",
    ),
    ((VISUAL_DEPENDENCE_ARM,), "ds.map(VisualDependenceScore('blank'), batched=True)"),
    (PROBE_SCORES, "the probe that fit_probe(ds) gives, in Dataset.map"),
    ((GOLD_DOUBT,), "ds.map(gold_doubt_score, batched=True), or `hf-rap score --score gold_doubt`"),
    ((LIMR,), "add_limr_score(ds)"),
    (
        (BIS_MIXTURE, BIS_RELIABILITY, BIS_MEAN, BIS_STEPS, BIS_POSITIVE, BIS),
        "ds.map(bis_score, batched=True), or `hf-rap score --bis`",
    ),
    (DECISIONS, "select_cognitive(ds), or `hf-rap select`"),
)
MAKERS = {column.name: maker for columns, maker in _MAKERS for column in columns}

# The word before the colon in `rap_error`, which becomes the `rap_reason` of a row without a score.
ERROR_CODES = {
    "no_image": "the row has no image, so cde is not defined",
    "gold_unreadable": "no reply could be compared with the gold answer",
    "question_missing": "the question is null or empty",
    "image_unreadable": "an image cannot be decoded or has no usable size",
    "placeholder_mismatch": "the number of <image> placeholders differs from the number of images",
    "too_long": "prompt and reply do not fit into the model's context",
    "engine_failed": "the model failed on this row, also when retried alone",
    "not_judged": "some replies of an arm could not be graded",
    "rate_unknown": "others have published the pass rates, and none for this row",
    "cut_off": "replies of an arm were cut off at the token limit and count as unknown",
    "below_prescreen": "the gold answer is hardly likelier with the image than without, so the row was not rolled out",
    "below_probe": "the row is hardly worth keeping by what the model holds of its prompt, so it was not rolled out",
    "options_unreadable": "the options are no list of texts, or they are pictures",
    "several_turns": "the chat has several questions, and nobody said which is asked",
    "in_test_set": "its question and pictures stand in a test set that was to be left out",
    "media_unsupported": "the chat has a video or audio block",
    "line_broken": "the line of the file is no JSON object of the expected types",
    "image_missing": "no image is named, or there is no such file",
    "steps_missing": "the response has no steps, or a step without text",
    "score_invalid": "a step has no score, or one outside [0, 1]",
}
# The same for the `error` of one attempt in `rap_attention`.
ATTENTION_ERROR_CODES = {
    "reply_empty": "the reply has no text",
    "reply_too_short": "the reply has a single token, so no token looks at another",
    "too_long": "prompt and reply do not fit into the model's context",
    "image_tokens_changed": "the prompt has not as many tokens as when the reply was generated",
    "tokens_changed": "the token ids of the reply do not spell it with this model's tokenizer",
    "engine_failed": "the model failed on this attempt, also when retried alone",
}


# The same in `rap_likelihood_error`.
LIKELIHOOD_ERROR_CODES = {
    "text_empty": "the tokenizer makes no token of a spelling of the gold answer",
    "text_unknown": "the tokenizer has no token for a part of a spelling of the gold answer",
    "tokens_changed": "by what the server tells, the prompt does not end with the tokens of the gold answer",
}
# The same for the `error` of one attempt in `rap_reply_logprobs`.
REPLY_ERROR_CODES = {
    "reply_empty": "the reply has no text",
    "text_empty": "the tokenizer makes no token of the reply",
    "text_unknown": "the tokenizer has no token for a part of the reply",
    "too_long": "prompt and reply do not fit into the model's context",
    "image_tokens_changed": "the prompt has not as many tokens as when the reply was generated",
    "tokens_changed": "the tokens do not spell the reply with this model's tokenizer, or by what the server tells",
    "no_donor": "no other row has as many pictures, other ones, that can be read",
    "engine_failed": "the model failed on this attempt, also when retried alone",
}
# The same in the error of a control, `rap_blank_error` and so on.
CONTROL_ERROR_CODES = {
    "no_donor": "no other row has as many pictures, other ones, that can be read",
    "not_asked": "the row has no replies with its own image to compare with",
}


# Every column that is named in this file.
OWN_NAMES = frozenset(
    [*EVIDENCE_NAMES, *(value.name for value in list(globals().values()) if isinstance(value, Column))]
)


def foreign_scores(features: Mapping[str, Any]) -> list[str]:
    """The scores in a dataset that are not ours: numbers whose names begin as those of scores do."""
    return [
        name
        for name, feature in features.items()
        if name.startswith(PREFIX) and name not in OWN_NAMES and is_numeric(feature)
    ]


def is_numeric(feature: Any) -> bool:
    """A feature of a dataset holds one number per row."""
    return str(getattr(feature, "dtype", "")).startswith(("int", "uint", "float"))


class TypedList(list[Any]):
    """A list that remembers its Arrow type.

    `Dataset.map` fixes the type of a new column by the first batch it writes; a first batch of
    nulls would make a null column that refuses every later number. Arrow asks a list subclass for
    `__arrow_array__`, so a plain `ds.map(cde_score, batched=True)` gets the right type as well.
    """

    def __init__(self, values: Iterable[Any], dtype: str) -> None:
        super().__init__(values)
        self.dtype = dtype

    def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002 - the name is Arrow's
        import pyarrow as pa

        return pa.array(list(self), type=type or arrow_type(self.dtype))


def arrow_type(dtype: str) -> Any:
    """The pyarrow type for a dtype as written in this file, for example "list<float64>"; a struct holds no further structs."""
    import pyarrow as pa

    if dtype.startswith("list<"):
        return pa.list_(arrow_type(dtype[len("list<") : -1]))
    if dtype.startswith("struct<"):
        fields = (field.split(": ") for field in dtype[len("struct<") : -1].split(", "))
        return pa.struct([(name, arrow_type(inner)) for name, inner in fields])
    if dtype not in _PLAIN_TYPES:
        kinds = f"{', '.join(_PLAIN_TYPES)}, list<...> or struct<name: type, ...>"
        raise SettingError(f"{dtype!r} is no type of a column: it takes {kinds}.")
    arrow: Any = pa.bool_() if dtype == "bool" else getattr(pa, dtype)()
    return arrow


_PLAIN_TYPES = (
    *("bool", "string", "binary", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)


def struct_fields(column: Column) -> list[str]:
    """The names of the fields of a column of structs or of lists of structs."""
    inner = column.dtype.removeprefix("list<").removeprefix("struct<")
    return [field.split(": ")[0] for field in inner.split(", ")]


def typed(values: Mapping[Column, Iterable[Any]]) -> dict[str, list[Any]]:
    """A batch for `Dataset.map`: column name -> list that remembers its Arrow type.

    Numbers of less than double precision are rounded here: a stream hands them on as they are.
    """
    return {column.name: TypedList(_rounded(value, column.dtype), column.dtype) for column, value in values.items()}


def _rounded(values: Iterable[Any], dtype: str) -> Iterable[Any]:
    if "float32" not in dtype and "float16" not in dtype:
        return values
    import pyarrow as pa

    rounded: list[Any] = pa.array(list(values), type=arrow_type(dtype)).to_pylist()
    return rounded


def features_of(columns: Iterable[Column]) -> datasets.Features:
    """The `datasets.Features` of these columns, to add to a dataset's own."""
    import datasets
    import pyarrow as pa

    schema = pa.schema([(column.name, arrow_type(column.dtype)) for column in columns])
    return datasets.Features.from_arrow_schema(schema)


def how_to_make(name: str) -> str:
    """The sentence that says what makes a column; nothing for one that hf_rap does not add.

    Examples:
        >>> how_to_make("rap_limr")
        'Make it first: add_limr_score(ds).'

    """
    return f"Make it first: {MAKERS[name]}." if name in MAKERS else ""


def require(reader: str, available: Iterable[str], needed: Iterable[Column | str], more: str = "") -> None:
    """Raise `MissingColumnError` for the first column in `needed` that is not `available`.

    Args:
        reader: what reads them.
        available: the columns that are there.
        needed: columns of hf_rap, or names that a user gave.
        more: a sentence behind the one that says what makes the column.

    Raises:
        MissingColumnError: one is not there.

    """
    available = tuple(available)
    for name in (column if isinstance(column, str) else column.name for column in needed):
        if name not in available:
            raise MissingColumnError(reader, name, available, f"{how_to_make(name)} {more}".strip())


def refuse_existing(writer: str, available: Iterable[str], written: Iterable[Column]) -> None:
    """Raise `ColumnExistsError` when a column to be written is there already."""
    taken = [column.name for column in written if column.name in set(available)]
    if taken:
        raise ColumnExistsError(writer, taken)
