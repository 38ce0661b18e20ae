"""Which file names give a key."""

import pytest

from pipeline.dataset.keys import LONGEST_KEY, is_key, key_of, stem
from pipeline.errors import PipelineError
from pipeline.shards.tar import LONGEST_NAME


@pytest.mark.parametrize("name", ["000001.jpg", "a/b/000001.jpg", "A-b_9.jpeg"])
def test_the_stem_is_the_key(name):
    assert key_of(name) == stem(name) and is_key(stem(name))


@pytest.mark.parametrize(
    "name", ["photo.of.me.jpg", "Zoë.jpg", "a b.jpg", ".jpg", "", "jpg", "a" * 95 + ".jpg"]
)
def test_what_cannot_be_a_key_is_refused_by_name(name):
    with pytest.raises(PipelineError, match="cannot be a sample's key") as refused:
        key_of(name)
    assert repr(name) in str(refused.value)


def test_the_longest_key_fits_a_tar_header():
    assert LONGEST_KEY + len(".json") == LONGEST_NAME
