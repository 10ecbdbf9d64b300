"""The layers of hf_rap: imports point one way, and importing the package is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hf_rap"

# From the ground up; a module may import modules of its own layer only if they are named before it.
LAYERS = [
    ["version", "errors", "disk", "mapped_files"],
    ["columns", "psi", "published", "counts", "beta", "posterior"],
    ["verify.quantities", "verify.readings", "verify.expressions", "verify.finding", "verify.golds", "verify"],
    ["prompts", "chats", "images", "layouts", "sources", "provenance"],
    [
        "engines.base",
        "engines.noise",
        "engines.endpoint_client",
        "engines.endpoint",
        "engines.loaded_model",
        "engines.probe",
        "engines.forced_passes",
        "engines.teacher_forcing",
        "engines.likelihood",
        "engines.loading",
        "engines.transformers_engine",
        "engines.prompt_tokens",
        "engines",
    ],
    ["collector", "attempts", "attention", "rollouts", "likelihood", "donors", "controls", "collect"],
    [
        "process.steps",
        "process.annotate",
        "process.checks",
        "process.jsonl",
        "process.mapped",
        "process.reading",
        "process",
    ],
    ["scorers.base", "scorers.certainty", "scorers.ace", "scorers.bis"],
    ["scorers.cde", "scorers.difficulty", "scorers.likelihood_cde", "scorers.limr", "scorers"],
    ["inspection"],
    ["adaptive", "adaptive.state", "adaptive.rules", "adaptive.exact", "adaptive.sequential"],
    [
        "select.base",
        "select.arrays",
        "select.stopped",
        "select.rap",
        "select.released",
        "select.difficulty",
        "select.baselines",
        "select.again",
        "select.top",
        "select",
    ],
    ["adaptive.report"],
    ["training.weighting", "training.hints", "training.order", "training.epochs", "training.rewards", "training"],
    ["training.easyr1", "training.verl", "training.ms_swift", "training.openrlhf"],
    ["compare", "prescreen"],
    ["facts", "samples", "difference", "agreement"],
    ["exports.parquet", "exports.universal", "exports.rows", "exports.base", "exports.handoff", "exports.writing"],
    ["exports.trl", "exports.easyr1", "exports.verl", "exports.ms_swift", "exports.llama_factory", "exports.openrlhf"],
    ["exports.mm_eureka", "exports.jsonl", "exports.universal_file", "exports.trainers"],
    ["exports.prm_rows", "exports.internvl_prm", "exports.trl_prm", "exports"],
    [
        "runs",
        "runs.folder",
        "runs.lease",
        "runs.index",
        "runs.merge",
        "runs.progress",
        "runs.fill",
        "runs.listing",
        "runs.cluster",
    ],
    ["adaptive.collect"],
    ["versions", "content"],
    ["cards", "plots", "attention_picture", "readme", "description"],
    ["files", "folder", "exporting"],
    [
        "hub.retries",
        "hub.repository",
        "hub.reading",
        "hub.publishing",
        "hub.differing",
        "hub.reselecting",
        "hub.yanking",
        "hub",
        "pulling",
    ],
    ["metrics.rates", "metrics"],
    [f"metrics.{name}.{name}" for name in ("pass_at_k", "rap_accuracy", "modality_gap")],
    ["demo.chains", "demo.pictures", "demo.questions", "demo.planted", "demo.lesson", "demo", "demo.measure"],
    ["cli.output", "cli.options", "cli.collecting"],
    [
        "cli.attention",
        "cli.likelihood",
        "cli.controls",
        "cli.inspect",
        "cli.rollouts",
        "cli.score",
        "cli.select",
        "cli.compare",
        "cli.stability",
        "cli.publish",
        "cli.diff",
        "cli.reselect",
        "cli.yank",
        "cli.run",
        "cli.runs",
        "cli.demo",
        "cli.annotate_steps",
        "cli.export_prm",
        "cli.export",
        "cli.pull",
        "cli.demo_prm",
        "cli",
    ],
    ["__main__", ""],
]
PLACE = {module: number for number, module in enumerate(name for layer in LAYERS for name in layer)}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below hf_rap."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path) -> set[str]:
    """The modules of hf_rap that a module imports anywhere, type checking included."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    package = [part for part in package if part]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            full = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                deeper = ".".join([*full, alias.name])
                found.add(deeper if deeper in modules() else ".".join(full))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hf_rap":
            found.add((node.module or "").removeprefix("hf_rap").removeprefix("."))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "hf_rap"}
    return found


def test_every_module_has_a_layer():
    """A new file has to say where it stands."""
    assert set(modules()) == set(PLACE)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down(name):
    """A module imports only what stands before it in the list of layers."""
    wrong = {other for other in imports(name, modules()[name]) if PLACE[other] >= PLACE[name]}
    assert wrong == set()


# OpenRLHF takes its rewards as tensors; this runs only inside it.
IN_TRAINERS = {"training.openrlhf"}


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_only_engines_import_the_heavy_libraries(library):
    """Outside hf_rap/engines nothing imports torch or transformers, not even inside a function."""
    users = set()
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(each.split(".")[0] == library for each in names):
                users.add(name)
    assert {name for name in users if not name.startswith("engines")} - IN_TRAINERS == set()


def loaded_by(code: str) -> set[str]:
    """The top-level modules that are loaded after running `code` in a fresh interpreter."""
    listing = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "transformers", "datasets", "pyarrow", "numpy", "matplotlib", "sympy", "PIL", "huggingface_hub"}


@pytest.mark.parametrize("module", ["hf_rap", "hf_rap.cli"])
def test_importing_is_light(module):
    """Neither the package nor its command line loads a heavy library at import."""
    assert loaded_by(f"import {module}") & HEAVY == set()


def test_the_light_import_test_can_fail():
    """The test above does see a heavy import where there is one."""
    assert "numpy" in loaded_by("import hf_rap, numpy") & HEAVY


def test_public_names_exist():
    """`__all__` lists exactly what the package offers."""
    import hf_rap

    public = {
        name for name in vars(hf_rap) if not name.startswith("_") and name not in modules() and name != "annotations"
    }
    assert set(hf_rap.__all__) - {"__version__"} == public - {
        "adaptive",
        "engines",
        "scorers",
        "demo",
        "exports",
        "training",
        "process",
        "metrics",
        "hub",
    }
    assert all(hasattr(hf_rap, name) for name in hf_rap.__all__)
