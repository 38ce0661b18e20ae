"""The shards that the params ask for: others that lie in their place are refused."""

from pathlib import Path

from pipeline.attributes import load_set
from pipeline.dataset.wanted import refuse, source_changes
from pipeline.errors import PipelineError
from pipeline.params import Params
from pipeline.shards.foreign import index_of
from pipeline.shards.index import Index


def wanted_index(folder: Path, settings: Params) -> Index:
    """The index of a shard folder whose shards are those that the params describe.

    Of tars that others made only the size is known, which has to be that of the params. Raises
    PipelineError where the shards are others, and as `index_of` does.
    """
    index = index_of(folder, load_set(settings.data.attributes).names)
    wanted = settings.shards
    if index.format is None:
        if index.size != wanted.size:
            raise PipelineError(
                f"{folder} holds tars that others made, with images of {index.size} px, and"
                f" shards.size is {wanted.size}; set shards.size to {index.size}."
            )
        return index
    counts = {
        split: index.samples(split) + sum(image.split == split for image in index.quarantine)
        for split in index.shards
    }
    made = {"source": index.source, **index.provenance}
    if source := source_changes(made, counts, settings):
        refuse(folder, source, "`pipeline download` and `pipeline shard`")
    # Not the samples in a shard, which decide no batch, nor a quality that lossless crops ignore.
    names = ["size", "format", *(["quality"] if wanted.format == "jpg" else []), "shuffle"]
    pairs = {f"shards.{name}": (getattr(index, name), getattr(wanted, name)) for name in names}
    refuse(folder, {k: p for k, p in pairs.items() if p[0] != p[1]}, "`pipeline shard`")
    return index
