"""Draws a portrait that shows 40 attributes, as CelebA frames one.

`draw(labels, identity, variation)`: the identity gives the person, the variation gives pose,
light, backdrop and clothes, and the labels everything that a classifier should find.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from pipeline.sources.celeba import celeba_labels
from pipeline.sources.synthetic import dress, face, hair
from pipeline.sources.synthetic.canvas import HEIGHT, WIDTH, Canvas, Colour, Pose, mix
from pipeline.sources.synthetic.sitter import Sitter, make_sitter

ZOOM: Final = 2
"""Portraits are painted this much larger, then reduced: smooth edges."""

BACKDROPS: Final[tuple[Colour, ...]] = (
    (238, 226, 204), (198, 214, 226), (120, 150, 170), (222, 190, 176), (164, 186, 152),
    (84, 96, 120), (206, 200, 220), (232, 206, 150), (110, 124, 112), (176, 128, 118),
    (60, 66, 84), (214, 224, 214),
)  # fmt: skip

_MIDDLE: Final = 128
"""Grey that stands for no noise, and for light that changes nothing."""
_NOISE: Final = (
    (np.random.default_rng(2).normal(_MIDDLE, 32, (HEIGHT + 64, WIDTH + 64, 3)).round())
    .clip(0, 255)
    .astype(np.uint8)
)
_DOWN, _ACROSS = np.mgrid[-1:1:8j, -1:1:8j]


@dataclass(frozen=True)
class Scene:
    """What changes from picture to picture of one person."""

    pose: Pose
    light: float
    """-1..1: from the left .. from the right."""
    overhead: float
    """-1..1: from below .. from above."""
    gain: float
    warmth: float
    """-1..1: blue .. amber."""
    noise: float
    """Standard deviation of the sensor's noise, in grey levels."""
    grain: tuple[int, int]
    """Which part of the noise."""
    gaze: float
    dress: float
    """0..1, chooses the clothes' colour; `hat` and `hue` the hat's form and colour."""
    hat: float
    hue: float
    backdrop: np.ndarray
    """float64 [24] in 0..1: colours and shapes of the backdrop."""


def make_scene(rng: np.random.Generator) -> Scene:
    """A random scene."""
    roll, scale, x, y, turn, nod, light, overhead, gain, warmth, gaze = rng.uniform(
        -1, 1, 11
    ).tolist()
    noise, dress, hat, hue = rng.random(4).tolist()
    return Scene(
        pose=Pose(0.1 * roll, 1 + 0.04 * scale, (3 * x, 2.5 * y), 5.5 * turn, 2 * nod),
        light=light,
        overhead=overhead,
        gain=1 + 0.1 * gain,
        warmth=warmth,
        noise=1 + 3.5 * noise * noise,
        grain=(int(rng.integers(64)), int(rng.integers(64))),
        gaze=gaze,
        dress=dress,
        hat=hat,
        hue=hue,
        backdrop=rng.random(24),
    )


def draw(labels: np.ndarray, identity: int, variation: int) -> np.ndarray:
    """A portrait, uint8 RGB [218, 178, 3].

    `labels`: bool [40] in CelebA order, any combination; `identity`, `variation`: any integer
    from 0 on. The same three give the same picture.
    """
    has = dict(zip(celeba_labels(), map(bool, labels), strict=True))
    sitter = make_sitter(has, np.random.default_rng(identity))
    scene = make_scene(np.random.default_rng(variation))
    canvas = Canvas(scene.pose, ZOOM)
    canvas.pixels = _backdrop(scene.backdrop)
    _paint(canvas, sitter, scene)
    return _photograph(canvas.pixels, scene, blurry=has["Blurry"])


def _paint(canvas: Canvas, sitter: Sitter, scene: Scene) -> None:
    """From the back to the front."""
    has, pose, light = sitter.has, scene.pose, scene.light
    hair.paint_back_hair(canvas, sitter)
    dress.paint_neck(canvas, sitter, scene.dress)
    face.paint_ears(canvas, sitter)
    face.paint_face(canvas, sitter, pose, light)
    face.paint_skin_details(canvas, sitter)
    hair.paint_beard(canvas, sitter)
    face.paint_eyes(canvas, sitter, scene.gaze)
    face.paint_brows(canvas, sitter)
    face.paint_mouth(canvas, sitter)
    if has["Mustache"]:
        hair.paint_moustache(canvas, sitter)
    face.paint_nose(canvas, sitter, light)
    if has["Sideburns"]:
        hair.paint_sideburns(canvas, sitter)
    hair.paint_hair(canvas, sitter, pose, light)
    if has["Eyeglasses"]:
        dress.paint_glasses(canvas, sitter)
    if has["Wearing_Hat"]:
        dress.paint_hat(canvas, sitter, scene.hat, scene.hue)
    if has["Wearing_Earrings"]:
        dress.paint_earrings(canvas, sitter)


def _backdrop(chance: np.ndarray) -> np.ndarray:
    """Two colours running into each other, with soft shapes; uint8, as large as the canvas."""
    first, second, third = (BACKDROPS[int(c * len(BACKDROPS))] for c in chance[:3])
    small = np.empty((28, 23, 3), np.uint8)
    ramp = np.linspace(0, 1, 28)[:, None, None]
    small[:] = np.array(first) * (1 - ramp) + np.array(second) * ramp
    for x, y, size, share in chance[4:24].reshape(5, 4):
        colour = mix(first, third, 0.3 + 0.6 * share)
        centre = round(x * 22 * 16), round(y * 27 * 16)
        cv2.circle(small, centre, round((2 + 5 * size) * 16), colour, -1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(small, (0, 0), 0.6 + 2 * chance[3])
    return cv2.resize(soft, (WIDTH * ZOOM, HEIGHT * ZOOM), interpolation=cv2.INTER_LINEAR)


def _photograph(pixels: np.ndarray, scene: Scene, blurry: bool) -> np.ndarray:
    """Reduce the canvas, light it and add the camera's faults; uint8 [218, 178, 3]."""
    picture = np.asarray(cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
    if blurry:
        picture = cv2.GaussianBlur(picture, (0, 0), 3.0)
    lamp = 1 + 0.15 * scene.light * _ACROSS - 0.09 * scene.overhead * _DOWN
    warmth = 0.06 * scene.warmth
    tint = scene.gain * np.array([1 + warmth, 1, 1 - warmth])
    small = np.rint(_MIDDLE * lamp[:, :, None] * tint).astype(np.uint8)
    light = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    lit = cv2.multiply(picture, light, scale=1 / _MIDDLE)
    top, left = scene.grain
    noise = _NOISE[top : top + HEIGHT, left : left + WIDTH]
    strength = scene.noise / 32
    shot: np.ndarray = cv2.addWeighted(lit, 1, noise, strength, -_MIDDLE * strength)
    return shot
