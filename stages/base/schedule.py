"""The noise schedule of a base model, as its folder states it for training, drawing and measuring alike."""

import json
from pathlib import Path

from stages.errors import ConfigError
from stages.tables import replace

# What diffusers' schedulers read: the first shifts and scales sqrt(abar) so that nothing of the picture is left at the last
# timestep, the second makes sampling begin there.
ZERO_TERMINAL = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def end_in_noise(base: Path) -> None:
    """Give the pipeline in ``base`` zero terminal SNR, without which no picture is wholly dark or wholly bright.

    Lin et al., "Common Diffusion Noise Schedules and Sample Steps Are Flawed", arXiv 2305.08891, algorithm 1 and section
    3.3. Their third remedy, to train with v-prediction, is a condition: noise tells nothing where there is nothing else.

    Raises:
        ConfigError: when the base does not predict v, as no flow and hardly a Stable Diffusion does.
    """
    file = base / "scheduler" / "scheduler_config.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    prediction = known.get("prediction_type", "no diffusion's target")
    if prediction != "v_prediction":
        raise ConfigError(
            f"base.zero_terminal_snr: needs a base that predicts v_prediction, and this one predicts {prediction}; "
            "set it to false"
        )
    replace(file, json.dumps(known | ZERO_TERMINAL, indent=2, sort_keys=True).encode() + b"\n")
