"""Run an exported ONNX file with ONNX Runtime: no torch is needed, and it starts at once."""

from pathlib import Path

import numpy as np

from pipeline.engines import available_cpus
from pipeline.errors import PipelineError
from pipeline.export.card import INPUT, OUTPUT, Images, Probabilities, check_attributes


class Network:
    """An exported file in ONNX Runtime on the CPU: its `metadata` and the image `size` it takes."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        """`threads` 0: one for each core of this process.

        Raises PipelineError where the file is missing, damaged or not ours.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise PipelineError(
                f"ONNX files need onnxruntime ({error}): `pip install onnxruntime`."
            ) from error
        options = onnxruntime.SessionOptions()
        # Left to itself ONNX Runtime ties threads to cores, even to some that are not ours to use.
        options.intra_op_num_threads = threads or available_cpus()
        options.log_severity_level = 3
        if not path.is_file():
            raise PipelineError(f"{path} is missing; run `pipeline export` first.")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has a dozen classes, all its own
            reason = str(error).splitlines()[0]
            raise PipelineError(f"{path} is no ONNX file that can be run ({reason}).") from error
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        check_attributes(self.metadata, str(path))
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [i.name for i in inputs] != [INPUT] or [o.name for o in outputs] != [OUTPUT]:
            raise PipelineError(f"{path} does not map {INPUT!r} to {OUTPUT!r}; export it again.")
        self.size = int(inputs[0].shape[1])

    def run(self, images: Images, batch: int = 16) -> Probabilities:
        """Probabilities [N, 40] of uint8 images [N, S, S, 3]."""
        if images.shape[1:] != (self.size, self.size, 3) or images.dtype != np.uint8:
            raise PipelineError(
                f"The ONNX file takes RGB images of {self.size} x {self.size} bytes, and got"
                f" {images.dtype} {list(images.shape)}."
            )
        parts = [
            self._session.run([OUTPUT], {INPUT: images[start : start + batch]})[0]
            for start in range(0, len(images), batch)
        ]
        return np.concatenate(parts)
