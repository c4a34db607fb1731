"""What a classifier's logits and features are computed by where there is a graph of it: ONNX Runtime, without Keras."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eyebright.data.parallel import processors
from eyebright.data.progress import shown
from eyebright.errors import ClassifierError
from eyebright.settings import TestTimeAugmentation
from eyebright.views import Answers, Images, Logits, batches

INPUT = "images"
Output = Literal["probabilities", "logits", "features"]
OUTPUTS: tuple[Output, ...] = ("probabilities", "logits", "features")
_SILENT = 4  # of ONNX Runtime's log, beside which its errors are raised
_NOWHERE = "/nowhere/no-such-folder"


class OnnxNetwork:
    """A graph of a classifier, preprocessing and views included, computed in float32.

    Args:
        graph: an ONNX model in whose bytes all of it is. Its input is `images` uint8 [N, H, W, C], its outputs are
            `OUTPUTS`: probabilities and logits float32 [N, classes], features float32 [N, d].
        image_shape: (height, width, channels) of the images that it takes.
        classes: how many.
        tta: the views that it looks at.
        threads: that compute; as many as this process may use if not given.

    Raises:
        ClassifierError: ONNX Runtime cannot read it, or it takes or gives something else.
    """

    def __init__(
        self,
        graph: bytes,
        image_shape: tuple[int, int, int],
        classes: int,
        tta: TestTimeAugmentation,
        threads: int | None = None,
    ) -> None:
        # Its import takes longer than that of all of Eyebright, and none of it is needed to read an artefact.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or processors()
        options.log_severity_level = _SILENT
        # Its threads wait without keeping a processor busy: what is decoded meanwhile, or answered, needs it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A graph may name files to read weights from. Of what it has all lies in its bytes: it finds none.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
        try:
            self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common class of their own
            raise ClassifierError(f"model.onnx: ONNX Runtime cannot read it: {error}") from error
        received = {value.name: (value.type, value.shape[1:]) for value in self._session.get_inputs()}
        given = {value.name: (value.type, value.shape[1:]) for value in self._session.get_outputs()}
        if received != {INPUT: ("tensor(uint8)", list(image_shape))} or not (
            set(given) >= set(OUTPUTS) and given["logits"] == ("tensor(float)", [classes])
        ):
            raise ClassifierError(f"model.onnx: it takes {received} and gives {given}, which is not what was packaged.")
        self._image_shape = image_shape
        self._features = given["features"][1]
        self._tta = tta

    def logits(self, images: Images, indices: NDArray[np.int64], progress: bool = False) -> Logits:
        """Logits [n, classes], by its views, of the images uint8 [N, H, W, C] in `indices` int64 [n], n > 0."""
        return self._run(["logits"], images, indices, progress)[0]

    def features(self, images: Images, indices: NDArray[np.int64]) -> NDArray[np.floating]:
        """Features [n, d] of the images in `indices`, which may be none."""
        if not len(indices):
            return np.empty((0, *self._features), np.float32)
        return self._run(["features"], images, indices, False)[0]

    def answers(self, images: Images, indices: NDArray[np.int64]) -> Answers:
        """Logits [n, classes] and features [n, d] of the images in `indices`, n > 0."""
        return Answers(*self._run(["logits", "features"], images, indices, False))

    def _run(
        self, outputs: list[str], images: Images, indices: NDArray[np.int64], progress: bool
    ) -> list[NDArray[np.floating]]:
        parts = batches(indices, self._image_shape, self._tta)
        shown_parts = shown(parts, "Images", len(indices), len, progress=progress)
        results = [self._session.run(outputs, {INPUT: np.ascontiguousarray(images[part])}) for part in shown_parts]
        return [np.concatenate(of_parts) for of_parts in zip(*results, strict=True)]
