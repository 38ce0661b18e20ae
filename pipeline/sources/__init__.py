"""Where faces come from. Each source turns its own world into raw parquet rows."""

from pipeline.params import Params
from pipeline.raw import Source


def open_source(params: Params) -> Source:
    """The source that `data.source` names. Raises PipelineError where it holds no faces."""
    if params.data.source == "folder":
        from pipeline.sources.folder import FolderSource

        return FolderSource(params.sources.folder.root())

    if params.data.source == "hub":
        from pipeline.sources.hub import HubSource

        return HubSource(params.sources.hub.repo, params.sources.hub.revision)

    from pipeline.sources.synthetic import SyntheticSource

    drawn = params.sources.synthetic
    return SyntheticSource(drawn.train, drawn.valid, drawn.test, drawn.seed)
