"""A selection -> a version on the Hub: one commit on top of what is there, checked, and then its tag.

Shards are written one after the other, each sent ahead and removed before the next, so neither memory nor disk
grows with the dataset. Whatever stops a publish, the same call goes on where it stopped: what the Hub has is not
sent again, a commit without its tag is found and tagged, and a version that is there already is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID
from hf_rap.errors import PublishError, SettingError, VersionExistsError
from hf_rap.options import check_choice, renamed
from hf_rap.rows.media import allowed
from hf_rap.rows.parquet import shard_name, shards_of
from hf_rap.rows.provenance import source_of
from hf_rap.versions.cards import render_card
from hf_rap.versions.changes import changes_between
from hf_rap.versions.configs import CONFIGS, Content, check_selection
from hf_rap.versions.manifest import MANIFEST, README, Written, describe, file_entry, manifest_of, same_content
from hf_rap.versions.plots import draw_plots
from hf_rap.versions.readme import merge_readme
from hf_rap.versions.tags import BUMPS, bumped, numbers, tag_of

from .compat import note_checksum
from .reading import check_files, decision_columns, open_repository, read_decisions
from .repository import KIND, Refs, Repository
from .retries import repeated

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.provenance import SourceInfo
    from hf_rap.select import Selection

# Above this the Hub keeps a file as a large one, apart from the commit, whatever .gitattributes says; a smaller one
# may have to go into the commit itself.
ALWAYS_LARGE = 10_000_000
# Licences that do not allow to pass on a changed copy, by their ids on the Hub; a selection is one.
NO_DERIVATIVES = ("cc-by-nd", "cc-by-nc-nd")


@dataclass(frozen=True)
class Release:
    """A version on the Hub, or what it would be."""

    repo_id: str
    version: str
    commit: str | None
    """None after a dry run."""
    is_new: bool
    """False: the same content was there already, and nothing was changed."""
    facts: dict[str, Any]
    files: dict[str, dict[str, Any]]
    """Path -> {"sha256", "bytes"}, without the manifest itself."""
    card: str

    @property
    def tag(self) -> str:
        """What `load_dataset` takes as revision."""
        return tag_of(self.version)


def publish(
    selection: Selection,
    repo_id: str,
    version: str | None = None,
    *,
    bump: str | None = None,
    private: bool = True,
    random_control: bool = False,
    control: bool | None = None,
    source: SourceInfo | None = None,
    licence: str | None = None,
    despite_licence: bool = False,
    layout: Layout | None = None,
    dry_run: bool = False,
    media_roots: Iterable[str | os.PathLike[str]] = (),
    api: HfApi | None = None,
) -> Release:
    """Publish `selection` as a version of a dataset on the Hub: data, card, plots and manifest in one commit, then a tag.

    `load_dataset(repo_id, "selected", revision="v1.0.0")` reads it, with nothing but `datasets` installed.

    Safe to repeat: interrupted at any point, the same call ends in the same state. A version that is there is
    never changed. The tag is made only after what lies on the Hub was compared with what was sent.

    Args:
        selection: what `select_cognitive` returned.
        repo_id: `user/name`; made when it is not there. In a README that is there, only the part between the
            marks of hf-rap is replaced, and metadata is merged; files that hf-rap has not written stay.
        version: three numbers, "1.0.0".
        bump: "patch", "minor" or "major" instead of a version: the one after the highest that is there.
        private: visibility of a repository that is made; one that is there keeps its own.
        random_control: add the config `control` with as many rows drawn at random, to compare a training run with.
        control: the old name of `random_control`.
        source: where the rows come from, see `describe_source`; None finds the dataset of the Hub that they were
            loaded from, and else prints as unknown.
        licence: of the data; None takes the licence of `source`.
        despite_licence: publish although the licence allows no changed copies.
        layout: which column is what; None recognises it.
        dry_run: write and check everything, but send nothing.
        media_roots: folders beside the dataset's own whose files rows may name, see `hf_rap.rows.media`.
        api: another client for the Hub.

    Raises:
        SettingError: the version is not three numbers, or the name is none of a repository.
        LayoutError: the layout is not recognised, or a column is missing.
        PublishError: nothing is selected, a kept row is unusable, or the licence forbids it.
        VersionExistsError: the version is there with other content, or its tag was made by hand.
        BranchMovedError: somebody else has committed in the meantime.
        HubError: the Hub said no, or did not answer.

    """
    if (version is None) == (bump is None):
        raise SettingError("Give either a version ('1.0.0') or bump ('patch', 'minor' or 'major').")
    if version is not None:
        numbers(version)
    if bump is not None:
        check_choice("bump", bump, BUMPS)
    random_control = renamed("control", control, "random_control", random_control)
    flags = {
        "private": private,
        "random_control": random_control,
        "despite_licence": despite_licence,
        "dry_run": dry_run,
    }
    check_selection(selection, layout, source, licence, **flags)
    source = source or source_of(selection.scored, api=api)
    _check_licence(licence or (source.licence if source else None), despite_licence=despite_licence)
    repository = open_repository(repo_id, api)
    with allowed(media_roots):
        content = Content.of(selection, layout, source.id if source else "unknown", random_control=random_control)
    refs = _prepared(repository, private=private, dry_run=dry_run)
    version = version or bumped(refs.versions, bump or "")
    work = _Work(repository, content, refs, version, source, licence)
    earlier, is_tagged = work.earlier(), tag_of(version) in refs.tags
    if earlier is not None or dry_run:
        facts, pictures, written, _ = work.build(send=False)
        if earlier is not None and (is_tagged or not dry_run) and same_content(facts, written, earlier[1]):
            return work.finish(*earlier)
        if is_tagged:
            free = bumped(refs.versions, "patch")
            raise VersionExistsError(
                f"{repo_id} has a version {version} with other content, and a version never changes. "
                f"Publish as {free} (or --bump).",
                next_version=free,
            )
    if dry_run:
        files, texts = work.files(facts, pictures, written)
        return Release(repo_id, version, None, True, facts, files, texts[README].decode())
    facts, pictures, written, operations = work.build(send=True)
    return work.commit(facts, pictures, written, operations)


def _check_licence(licence: str | None, *, despite_licence: bool) -> None:
    named = (licence or "").lower()
    if not despite_licence and any(clause in part for clause in NO_DERIVATIVES for part in named.split(", ")):
        raise PublishError(
            f"The source has the licence {licence}, which allows no changed copies, and a selection is one. With the "
            "permission of its owners: despite_licence=True (--despite-licence)."
        )


def _prepared(repository: Repository, *, private: bool, dry_run: bool) -> Refs:
    """Branch and tags of a repository that is there and can be written."""
    if not dry_run:
        repository.check_token()
    refs = repository.refs()
    if refs is None and not dry_run:
        repository.create(private=private)
        refs = repository.refs()
        if refs is None:
            raise PublishError(f"{repository.id} was made, but the Hub does not find it. Run the same command again.")
    return refs or Refs("", {})


@dataclass(frozen=True)
class _Work:
    """One version on its way to the Hub."""

    repository: Repository
    content: Content
    refs: Refs
    version: str
    source: SourceInfo | None
    licence: str | None

    def earlier(self) -> tuple[str, dict[str, Any]] | None:
        """Commit and manifest of this version where it is there already, also when its tag is still missing.

        Raises:
            VersionExistsError: the tag is there, but not from hf-rap.

        """
        if not self.refs.head:
            return None
        if tag_of(self.version) in self.refs.tags:
            commit = self.repository.commit_of(tag_of(self.version))
        else:
            commit = self.repository.find_commit(self._title_start, matches=self._is_ours)
            if commit is None:
                return None
        manifest = None if commit is None else self.repository.manifest(commit)
        if commit is None or manifest is None or manifest["version"] != self.version:
            free = bumped(self.refs.versions, "patch")
            raise VersionExistsError(
                f"{self.repository.id} has a tag {tag_of(self.version)} that hf-rap has not made. Publish as {free}.",
                next_version=free,
            )
        return commit, manifest

    def build(
        self, *, send: bool
    ) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Written], list[CommitOperationAdd]]:
        """Facts, small files and shards. Every shard is sent (or only measured) and removed at once."""
        from huggingface_hub import CommitOperationAdd

        written: dict[str, Written] = {}
        operations: list[CommitOperationAdd] = []
        with TemporaryDirectory(prefix="hf-rap-") as folder:
            for config in self.content.configs:
                record, sent = Written(), []
                batches, features = self.content.batches(config), self.content.features(config)
                for shard in shards_of(batches, features, Path(folder) / config):
                    name = f"{config}/{shard.name}"
                    record.add(shard, name)
                    if send:
                        is_large = shard.stat().st_size > ALWAYS_LARGE
                        operation = CommitOperationAdd(name, str(shard) if is_large else shard.read_bytes())
                        note_checksum(operation, record.files[name]["sha256"])
                        self.repository.upload([operation])
                        sent.append(operation)
                    shard.unlink()
                # How many there are is known only now; of a large file the commit needs the checksum alone.
                names = [f"{config}/{shard_name(number, len(record.files))}" for number in range(len(record.files))]
                record.files = dict(zip(names, record.files.values(), strict=True))
                for operation, name in zip(sent, names if sent else [], strict=True):
                    operation.path_in_repo = name
                written[config] = record
                operations += sent
        facts, pictures = describe(
            self.content,
            written,
            name=self.repository.id,
            version=self.version,
            source=self.source,
            licence=self.licence,
        )
        facts["hub"] = {"id": self.repository.id, "tag": tag_of(self.version)}
        return facts, pictures, written, operations

    def files(
        self, facts: dict[str, Any], pictures: dict[str, bytes], written: dict[str, Written]
    ) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
        """What the manifest lists, and the content of all small files. Completes `facts`."""
        head = self._head_manifest()
        facts["withdrawn"] = head["facts"].get("withdrawn") or {} if head else {}
        facts["since"] = self._since()
        readme = self.repository.download(README, self.refs.head) if self.refs.head else None
        existing = readme.read_text(encoding="utf-8") if readme else None
        texts = {**draw_plots(facts), **pictures, README: merge_readme(existing, render_card(facts)).encode()}
        files = {name: file_entry(content) for name, content in texts.items()}
        for record in written.values():
            files |= record.files
        return dict(sorted(files.items())), {**texts, MANIFEST: manifest_of(facts, files)}

    def commit(
        self,
        facts: dict[str, Any],
        pictures: dict[str, bytes],
        written: dict[str, Written],
        operations: list[CommitOperationAdd],
    ) -> Release:
        """Commit, check and tag."""
        from huggingface_hub import CommitOperationAdd

        files, texts = self.files(facts, pictures, written)
        small = [CommitOperationAdd(name, content) for name, content in texts.items()]
        deletions = self._deletions(files)
        self.repository.upload(small)
        ours = file_entry(texts[MANIFEST])["sha256"]

        def landed(commit: str) -> bool:
            path = self.repository.download(MANIFEST, commit)
            return path is not None and file_entry(path.read_bytes())["sha256"] == ours

        title = f"{self._title_start}{facts['rows']['kept']:,} of {facts['rows']['all']:,} rows"
        commit = self.repository.commit([*operations, *small, *deletions], title, parent=self.refs.head, landed=landed)
        manifest = {"version": self.version, "facts": facts, "files": files}
        return self.finish(commit, manifest, card=texts[README].decode())

    def finish(self, commit: str, manifest: dict[str, Any], *, card: str | None = None) -> Release:
        """Check what lies on the Hub and tag it, unless that was done before."""
        facts, files = manifest["facts"], manifest["files"]
        is_new = tag_of(self.version) not in self.refs.tags
        if is_new:
            check_files(self.repository, commit, manifest)
            title = f"{self._title_start}{facts['rows']['kept']:,} of {facts['rows']['all']:,} rows"
            self.repository.tag(self.version, commit, title)
            tag_commit = self.repository.commit_of(tag_of(self.version))
            if tag_commit != commit:
                raise PublishError(
                    f"{self.repository.id}: the tag {tag_of(self.version)} stands for {tag_commit}, not for {commit}."
                )
        if card is None:
            path = self.repository.download(README, commit)
            card = path.read_text(encoding="utf-8") if path else ""
        return Release(self.repository.id, self.version, commit, is_new, facts, files, card)

    @property
    def _title_start(self) -> str:
        return f"Version {self.version}: "

    def _is_ours(self, commit: str) -> bool:
        manifest = self.repository.manifest(commit)
        return manifest is not None and manifest["version"] == self.version

    def _head_manifest(self) -> dict[str, Any] | None:
        return self.repository.manifest(self.refs.head) if self.refs.head else None

    def _since(self) -> dict[str, Any] | None:
        """What changed against the version before, where both have ids."""
        scored = self.content.selection.scored
        before = [version for version in self.refs.versions if numbers(version) < numbers(self.version)]
        if not before or ID.name not in scored.column_names:
            return None
        commit = self.repository.commit_of(tag_of(before[-1]))
        manifest = None if commit is None else self.repository.manifest(commit)
        if commit is None or manifest is None:
            return None
        old = read_decisions(self.repository, commit, manifest)
        if ID.name not in old.column_names:
            return None
        group_by = self.content.group_by
        names = [name for name in scored.column_names if name in decision_columns(group_by)]
        new = scored.select_columns(names).with_format("arrow")[:]
        return {"version": before[-1], **changes_between(old, new, group_by=group_by).facts}

    def _deletions(self, files: dict[str, dict[str, Any]]) -> list[CommitOperationDelete]:
        """Files of the version before that this one has not.

        Raises:
            PublishError: somebody else's files would be read as part of a config.

        """
        from huggingface_hub import CommitOperationDelete

        there = set(
            repeated(
                f"Listing {self.repository.id}",
                lambda: self.repository.api.list_repo_files(
                    self.repository.id, revision=self.refs.head, repo_type=KIND
                ),
            )
        )
        head = self._head_manifest()
        ours = set(head["files"]) if head else set()
        foreign = sorted(
            name
            for name in there - ours - set(files)
            if name.partition("/")[0] in CONFIGS and name.endswith(".parquet")
        )
        if foreign:
            raise PublishError(
                f"{self.repository.id} has files that hf-rap has not written, in folders that it writes to "
                f"({', '.join(foreign[:5])}). Move them, or publish to another repository."
            )
        return [CommitOperationDelete(name) for name in sorted((ours & there) - set(files))]
