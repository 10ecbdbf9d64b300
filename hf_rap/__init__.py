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
    from .adaptive.probed import collect_probed
    from .adaptive.probing import Probing
    from .adaptive.stopping import Exact, Sequential
    from .columns import Column
    from .engines.base import Completion, Engine
    from .engines.endpoint import EndpointEngine
    from .engines.transformers_engine import TransformersEngine
    from .engines.vllm_engine import VLLMEngine
    from .errors import RapError
    from .evidence.attention import Attention
    from .evidence.collector import Collector, collect_evidence, estimate
    from .evidence.controls import Controls
    from .evidence.grading import grader
    from .evidence.likelihood import Likelihood
    from .evidence.pass_rates import add_pass_rates
    from .evidence.regrade import regrade
    from .evidence.reply_likelihood import ReplyLikelihood
    from .evidence.rollout_files import add_rollout_file
    from .evidence.rollouts import Rollouts
    from .evidence.states import PromptStates
    from .exports.exporting import check_export, export
    from .hub import diff, load, publish, reselect, yank
    from .hub.pulling import pull
    from .hub.reporting import report
    from .plugins import add_plugin
    from .process import StepRewards, annotate_steps, load_process_rewards
    from .rows.inspection import inspect_dataset
    from .rows.layouts import Layout
    from .rows.mixing import mix_datasets
    from .rows.prompts import PromptTemplate
    from .rows.provenance import describe_source
    from .rows.sources import load_source
    from .runs.collecting import collect_in_run
    from .runs.listing import list_runs
    from .scorers.ace import ACEScore, ace_score
    from .scorers.base import add_scores
    from .scorers.bis import BISScore, bis_score
    from .scorers.cde import CDEScore, cde_score
    from .scorers.difficulty import DifficultyScore, difficulty_score
    from .scorers.doubts import list_doubts
    from .scorers.function import scorer
    from .scorers.gold_doubt import GoldDoubtScore, gold_doubt_score
    from .scorers.probe import fit_probe
    from .scorers.visual_dependence import VisualDependenceScore, visual_dependence_score
    from .select import Method, Selection, select_cognitive, select_difficulty, select_top, split_stages
    from .select.comparison import compare_methods
    from .select.stability import stability
    from .stats.posterior import fit_prior
    from .stats.thresholds import Quantile
    from .versions.folder import publish_to_folder

__all__ = [
    "ACEScore",
    "Attention",
    "BISScore",
    "CDEScore",
    "Collector",
    "Column",
    "Completion",
    "Controls",
    "DifficultyScore",
    "EndpointEngine",
    "Engine",
    "Exact",
    "GoldDoubtScore",
    "Layout",
    "Likelihood",
    "Method",
    "Probing",
    "PromptStates",
    "PromptTemplate",
    "Quantile",
    "RapError",
    "ReplyLikelihood",
    "Rollouts",
    "Selection",
    "Sequential",
    "StepRewards",
    "TransformersEngine",
    "VLLMEngine",
    "VisualDependenceScore",
    "__version__",
    "ace_score",
    "add_pass_rates",
    "add_plugin",
    "add_rollout_file",
    "add_scores",
    "annotate_steps",
    "bis_score",
    "cde_score",
    "check_export",
    "collect_adaptive",
    "collect_evidence",
    "collect_in_run",
    "collect_probed",
    "compare_methods",
    "describe_source",
    "diff",
    "difficulty_score",
    "estimate",
    "export",
    "fit_prior",
    "fit_probe",
    "gold_doubt_score",
    "grader",
    "inspect_dataset",
    "list_doubts",
    "list_runs",
    "load",
    "load_process_rewards",
    "load_source",
    "mix_datasets",
    "publish",
    "publish_to_folder",
    "pull",
    "regrade",
    "report",
    "reselect",
    "scorer",
    "select_cognitive",
    "select_difficulty",
    "select_top",
    "split_stages",
    "stability",
    "visual_dependence_score",
    "yank",
]

# Where each public name lives. It is loaded when somebody first takes it, so that `import hf_rap` and `hf-rap --help`
# are quick. Type checkers read the imports above instead; a test holds both and `__all__` together.
_HOMES = {
    "adaptive.collect": "collect_adaptive",
    "adaptive.probed": "collect_probed",
    "adaptive.probing": "Probing",
    "adaptive.stopping": "Exact Sequential",
    "columns": "Column",
    "engines.base": "Completion Engine",
    "engines.endpoint": "EndpointEngine",
    "engines.transformers_engine": "TransformersEngine",
    "engines.vllm_engine": "VLLMEngine",
    "errors": "RapError",
    "evidence.attention": "Attention",
    "evidence.collector": "Collector collect_evidence estimate",
    "evidence.controls": "Controls",
    "evidence.likelihood": "Likelihood",
    "evidence.grading": "grader",
    "evidence.pass_rates": "add_pass_rates",
    "evidence.regrade": "regrade",
    "evidence.rollout_files": "add_rollout_file",
    "evidence.reply_likelihood": "ReplyLikelihood",
    "evidence.rollouts": "Rollouts",
    "evidence.states": "PromptStates",
    "exports.exporting": "check_export export",
    "hub": "diff load publish reselect yank",
    "hub.pulling": "pull",
    "hub.reporting": "report",
    "plugins": "add_plugin",
    "process": "StepRewards annotate_steps load_process_rewards",
    "rows.inspection": "inspect_dataset",
    "rows.layouts": "Layout",
    "rows.prompts": "PromptTemplate",
    "rows.provenance": "describe_source",
    "rows.mixing": "mix_datasets",
    "rows.sources": "load_source",
    "runs.collecting": "collect_in_run",
    "runs.listing": "list_runs",
    "scorers.ace": "ACEScore ace_score",
    "scorers.base": "add_scores",
    "scorers.bis": "BISScore bis_score",
    "scorers.cde": "CDEScore cde_score",
    "scorers.difficulty": "DifficultyScore difficulty_score",
    "scorers.doubts": "list_doubts",
    "scorers.function": "scorer",
    "scorers.gold_doubt": "GoldDoubtScore gold_doubt_score",
    "scorers.probe": "fit_probe",
    "scorers.visual_dependence": "VisualDependenceScore visual_dependence_score",
    "select": "Method Selection select_cognitive select_difficulty select_top split_stages",
    "select.comparison": "compare_methods",
    "select.stability": "stability",
    "stats.posterior": "fit_prior",
    "stats.thresholds": "Quantile",
    "versions.folder": "publish_to_folder",
}
# What these names take and give, and what one of your own is made of: for annotations, `from hf_rap import Held`. Not
# among `__all__`, so that this stays short. Errors are in `hf_rap.errors`.
if TYPE_CHECKING:
    from .engines.base import Request as Request
    from .engines.base import Sampling as Sampling
    from .evidence.collector import Estimate as Estimate
    from .evidence.grading import Grading as Grading
    from .exports.exporting import Exported as Exported
    from .exports.handoff import Handoff as Handoff
    from .exports.limits import Limits as Limits
    from .hub import Release as Release
    from .process import ProcessLayout as ProcessLayout
    from .rows.inspection import Inspection as Inspection
    from .rows.mixing import Mixture as Mixture
    from .rows.provenance import SourceInfo as SourceInfo
    from .rows.sources import Source as Source
    from .runs.listing import Held as Held
    from .scorers.base import Scorer as Scorer
    from .scorers.doubts import Doubt as Doubt
    from .scorers.doubts import Doubts as Doubts
    from .scorers.function import FunctionScorer as FunctionScorer
    from .scorers.probe import Probe as Probe
    from .scorers.probe import ProbeReport as ProbeReport
    from .select import Citation as Citation
    from .select import Decision as Decision
    from .select import Reason as Reason
    from .select import Settings as Settings
    from .select import Stages as Stages
    from .select import Step as Step
    from .select.compared import Comparison as Comparison
    from .select.stability import Stability as Stability
    from .stats.posterior import Prior as Prior
    from .training import EpochReport as EpochReport
    from .versions.changes import Difference as Difference
    from .versions.folder import Published as Published

_TYPES = {
    "engines.base": "Request Sampling",
    "evidence.collector": "Estimate",
    "evidence.grading": "Grading",
    "exports.exporting": "Exported",
    "exports.handoff": "Handoff",
    "exports.limits": "Limits",
    "hub": "Release",
    "process": "ProcessLayout",
    "rows.inspection": "Inspection",
    "rows.mixing": "Mixture",
    "rows.provenance": "SourceInfo",
    "rows.sources": "Source",
    "runs.listing": "Held",
    "scorers.base": "Scorer",
    "scorers.doubts": "Doubt Doubts",
    "scorers.function": "FunctionScorer",
    "scorers.probe": "Probe ProbeReport",
    "select": "Citation Decision Reason Settings Stages Step",
    "select.compared": "Comparison",
    "select.stability": "Stability",
    "stats.posterior": "Prior",
    "training": "EpochReport",
    "versions.changes": "Difference",
    "versions.folder": "Published",
}
# Names that were here, and are now taken from their rooms.
_MOVED = {
    "errors": "BranchMovedError ColumnExistsError EngineError ExportError HubError LayoutError MissingColumnError PublishError RowError RunError SettingError SourceError VersionExistsError WithdrawnError",
    "exports.internvl_prm": "export_internvl_prm",
    "exports.trl_prm": "export_trl_prm",
    "process": "one_row_per_response split_steps",
    "rows.recognition": "recognise_layout",
    "runs.fill": "Run",
    "scorers": "LIMRScore LikelihoodCDEScore add_limr_score likelihood_cde_score",
    "select": "select_hardest select_limr select_longest select_random select_s1",
    "training": "AddDifficultyHint DifficultyWeighted RemoveDifficultyHint add_difficulty_hint add_epoch_rewards difficulty_weighted order_curriculum remove_difficulty_hint",
}
_HOME_OF = {name: home for table in (_HOMES, _TYPES) for home, names in table.items() for name in names.split()}
_MOVED_TO = {name: home for home, names in _MOVED.items() for name in names.split()}
_RENAMED = {"LimrScore": "LIMRScore", "limr_score": "add_limr_score"}


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # a type checker that saw this would take any name

    def __getattr__(name: str) -> Any:
        """A public name or a room, loaded now and kept."""
        if (current := _RENAMED.get(name, name)) in _MOVED_TO:
            home = f"{__name__}.{_MOVED_TO[current]}"
            import_module(f"{__name__}.options").say_moved(f"hf_rap.{name}", f"{home}.{current}")
            return getattr(import_module(home), current)
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
