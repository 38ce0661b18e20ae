"""CelebA's attribute set as constants, and a small set of another dataset."""

from pipeline.attributes import AttributeSet, load_set
from pipeline.dataset.raw import raw_schema
from pipeline.dataset.view import View
from pipeline.shards.sample import index_schema

CELEBA = load_set("celeba")
CELEBA_ORDER = CELEBA.names
MODEL_ORDER = CELEBA.model_order
REGIONS = {region: tuple(names) for region, names in CELEBA.regions.items()}
REGION_OF = CELEBA.region_of
SCHEMA = raw_schema(CELEBA_ORDER)
INDEX_SCHEMA = index_schema(CELEBA_ORDER)
CELEBA_VIEW = View(CELEBA)

SMALL = AttributeSet(
    name="Small",
    licence="CC0-1.0",
    source="this project's tests",
    attributes={"Smiling": "Teeth or raised corners of the mouth.", "Bald": None, "Hat": None},
    regions={"mouth": ["Smiling"], "head": ["Hat", "Bald"]},
    groups=[["Bald", "Hat"]],
    hidden=["Bald"],
)
"""Three attributes whose two orders differ."""
