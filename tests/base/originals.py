"""A pipeline's tensors as files of one piece have them: what diffusers reads, written here backwards, for small networks.

The names are those of CompVis' and Stability's code and of OpenCLIP.
"""

import re

import torch

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def single(pipeline):
    """All tensors of an SD 1.5 or SDXL pipeline under one roof."""
    tensors = prefixed("model.diffusion_model.", unet(pipeline.unet))
    tensors |= prefixed("first_stage_model.", autoencoder(pipeline.vae))
    if not hasattr(pipeline, "text_encoder_2"):
        return tensors | prefixed("cond_stage_model.transformer.text_model.", clip(pipeline.text_encoder))
    tensors |= prefixed("conditioner.embedders.0.transformer.text_model.", clip(pipeline.text_encoder))
    tensors |= prefixed("conditioner.embedders.1.model.", open_clip(pipeline.text_encoder_2))
    return {name: value.contiguous() for name, value in tensors.items()}


def prefixed(prefix, tensors):
    return {prefix + name: value for name, value in tensors.items()}


def unet(network):
    layers = network.config.layers_per_block + 1  # with what changes the side
    attentive = [kind.startswith("CrossAttn") for kind in network.config.up_block_types]
    return {_unet_name(name, layers, attentive): value for name, value in network.state_dict().items()}


def _unet_name(name, layers, attentive):
    for ours, theirs in ENDS.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    where, level, kind, number, rest = re.fullmatch(
        r"(down|mid|up)_blocks?\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name
    ).groups()
    level, number = int(level or 0), int(number)
    if kind == "resnets":
        head, _, end = rest.partition(".")
        rest = f"{RESNET[head]}.{end}"
    if where == "mid":
        return f"middle_block.{1 if kind == 'attentions' else 2 * number}.{rest}"
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * layers}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"output_blocks.{level * layers + layers - 1}.{1 + attentive[level]}.{rest}"
    place = level * layers + number + (where == "down")
    return f"{'input' if where == 'down' else 'output'}_blocks.{place}.{int(kind == 'attentions')}.{rest}"


def autoencoder(network):
    return dict(_vae_tensor(*each, len(network.config.block_out_channels)) for each in network.state_dict().items())


def _vae_tensor(name, value, levels):
    name = re.sub(r"decoder\.up_blocks\.(\d+)", lambda found: f"decoder.up.{levels - 1 - int(found[1])}", name)
    name = re.sub(r"encoder\.down_blocks", "encoder.down", name).replace("conv_norm_out", "norm_out")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    name = re.sub(r"(down|up)samplers\.0", r"\1sample", name).replace("resnets", "block")
    name = name.replace("conv_shortcut", "nin_shortcut")
    if "mid_block.attentions.0." in name:
        head, _, rest = name.partition("mid_block.attentions.0.")
        part, _, end = rest.rpartition(".")
        name = f"{head}mid.attn_1.{ATTENTION[part]}.{end}"
        value = value[:, :, None, None] if value.dim() == 2 else value  # convolutions of one pixel there
    return name, value


def clip(network):
    return {name.removeprefix("text_model."): value for name, value in network.state_dict().items()}


def open_clip(network):
    state = clip(network)
    found = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "text_projection": state["text_projection.weight"].T,
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
    }
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    parts |= {"self_attn.out_proj": "attn.out_proj"}
    for layer in range(network.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for end in ("weight", "bias"):
            found |= {f"{theirs}{new}.{end}": state[f"{ours}{old}.{end}"] for old, new in parts.items()}
            joined = [state[f"{ours}self_attn.{part}_proj.{end}"] for part in "qkv"]
            found[f"{theirs}attn.in_proj_{end}"] = torch.cat(joined)
    return found
