"""ComfyUI's rule, written again from its ``lora.py`` and ``weight_adapter``: what it makes of the base's weights."""

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from stages.errors import ModelError
from stages.lora import files
from stages.lora.kohya import from_kohya, to_kohya
from stages.lora.layers import Layer

ROOT = Path(__file__).parents[2]
FAMILY = {"tiny": "sd15"}
DOUBLE = {"img_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"), "img_attn_proj": ("attn.to_out.0",),
          "txt_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"), "img_mlp_2": ("ff.net.2",)}  # fmt: skip
SINGLE = {"linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), "linear2": ("proj_out",)}
JOINT = {"x_block_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"), "x_block_attn_proj": ("attn.to_out.0",),
         "context_block_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
         "x_block_mlp_fc2": ("ff.net.2",)}  # fmt: skip


def key_map(network, part, family):
    """ComfyUI's ``model_lora_keys_unet`` and ``_clip``: the file's name of a layer to the modules that it is made of."""
    from torch.nn import Conv2d, Linear

    modules = [name for name, module in network.named_modules() if isinstance(module, Linear | Conv2d)]
    if part.startswith("text_encoder"):
        start = {"sd15": "lora_te_"}.get(family, "lora_te2_" if part[-1] == "2" else "lora_te1_")
        return {f"{start}text_model_{_flat(name.removeprefix('text_model.'))}": (name,) for name in modules}
    if part == "unet":
        return {f"lora_unet_{_flat(name)}": (name,) for name in modules}
    blocks = {"transformer_blocks": DOUBLE if family == "flux" else JOINT, "single_transformer_blocks": SINGLE}
    originals = {"transformer_blocks": "double_blocks" if family == "flux" else "joint_blocks"}
    found = {}
    for block, names in blocks.items():
        for number in range(len(getattr(network, block, []))):
            for outer, inner in names.items():
                name = f"lora_unet_{originals.get(block, 'single_blocks')}_{number}_{outer}"
                found[name] = tuple(f"{block}.{number}.{each}" for each in inner)
    outside = {"flux": {"final_layer_linear": ("proj_out",)}}
    return found | {f"lora_unet_{outer}": inner for outer, inner in outside.get(family, {}).items()}


def _flat(name):
    return name.replace(".", "_")


def calculate_weight(weight, lora, name, loaded):
    """ComfyUI's ``LoRAAdapter.calculate_weight`` and ``weight_decompose`` at strength 1."""
    up, down = lora[f"{name}.lora_up.weight"], lora[f"{name}.lora_down.weight"]
    loaded |= {f"{name}.lora_up.weight", f"{name}.lora_down.weight", f"{name}.alpha"}
    alpha = lora[f"{name}.alpha"].item() / down.shape[0] if f"{name}.alpha" in lora else 1.0
    diff = torch.mm(up.flatten(start_dim=1), down.flatten(start_dim=1)).reshape(weight.shape)
    if f"{name}.dora_scale" not in lora:
        return weight + alpha * diff
    scale = lora[f"{name}.dora_scale"]
    loaded.add(f"{name}.dora_scale")
    assert scale.shape[0] == weight.shape[0]
    norm = weight.reshape(weight.shape[0], -1).norm(dim=1, keepdim=True)
    norm = norm.reshape(weight.shape[0], *[1] * (weight.dim() - 1)) + torch.finfo(weight.dtype).eps
    return (weight + alpha * diff) * (scale / norm)


def test_comfyui_makes_of_the_base_what_peft_makes_of_it(tuned, fresh, cases, tmp_path, any_case):
    family, file, _ = cases(any_case)
    family, base = FAMILY.get(family, family), fresh(family if family in ("sdxl", "sd35", "flux") else "tiny")
    _, networks = tuned(any_case)
    weights = {f"{part}.{name}": value for part in networks for name, value in getattr(base, part).state_dict().items()}
    files.write_kohya(tmp_path / "k.safetensors", files.read(file), family, lambda layer: _weight(weights, layer))
    lora, loaded, changed = load_file(tmp_path / "k.safetensors"), set(), 0
    for part, network in networks.items():
        merged = _merged(network)
        for name, modules in key_map(getattr(base, part), part, family).items():
            if f"{name}.lora_up.weight" in lora:
                before = torch.cat([weights[f"{part}.{module}.weight"] for module in modules])
                after = calculate_weight(before, lora, name, loaded)
                wanted = torch.cat([merged.get(module, weights[f"{part}.{module}.weight"]) for module in modules])
                torch.testing.assert_close(after, wanted, atol=2e-5, rtol=1e-5)
                changed += sum(module in merged for module in modules)
        changed -= len(merged)
    assert changed == 0, "some adapted layer is not in the file"
    assert loaded == set(lora), "lora key not loaded"


def _weight(weights, layer):
    part, _, module = layer.partition(".")
    names = (f"{part}.{module}.weight", f"{part}.{module.removeprefix('text_model.')}.weight")
    return next(weights[name] for name in names if name in weights)


def _merged(network):
    """The weights of the adapted modules with the adapter folded in, by peft."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    found = {}
    for name, module in network.named_modules():
        if isinstance(module, BaseTunerLayer):
            module.merge()
            found[name] = module.get_base_layer().weight.detach()
    assert found
    return found


def test_flux_at_its_true_width_reads_the_same_through_diffusers():
    """Diffusers has the width 3,072 of Flux's single blocks written into it, so no tiny pipeline can show this."""
    from diffusers import FluxPipeline

    torch.manual_seed(0)
    names = {f"transformer.single_transformer_blocks.3.attn.{name}": 3072 for name in ("to_q", "to_v")}
    names["transformer.single_transformer_blocks.3.proj_mlp"] = 12288
    layers = {name: Layer(torch.randn(2, 8), torch.randn(size, 2), 6.0) for name, size in names.items()}
    found = FluxPipeline.lora_state_dict(to_kohya(layers, "flux"))
    for name, layer in layers.items():
        product = found[f"{name}.lora_B.weight"] @ found[f"{name}.lora_A.weight"]
        torch.testing.assert_close(product.double(), layer.delta(), atol=1e-4, rtol=1e-5)
    assert found["transformer.single_transformer_blocks.3.attn.to_k.lora_B.weight"].abs().max() == 0


def test_fused_layers_of_different_strength_keep_theirs():
    torch.manual_seed(0)
    block = "transformer.transformer_blocks.0.attn."
    layers = {
        f"{block}to_q": Layer(torch.randn(2, 8), torch.randn(6, 2), 6.0),
        f"{block}to_v": Layer(torch.randn(3, 8), torch.randn(6, 3), 1.0),
    }
    found = from_kohya(to_kohya(layers, "sd35"), where="it")
    assert {name: layer.rank for name, layer in found.items()} == {f"{block}to_q": 2, f"{block}to_v": 3}
    for name, layer in layers.items():
        torch.testing.assert_close(found[name].delta(), layer.delta(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["sd15", "sdxl", "sd35", "flux"])
def test_all_that_a_familys_presets_adapt_has_a_name_that_comes_back(fresh, family):
    pipeline = fresh({"sd15": "tiny"}.get(family, family))
    part = "unet" if hasattr(pipeline, "unet") else "transformer"
    presets = yaml.safe_load((ROOT / "conf" / "family" / f"{family}.yaml").read_text())["presets"]
    targets = tuple(f".{target}" for preset in presets.values() for target in preset)
    shapes = {
        f"{part}.{name}": tuple(module.weight.shape)
        for name, module in getattr(pipeline, part).named_modules()
        if f".{name}".endswith(targets) and isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }
    layers = {name: Layer(torch.ones(1, *shape[1:]), torch.ones(shape[0], 1), 1.0) for name, shape in shapes.items()}
    assert len(layers) > 10
    assert from_kohya(to_kohya(layers, family), where="it").keys() == layers.keys()


def test_the_last_normalisation_of_words_in_sd35_has_its_halves_changed():
    name = "transformer.transformer_blocks.{}.norm1_context.linear"
    sizes = {name.format(0): 24, name.format(1): 8}  # six parts of four features, and the last block's two
    layers = {each: Layer(torch.ones(1, 4), torch.arange(float(size))[:, None], 1.0) for each, size in sizes.items()}
    found = to_kohya(layers, "sd35")
    start, end = "lora_unet_joint_blocks_", "_context_block_adaLN_modulation_1.lora_up.weight"
    assert found[f"{start}0{end}"].flatten().tolist() == list(range(24))
    assert found[f"{start}1{end}"].flatten().tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    back = from_kohya(found, where="it")
    assert all(torch.equal(back[each].up, layer.up) for each, layer in layers.items())


def test_an_alpha_of_a_few_layers_is_moved_into_them():
    layers = {f"unet.conv{number}": Layer(torch.ones(2, 2), torch.ones(2, 2), 4.0) for number in range(3)}
    layers["unet.conv0"] = Layer(torch.ones(2, 2), torch.ones(2, 2), 1.0)
    found = to_kohya(layers, "sd15")
    assert {float(value) for key, value in found.items() if key.endswith("alpha")} == {4.0}
    assert found["lora_unet_conv0.lora_up.weight"].tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_names_come_back_as_they_were(cases, sum_case):
    family, file, _ = cases(sum_case)
    layers = files.read(file).layers
    assert set(from_kohya(to_kohya(layers, FAMILY.get(family, family)), where="it")) == set(layers)


@pytest.mark.parametrize(("name", "family"), [("transformer.norm_out.linear", "flux"), ("vae.conv", "sd15"),
                                              ("transformer.transformer_blocks.0.attn.to_q", "sdxl")])  # fmt: skip
def test_a_layer_without_a_name_in_kohyas_format_is_said(name, family):
    with pytest.raises(ModelError, match="kohya's format has no name"):
        to_kohya({name: Layer(torch.ones(1, 1), torch.ones(1, 1), 1.0)}, family)


def test_a_dora_needs_its_base_and_is_not_read_back(cases):
    layers = files.read(cases("sd15 dora")[1]).layers
    with pytest.raises(ModelError, match="give its folder"):
        to_kohya(layers, "sd15")
    scale = {"lora_unet_a.dora_scale": torch.ones(1), "lora_unet_a.lora_up.weight": torch.ones(1, 1)}
    with pytest.raises(ModelError, match="each program reads in its own way"):
        from_kohya(scale, where="it")
