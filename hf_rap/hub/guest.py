"""What of a repository is somebody else's, looked at before the first byte goes up.

A publisher is a guest: what others have there stays as it is, or nothing is published and the error says what to do.
What is ours is known by rap.json and its checksums, never by a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from hf_rap.errors import PublishError
from hf_rap.versions.cards import render_card
from hf_rap.versions.manifest import MANIFEST, README
from hf_rap.versions.readme import check_readme, metadata_of
from hf_rap.versions.tags import tag_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .repository import Refs, Repository

# Beside the data: what a version writes, whatever is in it.
_BESIDE = re.compile(r"plots/(cde|difficulty|funnel)\.png|samples/(kept|dropped)-\d\d\.png|report\.html")
# Read before README.md, whose configs then count for nothing.
_STANDALONE = ".huggingface.yaml"
# What load_dataset opens by itself where README.md names no configs. `.py`, `.md` and the like it leaves alone.
_DATA = re.compile(
    r"\.(csv|tsv|json|jsonl|ndjson|parquet|arrow|txt|xml|lance|h5|hdf5|zip|tar|gz|zst|bz2|xz"
    r"|png|jpe?g|webp|gif|bmp|tiff?|mp3|wav|flac|ogg|opus|mp4|webm|mkv|avi|mov|pdf)(\.|$)",
    re.IGNORECASE,
)
_NO_DATA = re.compile(
    r"(licen[cs]e|notice|citation|authors|changelog|requirements|readme)[^/]*|"
    r"(config|dataset_info|dataset_infos|dataset_dict|state|croissant)\.json|rap\.json",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Ground:
    """What lies in a repository at the head of its branch."""

    files: dict[str, Any]
    """Path -> entry of the listing, as `list_repo_tree` gives it."""
    manifest: dict[str, Any] | None
    """What hf-rap has written there last; None where it has not."""
    readme: str | None
    changed: frozenset[str]
    """Files of the manifest that are there with other bytes."""

    @property
    def ours(self) -> set[str]:
        """The files that hf-rap has written and nobody has changed since."""
        listed = set(self.manifest["files"]) if self.manifest else set()
        return (listed & set(self.files)) - self.changed

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What hf-rap has written above README.md; None where it has not."""
        return metadata_of(render_card(self.manifest["facts"])) if self.manifest else None

    def others_at(self, configs: Sequence[str]) -> list[str]:
        """Files of others that a version with these configs would overwrite, or read as its own."""
        taken = [
            name
            for name in self.files
            if _BESIDE.fullmatch(name) or (name.partition("/")[0] in configs and name.endswith(".parquet"))
        ]
        return sorted(set(taken) - self.ours)


def look_around(repository: Repository, refs: Refs) -> Ground:
    """What is there, and which of it is ours.

    Raises:
        PublishError: README.md is not UTF-8.
        HubError: the Hub does not answer.

    """
    if not refs.head:
        return Ground({}, None, None, frozenset())
    files = repository.tree(refs.head)
    # Where somebody has deleted rap.json, the version before says what is ours.
    manifest = repository.manifest(refs.head)
    if manifest is None and MANIFEST not in files:
        newest = repository.newest_version(refs)
        manifest = newest[1] if newest else None
    changed = set()
    for name, entry in (manifest["files"] if manifest else {}).items():
        file = files.get(name)
        if file is None or name == README:
            continue
        if repository.checksum(name, file, refs.head) != entry["sha256"]:
            changed.add(name)
    if changed and manifest is not None:
        # What was never as it should be is a commit of ours that went wrong, and not somebody's change.
        made = repository.commit_with(manifest["version"])
        then = repository.tree(made) if made else {}
        changed = {name for name in changed if name not in then or then[name].blob_id != files[name].blob_id}
    return Ground(files, manifest, read_readme(repository, refs.head) if README in files else None, frozenset(changed))


def read_readme(repository: Repository, commit: str) -> str | None:
    """README.md at a commit, every byte of it.

    Raises:
        PublishError: it is not UTF-8.

    """
    path = repository.download(README, commit)
    if path is None:
        return None
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise PublishError(f"README.md, line {line}: it is not UTF-8. Save it as UTF-8 first.") from error


def check_guest(repository: Repository, refs: Refs, ground: Ground, version: str, configs: Sequence[str]) -> None:
    """Refuses to publish where somebody else's would be overwritten, hidden or changed.

    Raises:
        PublishError: it would; the message names what, and what to do.

    """
    where = repository.id
    if tag_of(version) in refs.branches:
        raise PublishError(
            f"{where} has a branch {tag_of(version)}, and a tag of that name would be mistaken for it. Publish as another "
            "version, or rename the branch."
        )
    if MANIFEST in ground.files and ground.manifest is None:
        raise PublishError(
            f"{where} has a {MANIFEST} that hf-rap has not written. Rename it, or publish to another repository."
        )
    others = ground.others_at(configs)
    if others:
        said = ", ".join(f"{name}{' (changed since)' if name in ground.changed else ''}" for name in others[:5])
        raise PublishError(
            f"{where} has {len(others):,} {'file' if len(others) == 1 else 'files'} that hf-rap has not written, at the "
            f"places that it writes to ({said}). Move them, or publish to another repository."
        )
    script = f"{where.rpartition('/')[2]}.py"
    if script in ground.files:
        raise PublishError(
            f"{where} has {script}, a loading script, beside which load_dataset reads no data any more. Remove it first."
        )
    if _STANDALONE in ground.files:
        raise PublishError(
            f"{where} has {_STANDALONE}, which is read before README.md. Move what it says into the metadata of README.md."
        )
    _check_attributes(repository, refs, ground)
    if ground.readme is not None:
        check_readme(ground.readme, configs, ground.metadata)
    bare = _bare_data(ground)
    if bare:
        raise PublishError(
            f"{where} has data that load_dataset finds by itself ({', '.join(bare[:3])}), because README.md names no "
            "configs. With those of hf-rap it would find it no more. Add its config to the metadata of README.md first:\n"
            f"{_suggested(bare)}"
        )


def _bare_data(ground: Ground) -> list[str]:
    """Files that are read only because there are no configs."""
    if metadata_of(ground.readme or "").get("configs"):
        return []
    ours = set(ground.manifest["files"]) if ground.manifest else set()
    return sorted(
        name
        for name in ground.files
        if name not in ours
        and _DATA.search(name.rpartition("/")[2])
        and not any(part.startswith((".", "__")) for part in name.split("/"))
        and not _NO_DATA.fullmatch(name.rpartition("/")[2])
        and name not in (ground.readme or "")  # a picture of the page
    )


def _suggested(bare: Sequence[str]) -> str:
    """Lines for the metadata; the user knows the splits better."""
    pushed = sorted({match[1] for name in bare if (match := re.fullmatch(r"data/(\w+)-\d{5}-of-\d{5}.*", name))})
    folder = bare[0].partition("/")[0] if "/" in bare[0] else None
    place = f"{folder}/**" if folder else bare[0]
    files = "".join(f"\n  - split: {split}\n    path: data/{split}-*" for split in pushed) or f" {place!r}"
    return f"configs:\n- config_name: default\n  data_files:{files}"


def _check_attributes(repository: Repository, refs: Refs, ground: Ground) -> None:
    """Refuses a .gitattributes that would keep README.md as a large file, which no page shows."""
    path = repository.download(".gitattributes", refs.head) if ".gitattributes" in ground.files else None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path else []
    is_large = False
    for line in lines:
        pattern, *attributes = line.split() or [""]
        if pattern and not pattern.startswith("#") and fnmatch(README, pattern.removeprefix("/")):
            settings = [word for word in attributes if word.lstrip("-!").partition("=")[0] == "filter"]
            is_large = settings[-1] == "filter=lfs" if settings else is_large
    if is_large:
        raise PublishError(
            f"{repository.id}: .gitattributes makes {README} a large file, which no page shows. Take it out of "
            ".gitattributes first."
        )


def check_ignored(repository: Repository, configs: Sequence[str]) -> None:
    """Refuses a repository whose .gitignore names what a version writes: the Hub leaves such files out without a word.

    Raises:
        PublishError: it does.

    """
    data = [f"{config}/train-00000-of-00001.parquet" for config in configs]
    ignored = repository.ignored([README, MANIFEST, *data, "plots/funnel.png", "samples/kept-00.png"])
    if ignored:
        raise PublishError(
            f"{repository.id}: .gitignore leaves out {', '.join(ignored[:5])}, which a version has. Take the line out of "
            ".gitignore, or add one like `!/plots/**` below it."
        )
