"""Select the rows of a multimodal dataset that make a model reason.

evidence = ds.map(Rollouts(TransformersEngine(model)), batched=True)
scored = evidence.map(cde_score, batched=True).map(difficulty_score, batched=True)
selection = select_cognitive(scored)
publish_to_folder(selection, "my-dataset-rap", version="1.0.0")
"""

from .collect import collect_evidence, estimate
from .engines.base import Completion, Engine, Request, Sampling
from .engines.transformers_engine import TransformersEngine
from .errors import (
    ColumnExistsError,
    EngineError,
    LayoutError,
    MissingColumnError,
    PublishError,
    RapError,
    RowError,
    SettingError,
    SourceError,
)
from .exports.internvl_prm import export_internvl_prm
from .exports.trl_prm import export_trl_prm
from .inspection import inspect_dataset
from .layouts import Layout, recognise_layout
from .process import (
    ProcessLayout,
    StepRewards,
    annotate_steps,
    load_process_rewards,
    one_row_per_response,
    split_steps,
)
from .publish import publish_to_folder
from .rollouts import Rollouts
from .scorers.base import Scorer, add_scores
from .scorers.bis import BISScore, bis_score
from .scorers.cde import CDEScore, cde_score
from .scorers.difficulty import DifficultyScore, difficulty_score
from .select import Quantile, Selection, select_cognitive, select_top
from .sources import load_source
from .version import VERSION as __version__

__all__ = [
    "BISScore",
    "CDEScore",
    "ColumnExistsError",
    "Completion",
    "DifficultyScore",
    "Engine",
    "EngineError",
    "Layout",
    "LayoutError",
    "MissingColumnError",
    "ProcessLayout",
    "PublishError",
    "Quantile",
    "RapError",
    "Request",
    "Rollouts",
    "RowError",
    "Sampling",
    "Scorer",
    "Selection",
    "SettingError",
    "SourceError",
    "StepRewards",
    "TransformersEngine",
    "__version__",
    "add_scores",
    "annotate_steps",
    "bis_score",
    "cde_score",
    "collect_evidence",
    "difficulty_score",
    "estimate",
    "export_internvl_prm",
    "export_trl_prm",
    "inspect_dataset",
    "load_process_rewards",
    "load_source",
    "one_row_per_response",
    "publish_to_folder",
    "recognise_layout",
    "select_cognitive",
    "select_top",
    "split_steps",
]
