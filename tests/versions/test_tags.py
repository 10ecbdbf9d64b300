"""The numbers of versions."""

import pytest

from hf_rap.errors import SettingError
from hf_rap.versions.tags import bumped, numbers, tag_of, versions_of


@pytest.mark.parametrize(
    ("part", "version"), [("major", "3.0.0"), ("minor", "2.5.0"), ("patch", "2.4.10")], ids=lambda each: each
)
def test_a_bump_raises_its_number_and_resets_the_lower_ones(part, version):
    """Of the highest version, by number and not by spelling."""
    assert bumped(["1.9.9", "2.4.9", "0.10.0", "2.4.8"], part) == version


@pytest.mark.parametrize("part", ["major", "minor", "patch"])
def test_the_first_version_needs_none_before_it(part):
    """Whatever is raised."""
    assert bumped([], part) == "1.0.0"


def test_only_the_three_numbers_can_be_raised():
    """The error lists them."""
    with pytest.raises(SettingError, match="bump is 'build': it takes one of major, minor, patch"):
        bumped(["1.0.0"], "build")


def test_other_tags_are_no_versions():
    """Leading zeros and further parts neither; the order is that of the numbers."""
    tags = ["v1.10.0", "paper", "v1.9.0", "1.0.0", "v01.0.0", "v1.0.0-rc1", "v1.0.0.0", "V1.0.0", "v0.0.1"]
    assert versions_of(tags) == ["0.0.1", "1.9.0", "1.10.0"]
    assert [tag_of(version) for version in versions_of(tags)] == ["v0.0.1", "v1.9.0", "v1.10.0"]
    assert numbers("10.0.12") == (10, 0, 12)
