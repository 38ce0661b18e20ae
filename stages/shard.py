"""Stage `shard`: from raw parquet to square crops in WebDataset tars."""

from stages.layout import PARAMS, ParamsFile, raw_folder, shard_folder


def shard(params: ParamsFile = PARAMS) -> None:
    """Crop the images and pack them into tars. Reads data/SOURCE/raw, writes data/SOURCE/shards.

    The tars are read by webdataset, timm and `datasets` as they are; index.json and
    index.parquet beside them tell what each holds and its sha256.
    """
    from pipeline.codec import CropSettings
    from pipeline.params import load_params
    from pipeline.shards import write_shards

    settings = load_params(params)
    chosen = settings.shards
    crop = CropSettings(chosen.size, chosen.quality, chosen.format)
    folder = shard_folder(settings.data.source)
    index = write_shards(
        raw_folder(settings.data.source),
        folder,
        crop,
        chosen.samples,
        shuffle=chosen.shuffle,
        on_error=chosen.on_error,
        most_bad=chosen.most_bad,
        engine=chosen.engine,
    )
    shards = [shard for of_split in index["shards"].values() for shard in of_split]
    size = sum(shard["bytes"] for shard in shards) / 1e6
    print(
        f"{folder}: {sum(index['counts'].values()):,} crops of {crop.size} x {crop.size} px in"
        f" {len(shards)} shards, {size:,.1f} MB, {len(index['quarantine']):,} in quarantine"
    )
