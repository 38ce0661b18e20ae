"""Where faces come from. Each source turns its own world into raw parquet rows."""

from pipeline.dataset.raw_writer import Source
from pipeline.params import Params


def open_source(params: Params) -> Source:
    """The source that `data.source` names. Raises PipelineError where it holds no faces."""
    if params.data.source == "folder":
        from pipeline.sources.folder.source import FolderSource

        return FolderSource(params.sources.folder.root(), params.sources.folder.images)

    if params.data.source == "hub":
        from pipeline.sources.hub.source import HubSource

        return HubSource(params.sources.hub.repo, params.sources.hub.revision)

    from pipeline.sources.synthetic.source import SyntheticSource

    drawn = params.sources.synthetic
    return SyntheticSource(**drawn.model_dump())
