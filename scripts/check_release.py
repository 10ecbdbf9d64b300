"""May these files go out? Prints a line for each thing that is wrong with a wheel, an sdist or a tag; exits with 1 then.

    python scripts/check_release.py --tag v0.1.0 --repository OWNER/NAME dist/*

Without a tag the changelog may still say Unreleased; without a repository no link is asked for.
"""

from __future__ import annotations

import argparse
import re
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Most of it is the demo model: 4.6 MB.
LARGEST = 8 << 20
# Each was forgotten by some build backend at some time: files that are no Python.
NEEDED = (
    "hf_rap/py.typed",
    "hf_rap/version.py",
    "hf_rap/demo/grid-vlm/model.safetensors",
    "hf_rap/demo/grid-vlm/tokenizer.json",
    "hf_rap/versions/templates/card.md",
    "hf_rap/cli/recipes/rap.yaml",
    "hf_rap/cli/recipes/bis.yaml",
    "hf_rap/cli/recipes/difficulty-prior.yaml",
    "hf_rap/reports/page/page.html",
    "hf_rap/.agents/skills/hf-rap/SKILL.md",
)
BESIDE = {
    "wheel": {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"},
    "sdist": {
        "PKG-INFO",
        "README.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "LICENSE",
        "pyproject.toml",
        "hatch_build.py",
        ".gitignore",
    },
}
REFUSED = re.compile(
    r"(^|/)(__pycache__|tests?|\.[a-z]+_cache|\.venv[^/]*|\.env|\.DS_Store)(/|$)|\.(pyc|parquet|arrow|log)$"
)


def contents(file: Path) -> tuple[str, set[str]]:
    """(wheel or sdist, its files without the folder of the sdist, and for a wheel without that of its facts)."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as archive:
            names = {name for name in archive.namelist() if not name.endswith("/")}
        return "wheel", {re.sub(r"^[^/]+\.dist-info/", "", name) for name in names}
    with tarfile.open(file) as archive:
        return "sdist", {each.name.partition("/")[2] for each in archive.getmembers() if not each.isdir()}


def judge_file(file: Path) -> list[str]:
    """What is wrong with a wheel or an sdist: what it lacks, what it holds too much, and its size."""
    kind, names = contents(file)
    wrong = [f"lacks {name}" for name in sorted({*NEEDED, *BESIDE[kind]} - names)]
    wrong += [
        f"holds {name}, which nobody who installs it needs"
        for name in sorted(names - BESIDE[kind])
        if not name.startswith("hf_rap/") or REFUSED.search(name)
    ]
    size = file.stat().st_size
    if size > LARGEST:
        wrong.append(f"has {size / 1e6:.1f} MB; the bound is {LARGEST / 1e6:.1f} MB")
    return [f"{file.name} {each}." for each in wrong]


def judge_tag(root: Path, tag: str, files: list[Path]) -> list[str]:
    """What does not agree with a tag: the version, the citation, the changelog, the names of the files."""
    version = re.search(r'VERSION = "([^"]+)"', (root / "hf_rap" / "version.py").read_text(encoding="utf-8"))[1]  # type: ignore[index]
    wrong = []
    if tag != f"v{version}":
        wrong.append(f"The tag is {tag}, and hf_rap/version.py says {version}: a release of it has the tag v{version}.")
    if f"\nversion: {version}\n" not in (root / "CITATION.cff").read_text(encoding="utf-8"):
        wrong.append(f"CITATION.cff does not say `version: {version}`.")
    heading = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d\n+(?!## )\S"
    if not re.search(heading, (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE):
        wrong.append(f"CHANGELOG.md has no `## {version} - YEAR-MONTH-DAY` with a text below it.")
    names = {f"hf_rap-{version}.tar.gz", f"hf_rap-{version}-py3-none-any.whl"}
    wrong += [f"{file.name} is not version {version}." for file in files if file.name not in names]
    return wrong


def judge_links(wheel: Path, repository: str) -> list[str]:
    """Links that the page of the package lacks, and those of its text that lead nowhere from there."""
    with zipfile.ZipFile(wheel) as archive:
        facts = next(archive.read(name).decode() for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    home = f"https://github.com/{repository}"
    wanted = {"Repository": home, "Changelog": f"{home}/blob/main/CHANGELOG.md"}
    head, _, text = facts.partition("\n\n")
    wrong = [
        f'The wheel has no link {name} to {url}: write {name} = "{url}" under [project.urls] in pyproject.toml.'
        for name, url in wanted.items()
        if f"Project-URL: {name}, {url}" not in head.splitlines()
    ]
    relative = re.findall(r"\]\((?!https?://|#|mailto:)([^)\s]+)", text)
    if relative:
        wrong.append(f"The page of the package has {len(relative)} links that lead nowhere, {relative[0]} first.")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", default="", help="v and the version")
    parser.add_argument("--repository", default="", help="OWNER/NAME on GitHub")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout that the files are from")
    parser.add_argument("files", nargs="*", type=Path, help="one wheel and one sdist")
    given = parser.parse_args()
    wrong = [each for file in given.files for each in judge_file(file)]
    if sorted(file.suffix for file in given.files) != [".gz", ".whl"]:
        wrong.append(f"A release is one wheel and one sdist, not {[file.name for file in given.files]}.")
    if given.tag:
        wrong += judge_tag(given.root, given.tag, given.files)
    if given.repository:
        wrong += [each for file in given.files if file.suffix == ".whl" for each in judge_links(file, given.repository)]
    print("\n".join(wrong) or f"{len(given.files)} files may go out.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
