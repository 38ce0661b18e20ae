"""The 40 attributes of CelebA, the seven face regions, and the two orders they come in.

*CelebA order* is that of `list_attr_celeba.txt` (alphabetical); raw parquet, shards and
statistics use it. *Model order* groups the attributes by the region whose head predicts
them; logits, predictions and the exported model use it. Labels cross from one to the other where
they are read: columns are taken from a table by name, in the order that is asked for.
"""

from typing import Final

CELEBA_ORDER: Final[tuple[str, ...]] = (
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
)

REGIONS: Final[dict[str, tuple[str, ...]]] = {
    "whole_face": (
        "Attractive",
        "Blurry",
        "Chubby",
        "Heavy_Makeup",
        "Male",
        "Oval_Face",
        "Pale_Skin",
        "Smiling",
        "Young",
    ),
    "hair": (
        "Bald",
        "Bangs",
        "Black_Hair",
        "Blond_Hair",
        "Brown_Hair",
        "Gray_Hair",
        "Receding_Hairline",
        "Straight_Hair",
        "Wavy_Hair",
        "Wearing_Hat",
    ),
    "eyes": (
        "Arched_Eyebrows",
        "Bags_Under_Eyes",
        "Bushy_Eyebrows",
        "Eyeglasses",
        "Narrow_Eyes",
    ),
    "nose": ("Big_Nose", "Pointy_Nose"),
    "lips_and_chin": (
        "5_o_Clock_Shadow",
        "Big_Lips",
        "Double_Chin",
        "Goatee",
        "Mouth_Slightly_Open",
        "Mustache",
        "No_Beard",
        "Sideburns",
        "Wearing_Lipstick",
    ),
    "cheeks_and_ears": ("High_Cheekbones", "Rosy_Cheeks", "Wearing_Earrings"),
    "neck": ("Wearing_Necklace", "Wearing_Necktie"),
}
"""Region -> its attributes, in model order. One head a region."""

MODEL_ORDER: Final[tuple[str, ...]] = tuple(a for names in REGIONS.values() for a in names)

REGION_OF: Final[dict[str, str]] = {a: r for r, names in REGIONS.items() for a in names}

SPLITS: Final[tuple[str, ...]] = ("train", "valid", "test")
"""In the order of CelebA's partition codes 0, 1, 2."""
