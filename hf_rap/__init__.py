"""Select the rows of a multimodal dataset that make a model reason.

evidence = ds.map(Rollouts(TransformersEngine(model)), batched=True)
scored = evidence.map(cde_score, batched=True).map(difficulty_score, batched=True)
selection = select_cognitive(scored)
publish(selection, "user/my-dataset-rap", version="1.0.0")
"""

from .adaptive.collect import collect_adaptive
from .adaptive.rules import Exact, Sequential
from .agreement import Stability, stability
from .attention import Attention
from .collect import collect_evidence, estimate
from .compare import Comparison, compare_methods
from .controls import Controls
from .engines.base import Completion, Engine, Request, Sampling
from .engines.endpoint import EndpointEngine
from .engines.transformers_engine import TransformersEngine
from .errors import (
    BranchMovedError,
    ColumnExistsError,
    EngineError,
    ExportError,
    HubError,
    LayoutError,
    MissingColumnError,
    PublishError,
    RapError,
    RowError,
    RunError,
    SettingError,
    SourceError,
    VersionExistsError,
    WithdrawnError,
)
from .exporting import Exported, check_export, export
from .exports.handoff import Limits
from .exports.internvl_prm import export_internvl_prm
from .exports.trl_prm import export_trl_prm
from .folder import publish_to_folder
from .hub import Release, diff, load, publish, reselect, yank
from .inspection import inspect_dataset
from .layouts import Layout, recognise_layout
from .likelihood import Likelihood
from .posterior import Prior, fit_prior
from .prescreen import Prescreened, collect_prescreened
from .process import (
    ProcessLayout,
    StepRewards,
    annotate_steps,
    load_process_rewards,
    one_row_per_response,
    split_steps,
)
from .pulling import pull
from .rollouts import Rollouts
from .runs.fill import Run, collect_in_run
from .runs.listing import list_runs
from .scorers.ace import ACEScore, ace_score
from .scorers.base import Scorer, add_scores
from .scorers.bis import BISScore, bis_score
from .scorers.cde import CDEScore, cde_score
from .scorers.difficulty import DifficultyScore, difficulty_score
from .scorers.likelihood_cde import LikelihoodCDEScore, likelihood_cde_score
from .scorers.limr import LimrScore, limr_score
from .select import (
    Quantile,
    Selection,
    Stages,
    select_cognitive,
    select_difficulty,
    select_hardest,
    select_limr,
    select_longest,
    select_random,
    select_top,
    split_stages,
)
from .sources import load_source
from .training import (
    AddDifficultyHint,
    DifficultyWeighted,
    RemoveDifficultyHint,
    add_difficulty_hint,
    add_epoch_rewards,
    difficulty_weighted,
    order_curriculum,
    remove_difficulty_hint,
)
from .version import VERSION as __version__

__all__ = [
    "ACEScore",
    "AddDifficultyHint",
    "Attention",
    "BISScore",
    "BranchMovedError",
    "CDEScore",
    "ColumnExistsError",
    "Comparison",
    "Completion",
    "Controls",
    "DifficultyScore",
    "DifficultyWeighted",
    "EndpointEngine",
    "Engine",
    "EngineError",
    "Exact",
    "ExportError",
    "Exported",
    "HubError",
    "Layout",
    "LayoutError",
    "Likelihood",
    "LikelihoodCDEScore",
    "Limits",
    "LimrScore",
    "MissingColumnError",
    "Prescreened",
    "Prior",
    "ProcessLayout",
    "PublishError",
    "Quantile",
    "RapError",
    "Release",
    "RemoveDifficultyHint",
    "Request",
    "Rollouts",
    "RowError",
    "Run",
    "RunError",
    "Sampling",
    "Scorer",
    "Selection",
    "Sequential",
    "SettingError",
    "SourceError",
    "Stability",
    "Stages",
    "StepRewards",
    "TransformersEngine",
    "VersionExistsError",
    "WithdrawnError",
    "__version__",
    "ace_score",
    "add_difficulty_hint",
    "add_epoch_rewards",
    "add_scores",
    "annotate_steps",
    "bis_score",
    "cde_score",
    "check_export",
    "collect_adaptive",
    "collect_evidence",
    "collect_in_run",
    "collect_prescreened",
    "compare_methods",
    "diff",
    "difficulty_score",
    "difficulty_weighted",
    "estimate",
    "export",
    "export_internvl_prm",
    "export_trl_prm",
    "fit_prior",
    "inspect_dataset",
    "likelihood_cde_score",
    "limr_score",
    "list_runs",
    "load",
    "load_process_rewards",
    "load_source",
    "one_row_per_response",
    "order_curriculum",
    "publish",
    "publish_to_folder",
    "pull",
    "recognise_layout",
    "remove_difficulty_hint",
    "reselect",
    "select_cognitive",
    "select_difficulty",
    "select_hardest",
    "select_limr",
    "select_longest",
    "select_random",
    "select_top",
    "split_stages",
    "split_steps",
    "stability",
    "yank",
]
