"""Adapters: how one is put on networks, into a file and back. Each kind is a file of this package."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages import plugins
from stages.config import settings
from stages.errors import ConfigError, ModelError
from stages.lora.files import SETTINGS, contents


@settings
class Adapter:
    """What is put on the networks of a family."""

    kind: dict[str, Any]  # one of the kinds of this package, and its settings
    rank: Annotated[int, Field(gt=0)]
    alpha: Annotated[float, Field(gt=0)]  # the adapter's strength is alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: tuple[str, ...]  # ends of the names of the denoiser's layers that are adapted
    text_targets: tuple[str, ...]  # and of the layers of CLIP's text encoders; none: they stay as they are


# A kind: peft's configuration of an adapter on layers whose names end as one of the targets.
Kind = Callable[[Adapter, Sequence[str]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an adapter's file holds."""

    file: Path
    tensors: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]  # peft's, by the network's name; empty when another tool wrote the file


def add(name: str, network: Any, adapter: Adapter, targets: Sequence[str]) -> None:
    """Give ``network``, the pipeline's ``name``, a fresh adapter on ``targets``, drawn from torch's global generator.

    Its weights are float32, whatever the network's are.

    Raises:
        ValueError: when the name of no layer ends as one of ``targets``.
        ModelError: when a layer is too small for the rank.
    """
    kind: Kind = plugins.build(__name__, adapter.kind)
    chosen = {target: layers(network, target) for target in targets}
    if idle := [target for target, found in chosen.items() if not found]:
        raise ValueError(f"no layer of {name} ends as {', '.join(map(repr, idle))}; it has {', '.join(_ends(network))}")
    configured = kind(adapter, targets)
    configured.exclude_modules = _outside(network, chosen)
    if configured.peft_type != "LOKR":  # a Kronecker product's factors are whole where they are smaller than the rank
        _refuse_rank(
            {f"{name}.{layer}": weights for found in chosen.values() for layer, weights in found.items()}, adapter
        )
    network.add_adapter(configured)
    widen(network)


def refuse_unfit(adapter: Adapter, *, quantised: bool) -> None:
    """Say what cannot be learned over weights of 4 or 8 bits, before anything is loaded.

    Raises:
        ConfigError: when peft has no such kind for them.
    """
    if quantised and adapter.kind["name"] in {"lokr", "loha"}:
        raise ConfigError(
            f"train.adapter: {adapter.kind['name']} needs whole weights beneath; take lora or dora, or bf16"
        )


def may_idle(adapter: Adapter) -> bool:
    """Whether a training step may leave some of the weights out.

    LoKr's and LoHa's dropout skips whole layers, and of a text encoder some families take no notice of the last layer.
    """
    return bool(adapter.text_targets) or bool(adapter.dropout and adapter.kind["name"] in {"lokr", "loha"})


def layers(network: Any, target: str) -> dict[str, Any]:
    """The layers of ``network`` whose names end as ``target``, by their names: those of its blocks, or else those outside.

    Flux's blocks have a ``proj_out`` each, and so has what follows them.
    """
    found = {name: layer for name, layer in network.named_modules() if f".{name}".endswith(f".{target}")}
    return {name: layer for name, layer in found.items() if "." in name} or found


def _outside(network: Any, chosen: Mapping[str, Mapping[str, Any]]) -> str | None:
    """A pattern of the layers that end as a target and are none of ``chosen``, as peft wants it; none where there are none."""
    names = [target for target, found in chosen.items() if target not in found and hasattr(network, target)]
    return "|".join(map(re.escape, names)) or None


def widen(network: Any) -> None:
    """Make the weights that are trained float32: peft gives them the precision of what lies beneath."""
    for weight in weights({"": network}):
        weight.data = weight.data.float()


def weights(networks: Mapping[str, Any]) -> list[Any]:
    """What is trained of ``networks``: their adapters, in the order of the networks."""
    return [weight for network in networks.values() for weight in network.parameters() if weight.requires_grad]


def on(network: Any) -> bool:
    """Whether ``network`` holds an adapter."""
    return bool(getattr(network, "peft_config", None))


def remove(networks: Mapping[str, Any]) -> None:
    """Take the adapters of ``networks`` off: two on one network would add up."""
    for network in networks.values():
        for name, layer in _adapted(network).items():
            network.set_submodule(name, layer.get_base_layer())
        if on(network):
            del network.peft_config
            network._hf_peft_config_loaded = False  # noqa: SLF001  # the libraries ask it whether one is on


def read(file: Path) -> Content:
    """What ``file`` holds.

    Raises:
        ModelError: when there is no such file, or it is none of safetensors.
    """
    if not file.is_file():
        raise ModelError(f"{file}: there is no adapter; `dvc repro train` makes it")
    tensors, metadata = contents(file)
    settings_of: dict[str, dict[str, Any]] = {}
    for key, value in json.loads(metadata.get(SETTINGS, "{}")).items():
        network, _, name = key.partition(".")
        settings_of.setdefault(network, {})[name] = value
    return Content(file=file, tensors=tensors, settings=settings_of)


def put(content: Content, networks: Mapping[str, Any], *, family: str) -> None:
    """Put the adapter ``content`` on ``networks``, by their names in the pipeline of ``family``, at its full strength.

    By peft alone: diffusers' own loader takes no tensors but LoRA's.

    Raises:
        ModelError: when it is for another family, or for one of other sizes.
    """
    from peft.utils import set_peft_model_state_dict

    if foreign := sorted(set(content.settings) - set(networks)):
        raise misfit(content, family, f"this family has no {foreign[0]!r} to adapt")
    for name, network in networks.items():
        tensors = _named_as(network, _below(content.tensors, f"{name}."))
        try:
            network.add_adapter(_configured(content.settings[name]))
        except ValueError as error:
            raise misfit(content, family, str(error)) from None
        widen(network)
        _refuse_other_shapes(content, family, name, network, tensors)
        set_peft_model_state_dict(network, tensors)
        network.requires_grad_(False).eval()


def put_foreign(content: Content, pipeline: Any, *, family: str) -> None:
    """Put an adapter that another tool wrote on ``pipeline``, of ``family``: diffusers knows the names of many.

    Raises:
        ModelError: when it is for another family, or for one of other sizes.
    """
    try:
        pipeline.load_lora_weights(dict(content.tensors))
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise misfit(content, family, str(error).partition("\n")[0]) from None
    if not any(on(part) for part in pipeline.components.values()):
        raise misfit(content, family, "none of its tensors has the name of a layer")


def misfit(content: Content, family: str, why: str) -> ModelError:
    """That the adapter ``content`` is not for ``family``, and for which it seems to be."""
    other = made_for(content.tensors)
    seems = f"it seems to be for {other}" if other != family else f"it is for a {family} of other sizes"
    return ModelError(f"{content.file}: does not fit this {family}; {seems} ({why}); take the base it was trained on")


def made_for(tensors: Mapping[str, Any]) -> str:
    """The family that an adapter's tensors have the names of."""
    names = " ".join(tensors)
    if any(mark in names for mark in ("single_transformer_blocks", "single_blocks", "double_blocks")):
        return "flux"
    if names.startswith("transformer.") or "joint_blocks" in names or "lora_transformer" in names:
        return "sd35"
    widths = {
        tensor.shape[1]
        for name, tensor in tensors.items()
        if "attn2.to_k" in name.replace("_to_k", ".to_k") and tensor.ndim > 1
    }
    second = any(mark in names for mark in ("text_encoder_2", "lora_te2", "input_blocks", "transformer_blocks.2."))
    return "sdxl" if second or 2048 in widths else "sd15"


def _adapted(network: Any) -> dict[str, Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: layer for name, layer in network.named_modules() if isinstance(layer, BaseTunerLayer)}


def _refuse_rank(chosen: Mapping[str, Any], adapter: Adapter) -> None:
    for name, layer in chosen.items():
        sides = _sides(layer)
        if sides and min(sides) < adapter.rank:
            raise ModelError(
                f"{name}: is a layer of {sides[0]} x {sides[1]} weights, too small for rank {adapter.rank}; "
                f"take a rank of {min(sides)} at most, or leave its name out of the targets"
            )


def _sides(layer: Any) -> tuple[int, int] | None:
    """What comes out of a layer and what goes in; nothing for one that peft cannot adapt and will name."""
    if hasattr(layer, "in_features"):  # a quantised weight has another shape
        return layer.out_features, layer.in_features
    weight = getattr(layer, "weight", None)
    return None if weight is None else (weight.shape[0], weight.shape[1:].numel())


def _ends(network: Any) -> list[str]:
    """The last words of the names of the layers that can be adapted."""
    import torch

    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    named = [name for name, layer in network.named_modules() if isinstance(layer, kinds)]
    words = [name.split(".") for name in named]
    return sorted({".".join(each[-2:]) if each[-1].isdigit() else each[-1] for each in words})


def _configured(values: Mapping[str, Any]) -> Any:
    """Peft's configuration of ``values``, as a file holds them; what this version of peft does not know is left out."""
    from dataclasses import fields

    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    kind = PEFT_TYPE_TO_CONFIG_MAPPING[values.get("peft_type", "LORA")]
    known = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in known and name != "peft_type"})


def _below(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _named_as(network: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """``tensors`` under the names that ``network`` has: transformers 5.6 took ``text_model`` out of CLIP's."""
    classic = "text_model."
    inside = any(name.startswith(classic) for name, _ in network.named_parameters())
    bare = {name.removeprefix(classic): value for name, value in tensors.items()}
    return {classic + name: value for name, value in bare.items()} if inside else bare


def _refuse_other_shapes(content: Content, family: str, name: str, network: Any, tensors: Mapping[str, Any]) -> None:
    from peft.utils import get_peft_model_state_dict

    own = {key: tuple(value.shape) for key, value in get_peft_model_state_dict(network).items()}
    given = {key: tuple(value.shape) for key, value in tensors.items()}
    if wrong := sorted(key for key in own.keys() | given.keys() if own.get(key) != given.get(key)):
        key = wrong[0]
        raise misfit(
            content, family, f"{name}.{key}: {given.get(key, 'nothing')} there, {own.get(key, 'nothing')} here"
        )
