"""Adapters on tiny pipelines of every family, as if they had been trained, and what they draw."""

import warnings

import numpy as np
import pytest
import torch

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
WORDS = ("q_proj", "v_proj", "out_proj", "fc1")  # Diffusers 0.42 reads kohya's fc1 only beside an out_proj
# By name: the family, and of each part peft's settings beside ``r`` 4.
CASES = {
    "sd15 alpha": ("tiny", {"unet": {"lora_alpha": 8, "target_modules": [*ATTENTION]}}),
    "sd15 rslora": ("tiny", {"unet": {"lora_alpha": 8, "use_rslora": True, "target_modules": [*ATTENTION]}}),
    "sd15 conv": ("tiny", {"unet": {"lora_alpha": 2, "target_modules": ["conv1", "conv2", "proj_in", "ff.net.0.proj"]}}),
    "sd15 patterns": (
        "tiny",
        {"unet": {"lora_alpha": 4, "target_modules": ["to_k", "to_v"], "rank_pattern": {"attn2.to_k": 8},
                  "alpha_pattern": {"attn2.to_k": 2, "attn1.to_v": 16}}},
    ),
    "sd15 text": (
        "tiny",
        {"unet": {"lora_alpha": 8, "target_modules": ["to_q"]},
         "text_encoder": {"lora_alpha": 16, "target_modules": [*WORDS]}},
    ),
    "sdxl text": (
        "sdxl",
        {"unet": {"lora_alpha": 8, "target_modules": [*ATTENTION]},
         "text_encoder": {"lora_alpha": 16, "target_modules": [*WORDS]},
         "text_encoder_2": {"lora_alpha": 2, "target_modules": [*WORDS]}},
    ),
    "sd35": ("sd35", {"transformer": {"lora_alpha": 8, "target_modules": [*ATTENTION, "add_k_proj", "ff.net.2"]},
                      "text_encoder_2": {"lora_alpha": 2, "target_modules": [*WORDS]}}),
    "flux": ("flux", {"transformer": {"lora_alpha": 8, "target_modules": [*ATTENTION, "proj_mlp", "proj_out"]}}),
    "flux double": (
        "flux",
        {"transformer": {"lora_alpha": 8, "use_rslora": True,
                         "target_modules": ["to_out.0", "add_q_proj", "add_v_proj", "ff.net.2"]},
         "text_encoder": {"lora_alpha": 16, "target_modules": [*WORDS]}},
    ),
    "sd15 dora": ("tiny", {"unet": {"lora_alpha": 8, "use_dora": True, "target_modules": ["to_q", "conv1"]}}),
    "flux dora": (
        "flux",
        {"transformer": {"lora_alpha": 8, "use_dora": True, "target_modules": ["to_q", "to_v", "to_out.0", "proj_out"]}},
    ),
}  # fmt: skip
SUMS = [name for name in CASES if "dora" not in name]
NAMES = {"any_case": CASES, "sum_case": SUMS, "kohya_case": [name for name in SUMS if name not in ("sd35", "flux")]}


def pytest_generate_tests(metafunc):
    """A test that takes one of ``NAMES`` runs for each."""
    for argument in metafunc.fixturenames:
        if argument in NAMES:
            metafunc.parametrize(argument, NAMES[argument])


@pytest.fixture(scope="session")
def fresh(family_bases):
    """A pipeline of a family without an adapter."""
    from diffusers import DDIMScheduler, DiffusionPipeline

    from stages.pipelines import quiet

    quiet()

    def pipeline(name):
        one = DiffusionPipeline.from_pretrained(family_bases[name], local_files_only=True)
        one.set_progress_bar_config(disable=True)
        if name == "sdxl":  # its folder's sampler warns of NumPy
            one.scheduler = DDIMScheduler.from_config(one.scheduler.config)
        return one

    return pipeline


@pytest.fixture(scope="session")
def tuned(fresh):
    """A pipeline with the adapter of a case, its weights drawn from ``seed``, and its adapted networks by name."""
    from peft import LoraConfig

    def pipeline(case, *, seed=0, rank=4):
        name, parts = CASES[case]
        one = fresh(name)
        torch.manual_seed(seed)
        networks = {part: getattr(one, part).requires_grad_(False) for part in parts}
        for part, settings in parts.items():
            networks[part].add_adapter(LoraConfig(r=rank, **settings))
            for key, weight in networks[part].named_parameters():
                if "magnitude" in key:
                    weight.data.mul_(1 + 0.2 * torch.rand(weight.shape))
                elif weight.requires_grad:
                    weight.data.normal_(0, 0.2)
            networks[part].eval()
        return one, networks

    return pipeline


@pytest.fixture(scope="session")
def drawn():
    """What a pipeline draws, float[1, H, W, 3] in [0, 1]."""

    def picture(pipeline):
        how = {"num_inference_steps": 2, "guidance_scale": 2.0, "width": 16, "height": 16, "output_type": "np"}
        picture = pipeline("a photo of coins", generator=torch.Generator().manual_seed(7), **how).images
        assert np.isfinite(picture).all()
        return picture

    return picture


@pytest.fixture(scope="session")
def cases(tuned, drawn, fresh, tmp_path_factory):
    """By name of a case: its family, its diffusers file, and what its pipeline draws. Each is made once."""
    from stages.lora.files import save

    made, plain = {}, {}

    def case(name, *, seed=0):
        if (name, seed) not in made:
            pipeline, networks = tuned(name, seed=seed)
            file = tmp_path_factory.mktemp("lora") / f"{name.replace(' ', '-')}.safetensors"
            save(file, networks)
            family = CASES[name][0]
            if family not in plain:
                plain[family] = drawn(fresh(family))
            picture = drawn(pipeline)
            assert np.abs(picture - plain[family]).mean() > 0.005, "the adapter changes nothing: a test of it is void"
            made[name, seed] = family, file, picture
        return made[name, seed]

    return case


@pytest.fixture(scope="session")
def loaded(fresh, drawn):
    """What a fresh pipeline of a family draws with files loaded by diffusers itself, each at its weight."""

    def picture(family, *files, weights=None):
        pipeline = fresh(family)
        names = [f"adapter{number}" for number in range(len(files))]
        with warnings.catch_warnings():  # peft warns of a second adapter
            warnings.simplefilter("ignore")
            for name, file in zip(names, files, strict=True):
                pipeline.load_lora_weights(file.parent, weight_name=file.name, adapter_name=name)
        pipeline.set_adapters(names, weights or [1.0] * len(names))
        return drawn(pipeline)

    return picture
