"""Two OmegaConf resolvers that stamp a composed configuration with what it was made of.

It lies where Hydra looks for plug-ins (``hydra.plugins_path`` in .dvc/config), so that DVC's own composition
(``dvc exp run -S``) loads it, too. It must import nothing but the standard library and OmegaConf.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

STAMP = "_compose_"
CONF = Path(__file__).resolve().parent.parent


def conf_digest(conf: Path = CONF) -> str:
    """16 hex digits over the names and contents of all YAML files of ``conf``."""
    digest = hashlib.sha256()
    for file in sorted(conf.rglob("*.yaml")):
        digest.update(file.relative_to(conf).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def values_digest(values: Mapping[str, Any]) -> str:
    """16 hex digits over all ``values`` but the stamp."""
    kept = {key: value for key, value in values.items() if key != STAMP}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _composed_values_digest(*, _root_: DictConfig) -> str:
    root = copy.deepcopy(_root_)
    OmegaConf.set_struct(root, False)
    OmegaConf.set_readonly(root, False)
    for key in (STAMP, "hydra"):
        root.pop(key, None)
    return values_digest(OmegaConf.to_container(root, resolve=True))  # type: ignore[arg-type]


OmegaConf.register_new_resolver("darkroom.conf", conf_digest, replace=True)
OmegaConf.register_new_resolver("darkroom.values", _composed_values_digest, replace=True)
