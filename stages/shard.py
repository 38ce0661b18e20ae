"""Stage `shard`: from raw parquet to square crops in WebDataset tars."""

from stages.layout import PARAMS, ParamsFile, raw_folder, shard_folder


def shard(params: ParamsFile = PARAMS) -> None:
    """Crop the images and pack them into tars. Reads data/SOURCE/raw, writes data/SOURCE/shards.

    The tars are read by webdataset, timm and `datasets` as they are; index.json and
    index.parquet beside them tell what each holds and its sha256.
    """
    from pipeline.params import load_params
    from pipeline.shards import CropSettings, write_shards

    settings = load_params(params)
    crop = CropSettings(settings.shards.size, settings.shards.quality)
    folder = shard_folder(settings.data.source)
    index = write_shards(raw_folder(settings.data.source), folder, crop, settings.shards.samples)
    shards = [shard for of_split in index["shards"].values() for shard in of_split]
    print(
        f"{folder}: {sum(index['counts'].values()):,} crops of {crop.size} x {crop.size} px"
        f" in {len(shards)} shards, {sum(s['bytes'] for s in shards) / 1e6:,.1f} MB"
    )
