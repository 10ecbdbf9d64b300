"""A selection -> a version on the Hub: one commit on top of what is there, checked, and then its tag.

Shards are written one after the other, each sent ahead and removed before the next, so neither memory nor disk
grows with the dataset. Whatever stops a publish, the same call goes on where it stopped: what the Hub has is not
sent again, a commit without its tag is found and tagged, and a version that is there already is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID
from hf_rap.errors import HubError, PublishError, SettingError, VersionExistsError
from hf_rap.options import check_choice, renamed
from hf_rap.rows.media import allowed
from hf_rap.rows.parquet import shard_name, shards_of
from hf_rap.rows.provenance import source_of
from hf_rap.system import scratch_folder
from hf_rap.versions.cards import has_too_many_names, render_card
from hf_rap.versions.changes import changes_between
from hf_rap.versions.configs import Content, check_selection
from hf_rap.versions.digest import RowDigest
from hf_rap.versions.manifest import MANIFEST, README, Written, describe, file_entry, manifest_of, same_content
from hf_rap.versions.plots import draw_plots
from hf_rap.versions.readme import merge_readme
from hf_rap.versions.tags import BUMPS, bumped, numbers, tag_of

from .compat import is_ignored, note_checksum
from .guest import Ground, check_guest, check_ignored, look_around, read_readme
from .landing import commit_version, tag_version
from .reading import checked_files, decision_columns, open_repository, read_decisions, wrong_files
from .repository import Refs, Repository
from .terms import check_licence, note_on_visibility

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.provenance import SourceInfo
    from hf_rap.select import Selection

# Above this the Hub keeps a file as a large one, apart from the commit, whatever .gitattributes says; a smaller one
# may have to go into the commit itself.
ALWAYS_LARGE = 10_000_000


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
    note: str | None = None
    """A sentence on what can be seen by whom, where that differs from the source."""

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
    hints: bool = False,
    report: bool = False,
    control: bool | None = None,
    source: SourceInfo | None = None,
    licence: str | None = None,
    despite_licence: bool = False,
    allow_lower: bool = False,
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
        hints: put the hints of `hf_rap.training.add_difficulty_hint` behind the questions that trainers are given.
        report: add a page on which people see the rows (`hf_rap.report`), report.html, linked from the card.
        control: the old name of `random_control`.
        source: where the rows come from, see `describe_source`; None finds the dataset of the Hub that they were
            loaded from, and else prints as unknown.
        licence: of the data; None takes the licence of `source`, and no other may ask for less.
        despite_licence: publish although the licence of the source forbids it.
        allow_lower: publish although a higher version is there; the branch then holds the lower one.
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

    Examples:
        >>> publish(selection, "user/geometry3k-rap", version="1.0.0")  # doctest: +SKIP

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
        "hints": hints,
        "report": report,
        "despite_licence": despite_licence,
        "allow_lower": allow_lower,
        "dry_run": dry_run,
    }
    check_selection(selection, layout, source, licence, **flags)
    source = source or source_of(selection.scored, api=api)
    check_licence(licence, source, despite_licence=despite_licence)
    repository = open_repository(repo_id, api)
    with allowed(media_roots):
        content = Content.of(
            selection,
            layout,
            source.id if source else "unknown",
            random_control=random_control,
            hints=hints,
            report=repo_id if report else None,
        )
    refs = _prepared(repository, private=private, dry_run=dry_run)
    newest = repository.newest_version(refs)
    version = version or _free(refs, newest[1]["version"] if newest else None, bump or "")
    ground = look_around(repository, refs)
    work = _Work(repository, content, refs, ground, version, source, licence)
    earlier, is_tagged = work.earlier(), tag_of(version) in refs.tags
    if earlier is not None and (is_tagged or (not dry_run and work.is_whole(*earlier))) and work.is_at(*earlier):
        return work.finish(*earlier)
    if is_tagged:
        free = _free(refs, version, "patch")
        raise VersionExistsError(
            f"{repo_id} has a version {version} with other content, and a version never changes. "
            f"Publish as {free} (or --bump).",
            next_version=free,
        )
    if bump is not None and newest is not None and work.is_at(*newest):
        return replace(work, version=newest[1]["version"]).finish(*newest)
    if newest is not None and numbers(version) < numbers(newest[1]["version"]) and not allow_lower:
        raise PublishError(
            f"{repo_id} has version {newest[1]['version']}, and with {version} its branch would go back to a lower one. "
            "Publish as a higher version (or bump), or pass allow_lower=True (--allow-lower)."
        )
    check_guest(repository, refs, ground, version, content.configs)
    note = note_on_visibility(repository, source, private=private, is_there=bool(refs.head))
    if dry_run:
        facts, pictures, written, _ = work.build(send=False)
        files, texts = work.files(facts, pictures, written)
        return Release(repo_id, version, None, True, facts, files, texts[README].decode(), note)
    check_ignored(repository, content.configs)
    facts, pictures, written, operations = work.build(send=True)
    return replace(work.commit(facts, pictures, written, operations), note=note)


def _free(refs: Refs, version: str | None, part: str) -> str:
    """The version after `version` whose name no tag and no branch has; None takes the first one."""
    version = bumped([version] if version else [], part)
    while tag_of(version) in refs.tags or tag_of(version) in refs.branches:
        version = bumped([version], part)
    return version


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
    ground: Ground
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
            commit = self.repository.commit_with(self.version)
            if commit is None:
                return None
        manifest = None if commit is None else self.repository.manifest(commit)
        if commit is None or manifest is None or manifest["version"] != self.version:
            free = _free(self.refs, self.version, "patch")
            raise VersionExistsError(
                f"{self.repository.id} has a tag {tag_of(self.version)} that hf-rap has not made. Publish as {free}.",
                next_version=free,
            )
        return commit, manifest

    def is_at(self, commit: str, manifest: dict[str, Any]) -> bool:
        """These very rows are there already, in a version that nobody has withdrawn."""
        head = self.ground.manifest
        if manifest["version"] != self.version and manifest["version"] in (head or manifest)["facts"].get(
            "withdrawn", {}
        ):
            return False
        licence = self.licence or (self.source.licence if self.source else None)

        def files(config: str) -> list[Path]:
            return checked_files(self.repository, commit, manifest, config)

        return same_content(self.content, manifest, licence, files)

    def build(
        self, *, send: bool
    ) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Written], list[CommitOperationAdd]]:
        """Facts, small files and shards. Every shard is sent (or only measured) and removed at once."""
        from huggingface_hub import CommitOperationAdd

        written: dict[str, Written] = {}
        operations: list[CommitOperationAdd] = []
        with scratch_folder() as folder:
            for config in self.content.in_writing_order:
                record, sent, digest = Written(), [], RowDigest(self.content.features(config))
                groups, rank_by = digest.over(self.content.groups(config)), self.content.rank_by(config)
                for shard in shards_of(groups, digest.features, folder / config, rank_by=rank_by):
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
                record.content = digest.hexdigest()
                written[config] = record
                operations += sent
        facts, pictures = describe(
            self.content,
            {config: written[config] for config in self.content.configs},
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
        head = self.ground.manifest
        facts["withdrawn"] = head["facts"].get("withdrawn") or {} if head else {}
        facts["since"] = self._since()
        facts["versions"] = self._versions_before()
        card = merge_readme(self.ground.readme, render_card(facts), self.ground.metadata)
        texts = {**draw_plots(facts), **pictures, README: card.encode()}
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
        """Commit, check and tag. Where the Hub takes no README as large (413), one without the types of the columns."""
        files, texts = self.files(facts, pictures, written)
        try:
            commit = self._send(facts, files, texts, operations)
        except HubError as error:
            if error.status != 413 or has_too_many_names(facts):
                raise
            facts["types_left_out"] = True
            files, texts = self.files(facts, pictures, written)
            commit = self._send(facts, files, texts, operations)
        tag_version(self.repository, commit, facts, {**files, MANIFEST: file_entry(texts[MANIFEST])})
        return Release(self.repository.id, self.version, commit, True, facts, files, texts[README].decode())

    def _send(
        self,
        facts: dict[str, Any],
        files: dict[str, dict[str, Any]],
        texts: dict[str, bytes],
        operations: list[CommitOperationAdd],
    ) -> str:
        """The commit of all files."""
        from huggingface_hub import CommitOperationAdd

        small = [CommitOperationAdd(name, content) for name, content in texts.items()]
        deletions = self._deletions(files)
        self.repository.upload(small)
        left_out = [operation.path_in_repo for operation in [*operations, *small] if is_ignored(operation)]
        if left_out:
            raise PublishError(
                f"{self.repository.id}: .gitignore leaves out {', '.join(left_out[:5])}. Change it first."
            )
        every: list[CommitOperationAdd | CommitOperationDelete] = [*operations, *small, *deletions]
        return commit_version(self.repository, every, facts, texts[MANIFEST], parent=self.refs.head)

    def is_whole(self, commit: str, manifest: dict[str, Any]) -> bool:
        """A commit without a tag has all that its manifest lists; one that has not is built over."""
        return not wrong_files(self.repository, commit, manifest["facts"], manifest["files"])

    def finish(self, commit: str, manifest: dict[str, Any]) -> Release:
        """A version that is there, which gets its tag where it has none."""
        facts, files = manifest["facts"], manifest["files"]
        is_new = tag_of(self.version) not in self.refs.tags
        if is_new:
            tag_version(self.repository, commit, facts, files)
        card = read_readme(self.repository, commit) or ""
        return Release(self.repository.id, self.version, commit, is_new, facts, files, card)

    def _versions_before(self) -> list[dict[str, Any]]:
        """The versions that the one before lists, and itself, for the table of the card; lowest first."""
        head = self.ground.manifest
        if head is None:
            return []
        rows = head["facts"]["rows"]
        before = {entry["version"]: entry for entry in head["facts"].get("versions") or []}
        before[head["version"]] = {"version": head["version"], "kept": rows["kept"], "all": rows["all"]}
        before.pop(self.version, None)
        return sorted(before.values(), key=lambda entry: numbers(entry["version"]))

    def _since(self) -> dict[str, Any] | None:
        """What changed against the version before, where both have ids."""
        scored = self.content.selection.scored
        if ID.name not in scored.column_names:
            return None
        before = self.repository.newest_version(self.refs, below=self.version)
        if before is None:
            return None
        commit, manifest = before
        old = read_decisions(self.repository, commit, manifest)
        if ID.name not in old.column_names:
            return None
        group_by = self.content.group_by
        names = [name for name in scored.column_names if name in decision_columns(group_by)]
        new = scored.select_columns(names).with_format("arrow")[:]
        return {"version": manifest["version"], **changes_between(old, new, group_by=group_by).facts}

    def _deletions(self, files: dict[str, dict[str, Any]]) -> list[CommitOperationDelete]:
        """Files of the version before that this one has not, and that nobody has changed."""
        from huggingface_hub import CommitOperationDelete

        return [CommitOperationDelete(name) for name in sorted(self.ground.ours - set(files) - {README})]
