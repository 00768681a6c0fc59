"""A noise schedule whose last level is all noise."""

import json
from pathlib import Path

from stages.errors import ConfigError
from stages.tables import replace


def end_in_noise(base: Path) -> None:
    """Have the diffusers folder ``base`` name a schedule whose last level has no picture left: zero terminal SNR.

    All that reads the folder follows: training, drawing and judging meet the same levels. Drawing then begins at the last
    one. Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", arXiv 2305.08891, sections 3.1, 3.3.

    Raises:
        ConfigError: when the base is a flow, or does not predict v: where all is noise, the noise says nothing.
    """
    file = base / "scheduler" / "scheduler_config.json"
    values = json.loads(file.read_bytes())
    if values["_class_name"].startswith("FlowMatch"):
        raise ConfigError("base.zero_terminal_snr: this base is a flow, which ends in noise anyway; set it to false")
    if values.get("prediction_type") != "v_prediction":
        raise ConfigError("base.zero_terminal_snr: this base predicts the noise, and it needs one that predicts v")
    values |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    replace(file, (json.dumps(values, indent=2, sort_keys=True) + "\n").encode())
