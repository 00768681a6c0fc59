"""Adapters: how one is put on networks and into files. Each kind is a file of this package."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from stages import plugins
from stages.config import settings
from stages.lora.files import load, save

__all__ = ["Adapter", "Kind", "add", "load", "save", "weights"]


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
