"""Adapters: how one is put on networks, written and told apart. Each kind is a file. Tensors are float32 on disk."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages import plugins
from stages.config import settings
from stages.errors import ModelError
from stages.tables import replace


@settings
class Adapter:
    """What is put on the networks of a family."""

    kind: dict[str, Any]  # one of the kinds of this package, and its settings
    rank: Annotated[int, Field(gt=0)]
    alpha: Annotated[float, Field(gt=0)]  # the adapter's strength is alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: tuple[str, ...]  # ends of the names of the denoiser's layers that are adapted
    text_targets: tuple[str, ...]  # and of the text encoders'


# A kind: peft's configuration of an adapter on layers whose names end as one of the targets.
Kind = Callable[[Adapter, Sequence[str]], Any]


def add(network: Any, adapter: Adapter, targets: Sequence[str]) -> None:
    """Give ``network`` a fresh adapter on the layers ``targets``, drawn from torch's global generator.

    Raises:
        ValueError: when it has no layer whose name ends as one of ``targets``.
    """
    kind: Kind = plugins.build(__name__, adapter.kind)
    network.add_adapter(kind(adapter, targets))


def weights(networks: Mapping[str, Any]) -> list[Any]:
    """What is trained of ``networks``: their adapters, in the order of the networks."""
    return [weight for network in networks.values() for weight in network.parameters() if weight.requires_grad]


def save(file: Path, networks: Mapping[str, Any]) -> None:
    """The adapters of ``networks``, by their names in a pipeline (``unet``, ``transformer``), as one diffusers file.

    With diffusers' metadata, without which the strength (alpha / rank) is lost; the same bytes for the same weights.
    """
    import torch
    from diffusers.training_utils import _collate_lora_metadata
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save as written

    tensors, settings_of = dict[str, Any](), dict[str, Any]()
    for part, network in networks.items():
        state = get_peft_model_state_dict(network)
        tensors |= {
            f"{part}.{name}": value.detach().to("cpu", torch.float32).contiguous() for name, value in state.items()
        }
        collated = _collate_lora_metadata({part: network})[f"{part}_lora_adapter_metadata"]
        settings_of |= {f"{part}.{key}": _plain(value) for key, value in collated.items()}
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(settings_of, sort_keys=True)}
    replace(file, sorted_header(written(dict(sorted(tensors.items())), metadata=metadata)))


def load(file: Path, pipeline: Any) -> None:
    """Put the adapter of ``file`` on ``pipeline``, a diffusers pipeline, at its full strength.

    Raises:
        ModelError: when there is no such file.
    """
    if not file.is_file():
        raise ModelError(f"{file}: there is no adapter; `dvc repro train` makes it")
    pipeline.unload_lora_weights()  # two adapters on one network would add up
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name)


def sorted_header(safetensors: bytes) -> bytes:
    """The same safetensors file with sorted metadata: the library writes its keys in an order that changes by run."""
    length = int.from_bytes(safetensors[:8], "little")
    header = json.loads(safetensors[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format wants tensors to start at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + safetensors[8 + length :]


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else value
