"""The registered model, as MLflow loads it: a prompt and a seed give a PNG in base64. Nothing is pickled."""

import base64
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from stages import families
from stages.images import encode_png


class Adapted(PythonModel):
    """Base and adapter together."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load both once."""
        self.settings = context.model_config
        base = context.artifacts.get("base") or self.settings["base"]
        self.family = families.build(self.settings["family"], Path(base), precision=self.settings["base_precision"])
        self.family.load_adapter(Path(context.artifacts["adapter"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[str]:
        """A picture for each prompt; the same seed gives the same picture."""
        seed = int((params or {}).get("seed", 0))
        pictures = [self._picture(str(prompt), seed) for prompt in model_input["prompt"]]
        return [base64.b64encode(picture).decode() for picture in pictures]

    def _picture(self, prompt: str, seed: int) -> bytes:
        width, height = self.settings["size"]
        steps, guidance = self.settings["steps"], self.settings["guidance"]
        return encode_png(
            self.family.generate([prompt], [seed], steps=steps, guidance=guidance, size=(width, height))[0]
        )


mlflow.models.set_model(Adapted())
