"""Where faces come from. Each source turns its own world into raw parquet rows."""

from pipeline.dataset.raw_writer import Source
from pipeline.params import Folder, Hub, Params, Part, Synthetic, Table


def open_source(params: Params) -> Source:
    """The source that `data.source` names. Raises PipelineError where it holds no faces."""
    if params.data.source == "union":
        from pipeline.sources.union.source import UnionSource

        union = params.sources.union
        parts = {name: _open(_section(part)) for name, part in union.parts.items()}
        return UnionSource(parts, union.leaks)
    return _open(getattr(params.sources, params.data.source))


def _section(part: Part) -> Synthetic | Folder | Hub | Table:
    """The params of the one source that a part of a union names."""
    [section] = (s for s in (part.synthetic, part.folder, part.hub, part.table) if s is not None)
    return section


def _open(section: Synthetic | Folder | Hub | Table) -> Source:
    """The source that a section of the params is of."""
    match section:
        case Folder():
            from pipeline.sources.folder.source import FolderSource

            return FolderSource(section.root(), section.images)
        case Hub():
            from pipeline.sources.hub.source import HubSource

            return HubSource(section.repo, section.revision)
        case Table():
            from pipeline.sources.table.source import TableSource

            return TableSource(section)
        case Synthetic():
            from pipeline.sources.synthetic.source import SyntheticSource

            return SyntheticSource(**section.model_dump())
