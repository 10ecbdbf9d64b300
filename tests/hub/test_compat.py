"""What a new release of huggingface_hub has moved, of the parts that are not public."""

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HFValidationError

from hf_rap.hub import compat


@pytest.fixture
def hub_part(part_of):
    return lambda part: part_of("huggingface_hub", part, room="hub")


@pytest.mark.parametrize("name", ["user/name", "user/name.of-data_2"])
def test_names_of_repositories_pass(hub_part, name):
    """Letters, digits, dashes, dots and underscores."""
    with hub_part("utils.validate_repo_id"):
        compat.check_repo_id(name)


@pytest.mark.parametrize("name", ["a/b/c", "user/na me", "user/-name", "user/" + "x" * 100])
def test_other_names_do_not(hub_part, name):
    """Before the Hub is asked."""
    with hub_part("utils.validate_repo_id"), pytest.raises(HFValidationError):
        compat.check_repo_id(name)


def test_a_noted_checksum_spares_reading_the_file(hub_part, tmp_path):
    """The client takes it as it is; the file, gone since, is not opened again."""
    path = tmp_path / "large.parquet"
    path.write_bytes(b"x" * 100)
    with hub_part("CommitOperationAdd.upload_info.sha256"):
        operation = CommitOperationAdd("data.parquet", str(path))
        path.unlink()
        compat.note_checksum(operation, "ab" * 32)
        assert operation.upload_info.sha256 == b"\xab" * 32


@pytest.mark.parametrize(("said", "ignored"), [(True, True), (False, False), (None, False)])
def test_what_the_hub_ignores_is_told(hub_part, said, ignored):
    """Nothing is known before the Hub was asked."""
    with hub_part("CommitOperationAdd._should_ignore"):
        operation = CommitOperationAdd("data.parquet", b"x")
        assert operation._should_ignore is None
        operation._should_ignore = said
        assert compat.is_ignored(operation) is ignored


def test_files_are_told_from_folders(hub_part):
    """As `list_repo_tree` lists them."""
    with hub_part("hf_api.RepoFile"):
        from huggingface_hub.hf_api import RepoFile, RepoFolder

        assert compat.is_file(RepoFile(path="a.parquet", size=1, oid="0"))
        assert not compat.is_file(RepoFolder(path="data", oid="0"))
