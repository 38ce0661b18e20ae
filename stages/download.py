"""Stage `download`: from a source of faces to raw parquet."""

from stages.layout import PARAMS, ParamsFile, raw_folder


def download(params: ParamsFile = PARAMS) -> None:
    """Fetch or draw faces and labels. Writes data/SOURCE/raw.

    The source is `data.source` of the params: `synthetic` draws faces here, `folder` reads the
    CelebA that CELEBA_ROOT points to, `hub` fetches it, `table` reads pictures and labels of your
    own, `union` several of these. Writes raw parquet and source.json, whole
    or not at all. Stops where images are missing, unless sources.folder.images is false.
    """
    from pipeline.dataset.raw_writer import write_raw
    from pipeline.params import load_params
    from pipeline.sources import open_source

    settings = load_params(params)
    source = open_source(settings)
    print(source.found())
    folder = raw_folder(settings.data.source)
    index = write_raw(source, folder)
    counts = ", ".join(f"{count:,} {split}" for split, count in index.counts.items())
    print(f"{folder}: {counts} rows, {index.images:,} images, {len(index.files)} files")
    if settings.data.source != "synthetic":
        print(
            "DVC does not see when the files of the source (or CELEBA_ROOT) change; when they did,"
            " run `dvc repro -f download`, then `dvc repro`"
        )
