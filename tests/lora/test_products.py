"""LoKr and LoHa: their changes by peft, by our reading of the file, and by ComfyUI's rule for kohya's names."""

import logging

import pytest
import torch
from safetensors.torch import load_file

from stages.lora import files
from stages.lora.__main__ import main
from stages.lora.folders import Folder
from stages.lora.kohya import to_kohya

KINDS = {
    "lokr": ("LoKrConfig", {"decompose_factor": 4}),
    "lokr of four": ("LoKrConfig", {"decompose_both": True}),
    "lokr whole": ("LoKrConfig", {"decompose_factor": 2, "r": 64}),
    "lokr along sides": ("LoKrConfig", {"use_effective_conv2d": True}),
    "loha": ("LoHaConfig", {}),
    "loha along sides": ("LoHaConfig", {"use_effective_conv2d": True}),
}


@pytest.fixture(params=KINDS)
def made(request, fresh, tmp_path):
    """The file of an adapter on a U-Net, and by layer what peft adds to the weight."""
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer

    name, settings = KINDS[request.param]
    unet = fresh("tiny").unet.requires_grad_(False)
    torch.manual_seed(0)
    values = {"r": 2, "alpha": 6.0, "target_modules": ["to_q", "conv1"], "init_weights": False} | settings
    unet.add_adapter(getattr(peft, name)(**values))
    files.save(tmp_path / "a.safetensors", {"unet": unet})
    layers = {name: layer for name, layer in unet.named_modules() if isinstance(layer, BaseTunerLayer)}
    deltas = {f"unet.{name}": layer.get_delta_weight("default").detach().double() for name, layer in layers.items()}
    assert min(float(delta.abs().max()) for delta in deltas.values()) > 1e-4
    return tmp_path / "a.safetensors", deltas


def close(found, wanted):
    torch.testing.assert_close(found.reshape(wanted.shape).double(), wanted, atol=1e-5, rtol=1e-4)


def comfyui(lora, name):
    """ComfyUI's ``LoKrAdapter`` and ``LoHaAdapter``: what they add at strength 1."""
    ends = {end: lora.get(f"{name}.{end}") for end in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1",
            "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")}  # fmt: skip
    alpha = lora[f"{name}.alpha"].item()

    def product(a, b, t):
        return a @ b if t is None else torch.einsum("i j k l, j r, i p -> p r k l", t, b, a).contiguous()

    if ends["hada_w1_a"] is not None:
        one = product(ends["hada_w1_a"], ends["hada_w1_b"], ends["hada_t1"])
        return alpha / ends["hada_w1_b"].shape[0] * one * product(ends["hada_w2_a"], ends["hada_w2_b"], ends["hada_t2"])
    w1, w2, dim = ends["lokr_w1"], ends["lokr_w2"], None
    if w1 is None:
        dim, w1 = ends["lokr_w1_b"].shape[0], ends["lokr_w1_a"] @ ends["lokr_w1_b"]
    if w2 is None:
        dim, w2 = ends["lokr_w2_b"].shape[0], product(ends["lokr_w2_a"], ends["lokr_w2_b"], ends["lokr_t2"])
    w1 = w1.unsqueeze(2).unsqueeze(2) if w2.dim() == 4 else w1
    return (1.0 if dim is None else alpha / dim) * torch.kron(w1, w2)


def test_the_file_is_read_as_peft_applies_it(made):
    file, deltas = made
    layers = files.read(file).layers
    assert layers.keys() == deltas.keys()
    for name, delta in deltas.items():
        close(layers[name].delta(), delta)
        assert layers[name].square() == pytest.approx(float(delta.square().sum()), rel=1e-4)


def test_comfyui_adds_what_peft_adds(made, tmp_path):
    file, deltas = made
    files.write_kohya(tmp_path / "k.safetensors", files.read(file), "sd15")
    lora = load_file(tmp_path / "k.safetensors")
    names = {f"lora_{name.replace('.', '_')}": delta for name, delta in deltas.items()}
    assert {key.partition(".")[0] for key in lora} == names.keys()
    for name, delta in names.items():
        close(comfyui(lora, name), delta)
    back = files.read(tmp_path / "k.safetensors").layers
    for name, delta in deltas.items():
        close(back[name].delta(), delta)


def test_it_is_merged_and_inspected_and_no_more(made, family_bases, tmp_path, caplog, capsys):
    file, deltas = made
    Folder(family_bases["tiny"]).merged([(files.read(file), 0.5)], tmp_path / "out")
    for name, delta in deltas.items():
        close(Folder(tmp_path / "out").weight(name) - Folder(family_bases["tiny"]).weight(name), 0.5 * delta)
    assert main(["inspect", str(file)]) == 0
    assert "kind        Lo" in capsys.readouterr().out
    with caplog.at_level(logging.ERROR):
        assert main(["resize", str(file), "--rank", "1", "--out", str(tmp_path / "r.safetensors")]) == 1
    assert "is no LoRA; `merge` it into its base" in caplog.text


def test_in_a_transformer_it_has_the_names_that_need_no_fusing(made):
    layers = files.read(made[0]).layers
    name = "transformer.transformer_blocks.0.attn.to_q"
    found = to_kohya({name: next(iter(layers.values()))}, "flux")
    assert {key.partition(".")[0] for key in found} == {"lora_transformer_transformer_blocks_0_attn_to_q"}
