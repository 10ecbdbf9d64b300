"""Select the rows of a multimodal dataset that make a model reason.

evidence = ds.map(Rollouts(TransformersEngine(model)), batched=True)
scored = evidence.map(cde_score, batched=True).map(difficulty_score, batched=True)
selection = select_cognitive(scored)
publish(selection, "user/my-dataset-rap", version="1.0.0")
"""

from .adaptive.collect import collect_adaptive
from .adaptive.prescreen import Prescreened, collect_prescreened
from .adaptive.rules import Exact, Sequential
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
from .evidence.attention import Attention
from .evidence.collector import collect_evidence, estimate
from .evidence.controls import Controls
from .evidence.grading import grader
from .evidence.likelihood import Likelihood
from .evidence.regrade import count_as_solved, regrade
from .evidence.rollouts import Rollouts
from .exports.exporting import Exported, check_export, export
from .exports.handoff import Limits
from .exports.internvl_prm import export_internvl_prm
from .exports.trl_prm import export_trl_prm
from .hub import Release, diff, load, publish, reselect, yank
from .hub.pulling import pull
from .process import ProcessLayout, StepRewards, annotate_steps, load_process_rewards, one_row_per_response, split_steps
from .rows.inspection import inspect_dataset
from .rows.layouts import Layout, recognise_layout
from .rows.sources import load_source
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
from .select.comparison import Comparison, compare_methods
from .select.stability import Stability, stability
from .stats.posterior import Prior, fit_prior
from .stats.thresholds import Quantile
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
from .versions.folder import publish_to_folder

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
    "count_as_solved",
    "diff",
    "difficulty_score",
    "difficulty_weighted",
    "estimate",
    "export",
    "export_internvl_prm",
    "export_trl_prm",
    "fit_prior",
    "grader",
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
    "regrade",
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
