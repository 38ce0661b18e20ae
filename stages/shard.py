"""Stage `shard`: from raw parquet to square crops in WebDataset tars."""

from stages.layout import PARAMS, ParamsFile, raw_folder, shard_folder


def shard(params: ParamsFile = PARAMS) -> None:
    """Crop the images and pack them into tars. Reads data/SOURCE/raw, writes data/SOURCE/shards.

    The tars are read by webdataset, timm and `datasets` as they are; index.json and
    index.parquet beside them tell what each holds and its sha256.
    """
    from pipeline.dataset.codec import CropSettings
    from pipeline.dataset.raw_index import require_source
    from pipeline.packing.plan import ShardSettings
    from pipeline.packing.write import write_shards
    from pipeline.params import load_params

    read = load_params(params)
    chosen, source = read.shards, read.data.source
    crop = CropSettings(chosen.size, chosen.quality, chosen.format)
    settings = ShardSettings(crop, chosen.samples, chosen.shuffle, chosen.on_error, chosen.most_bad)
    raw, folder = raw_folder(source), shard_folder(source)
    require_source(raw, read)
    index = write_shards(raw, folder, settings, chosen.engine)
    shards = list(index.tars())
    size = sum(shard.bytes for shard in shards) / 1e6
    print(
        f"{folder}: {sum(index.counts.values()):,} crops of {crop.size} x {crop.size} px in"
        f" {len(shards)} shards, {size:,.1f} MB, {len(index.quarantine):,} in quarantine"
    )
    card = folder.parent / "croissant.json"
    if card.exists():
        described = card.read_text("utf-8")
        if not all(str(shard.sha256) in described for shard in shards):
            print(f"{card} and README.md describe other shards; run `pipeline card` again")
