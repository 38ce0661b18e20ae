"""The detectors as ONNX, beside OpenCV's own reading of the same files."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.faces.detector import FAMILIES, Detector, read_network
from pipeline.faces.find import Finder
from pipeline.faces.to_onnx import convert
from pipeline.faces.weights import read_weights
from tests.support import film


@pytest.mark.parametrize("family", FAMILIES)
def test_it_answers_as_opencv_does(family: str, finder: Finder, face_weights: Path) -> None:
    weights, grids = FAMILIES[family]
    detector = Detector(family)
    noise = np.random.default_rng(0).integers(0, 256, (detector.side, detector.side, 3), np.uint8)
    face = cv2.resize(film.portrait(film.FACES[0])[20:198], (detector.side,) * 2)
    network = cv2.dnn.readNetFromTFLite(str(face_weights / weights.name), cv2.dnn.ENGINE_CLASSIC)
    centres = np.concatenate([grid.centres() for grid in grids])
    for image in (noise, face):
        pixels = np.ascontiguousarray((image / np.float32(127.5) - 1).transpose(2, 0, 1)[None])
        network.setInput(pixels)
        outputs = network.forward(network.getUnconnectedOutLayersNames())
        logits, boxes = sorted(outputs, key=lambda output: output.shape[-1])
        expected = boxes.reshape(-1, 8, 2) / detector.side
        expected[:, [0, 2, 3, 4, 5, 6, 7]] += centres[:, None]  # all but the size
        scores, faces = detector._session.run(None, {"image": image[None]})
        np.testing.assert_allclose(scores[0], 1 / (1 + np.exp(-logits.reshape(-1))), atol=1e-5)
        np.testing.assert_allclose(faces[0].reshape(-1, 8, 2), expected, atol=1e-5)
    assert scores.max() > 0.5, "the face is seen"


def test_the_same_file_gives_the_same_bytes(finder: Finder) -> None:
    assert read_network("short_range") == read_network("short_range")


def test_an_operation_that_detectors_do_not_have_is_refused(finder: Finder) -> None:
    weights, grids = FAMILIES["short_range"]
    data = bytearray(read_weights(weights))
    import tflite

    model = tflite.Model.GetRootAs(data, 0)
    table = model.OperatorCodes(0)._tab  # its numbers, in place
    for field in (4, 10):  # deprecated and present code
        if offset := table.Offset(field):
            data[table.Pos + offset] = 32  # CUSTOM
    with pytest.raises(ValueError, match=r"the operation \w+ is not known"):
        convert(bytes(data), grids)
