"""The faces bundle as an MLflow pyfunc, as code: what `mlflow models serve` serves in `benchmarks.faces_serving`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from benchmarks.faces_serving import reduced
from components.bundle import Bundle
from components.labs.faces.runtime.model import FaceModel


class Faces(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    def load_context(self, context: Any) -> None:
        self.model = FaceModel.load(Bundle.open(Path(context.artifacts["bundle"])))

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        crops = np.concatenate([reduced(base64.b64decode(content)) for content in model_input["image"]])
        return [float(value) for value in self.model.probabilities(crops)]


mlflow.models.set_model(Faces())
