"""Select the rows of a multimodal dataset that make a model reason.

evidence = ds.map(Rollouts(TransformersEngine(model)), batched=True)
scored = evidence.map(cde_score, batched=True).map(difficulty_score, batched=True)
selection = select_cognitive(scored)
publish(selection, "user/my-dataset-rap", version="1.0.0")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import VERSION as __version__

if TYPE_CHECKING:
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
    from .evidence.likelihood import Likelihood
    from .evidence.rollouts import Rollouts
    from .exports.exporting import Exported, check_export, export
    from .exports.handoff import Limits
    from .exports.internvl_prm import export_internvl_prm
    from .exports.trl_prm import export_trl_prm
    from .hub import Release, diff, load, publish, reselect, yank
    from .hub.pulling import pull
    from .process import (
        ProcessLayout,
        StepRewards,
        annotate_steps,
        load_process_rewards,
        one_row_per_response,
        split_steps,
    )
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
    from .scorers.limr import LIMRScore, add_limr_score
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
    "LIMRScore",
    "Layout",
    "LayoutError",
    "Likelihood",
    "LikelihoodCDEScore",
    "Limits",
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
    "add_limr_score",
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

# Where each public name lives. It is loaded when somebody first takes it, so that `import hf_rap` and `hf-rap --help`
# are quick. Type checkers read the imports above instead; a test holds both and `__all__` together.
_HOMES = {
    "adaptive.collect": "collect_adaptive",
    "adaptive.prescreen": "Prescreened collect_prescreened",
    "adaptive.rules": "Exact Sequential",
    "engines.base": "Completion Engine Request Sampling",
    "engines.endpoint": "EndpointEngine",
    "engines.transformers_engine": "TransformersEngine",
    "errors": (
        "BranchMovedError ColumnExistsError EngineError ExportError HubError LayoutError MissingColumnError "
        "PublishError RapError RowError RunError SettingError SourceError VersionExistsError WithdrawnError"
    ),
    "evidence.attention": "Attention",
    "evidence.collector": "collect_evidence estimate",
    "evidence.controls": "Controls",
    "evidence.likelihood": "Likelihood",
    "evidence.rollouts": "Rollouts",
    "exports.exporting": "Exported check_export export",
    "exports.handoff": "Limits",
    "exports.internvl_prm": "export_internvl_prm",
    "exports.trl_prm": "export_trl_prm",
    "hub": "Release diff load publish reselect yank",
    "hub.pulling": "pull",
    "process": "ProcessLayout StepRewards annotate_steps load_process_rewards one_row_per_response split_steps",
    "rows.inspection": "inspect_dataset",
    "rows.layouts": "Layout recognise_layout",
    "rows.sources": "load_source",
    "runs.fill": "Run collect_in_run",
    "runs.listing": "list_runs",
    "scorers.ace": "ACEScore ace_score",
    "scorers.base": "Scorer add_scores",
    "scorers.bis": "BISScore bis_score",
    "scorers.cde": "CDEScore cde_score",
    "scorers.difficulty": "DifficultyScore difficulty_score",
    "scorers.likelihood_cde": "LikelihoodCDEScore likelihood_cde_score",
    "scorers.limr": "LIMRScore add_limr_score",
    "select": (
        "Selection Stages select_cognitive select_difficulty select_hardest select_limr select_longest "
        "select_random select_top split_stages"
    ),
    "select.comparison": "Comparison compare_methods",
    "select.stability": "Stability stability",
    "stats.posterior": "Prior fit_prior",
    "stats.thresholds": "Quantile",
    "training": (
        "AddDifficultyHint DifficultyWeighted RemoveDifficultyHint add_difficulty_hint add_epoch_rewards "
        "difficulty_weighted order_curriculum remove_difficulty_hint"
    ),
    "versions.folder": "publish_to_folder",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # a type checker that saw this would take any name

    def __getattr__(name: str) -> Any:
        """A public name or a room, loaded now and kept."""
        if name in _HOME_OF:
            globals()[name] = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
            return globals()[name]
        room = f"{__name__}.{name}"
        try:
            if not name.startswith("_"):
                return import_module(room)
        except ModuleNotFoundError as error:
            if error.name != room:
                raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
