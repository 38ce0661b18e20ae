"""Images come with their corrected labels, from whichever split they were moved."""

import numpy as np

from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA_VIEW
from tests.support.corrected import corrected


def images(reader: ShardReader) -> dict[str, bytes]:
    [batch] = reader.batches([np.arange(len(reader))])
    return {
        reader.key(int(row)): image.tobytes()
        for row, image in zip(batch.rows, batch.images, strict=True)
    }


def test_a_moved_image_is_read_from_its_own_shard(shards):
    with ShardReader(shards, "test", CELEBA_VIEW) as test:
        pictures, moved, gone = images(test), test.key(7), test.key(0)
    view = corrected(
        CELEBA_VIEW, (moved, "split", "test", "train"), (gone, "image", "keep", "drop")
    )
    with ShardReader(shards, "train", view) as train:
        assert len(train) == 49 and train.read_keys()[-1] == moved
        assert images(train)[moved] == pictures[moved]
    with ShardReader(shards, "test", view) as test:
        left = {key: p for key, p in pictures.items() if key not in (moved, gone)}
        assert images(test) == left


def test_a_batch_has_the_labels_of_all_of_the_split(shards):
    with ShardReader(shards, "train", CELEBA_VIEW) as train:
        key, was = train.key(5), train.labels().values[5, 0]
    view = corrected(CELEBA_VIEW, (key, train.names[0], str(int(was)), ""))
    with ShardReader(shards, "train", view) as reader:
        [batch] = reader.batches([np.array([4, 5])])
        assert batch.known is not None and not batch.known[1, 0] and batch.known.sum() == 79
        assert reader.known_labels(np.arange(48)) == 48 * 40 - 1


def test_some_samples_alone_are_counted_anew(shards):
    with ShardReader(shards, "train", CELEBA_VIEW) as train:
        keys = train.read_keys()
        train.keep(np.array([9, 2, 30]))
        assert train.read_keys() == [keys[9], keys[2], keys[30]] and len(train) == 3
        train.keep(np.array([1]))
        assert train.read_keys() == [keys[2]] and len(train.labels()) == 1
