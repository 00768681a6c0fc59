"""Steps per second against diffusers' own LoRA scripts: ``python benchmarks/training.py --scripts FOLDER [NAME …]``.

FOLDER is ``examples/`` of a checkout of github.com/huggingface/diffusers (Apache-2.0; measured with 58eb52c of 2026-08-22):

    sd15   text_to_image/train_text_to_image_lora.py
    sdxl   text_to_image/train_text_to_image_lora_sdxl.py
    flux   dreambooth/train_dreambooth_lora_flux.py, with a caption for each picture

A NAME is a family and a size, as ``sd15-tiny``. ``tiny`` is the networks of ``+experiment=tiny-sd15`` and the like, in
which what is not arithmetic shows; ``half`` has half the width and half the depth of the released model, ``full`` all of
it. Weights are random and lie in one folder that both sides read. Pictures, captions, resolution, batch, rank, targets,
AdamW, precision and threads are the same. Three sides, each in a process of its own, in turn, for as many rounds as asked:

    theirs    the script as it is; it encodes pictures and captions in every step, as it does unless told otherwise
    uncached  our training, made to encode its pictures and captions in every step, too; it decodes the files in every step
              where the script does, and for flux once, as that script
    shipped   our training as it ships: ``encode`` has done that once, and its seconds stand beside

A step lasts from one return of the optimiser to the next, the first two left out. Its seconds on the wall and of all
cores are the best round's. On a shared machine the second is the one to compare. ``peak_gb`` is the process's own.

What does not favour us: the scripts keep no checkpoint and no held-out loss while measured, ours do as configured; the
script of sd15 hands ``clip_grad_norm_`` an iterator that is spent and so clips nothing, ours clips as those of sdxl and flux
do. What does not favour them: the environment has no torchvision, which the scripts want for resizing, cropping and turning
pictures into tensors; where it cannot be imported, ``Pictures`` below stands in for it, with Pillow and torch as torchvision
itself has it.
"""

import argparse
import json
import os
import resource
import runpy
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stages import params  # noqa: E402 - of this checkout, installed or not
from stages.images import encode_png  # noqa: E402

SCRIPTS = {
    "sd15": "text_to_image/train_text_to_image_lora.py",
    "sdxl": "text_to_image/train_text_to_image_lora_sdxl.py",
    "flux": "dreambooth/train_dreambooth_lora_flux.py",
}
SIDES = ("theirs", "uncached", "shipped")
PICTURES = 24
WARM = 2  # steps that are not counted: memory is laid out in them
RANK = 4
SHARES = {"half": 0.5, "full": 1.0}  # of the released model's width and depth
RESOLUTION = {"tiny": 64, "half": 256, "full": 1024}  # pixels
BATCH = {"tiny": 4, "half": 1, "full": 1}
BASE_PRECISION = {"32-true": "fp32", "bf16-mixed": "bf16"}  # of the frozen weights, as the scripts have it
STEPS = {"tiny": 150, "half": 8, "full": 20}
DATA = ("crawl", "frames", "measure", "clean", "anonymise", "caption", "prepare")


class Enough(Exception):
    """What ends a side when it has gone its steps."""


def sizes(family: str, share: float) -> dict[str, dict[str, Any]]:
    """The networks of the released ``family``, each ``share`` as wide and as deep, as their configurations state them."""

    def of(number: int) -> int:
        return max(1, round(number * share))

    def clip(width: int, layers: int, heads: int) -> dict[str, Any]:
        shape = {"hidden_size": of(width), "intermediate_size": of(4 * width), "projection_dim": of(width)}
        return shape | {"num_hidden_layers": of(layers), "num_attention_heads": of(heads)}

    vae = {
        "block_out_channels": tuple(of(channels) for channels in (128, 256, 512, 512)),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
    }
    if family == "sd15":
        unet = {
            "block_out_channels": tuple(of(channels) for channels in (320, 640, 1280, 1280)),
            "attention_head_dim": 8,
            "cross_attention_dim": of(768),
        }
        return {"vae": vae | {"scaling_factor": 0.18215}, "text_encoder": clip(768, 12, 12), "unet": unet}
    if family == "sdxl":
        unet = {
            "block_out_channels": tuple(of(channels) for channels in (320, 640, 1280)),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (1, of(2), of(10)),
            "attention_head_dim": (5, of(10), of(20)),
            "cross_attention_dim": of(768) + of(1280),
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": of(1280) + 6 * 256,
        }
        texts = {"text_encoder": clip(768, 12, 12), "text_encoder_2": clip(1280, 32, 20)}
        return {"vae": vae | {"scaling_factor": 0.13025}, **texts, "unet": unet}
    plain = {"use_quant_conv": False, "use_post_quant_conv": False}
    t5 = {"d_model": of(4096), "d_kv": 64, "d_ff": of(10240), "num_layers": of(24), "num_heads": of(64)}
    transformer = {
        "in_channels": 64,
        "num_layers": of(19),
        "num_single_layers": of(38),
        "attention_head_dim": 128,
        "num_attention_heads": of(24),
        "joint_attention_dim": of(4096),
        "pooled_projection_dim": of(768),
        "guidance_embeds": True,
    }
    return {
        "vae": vae | plain | {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159},
        "text_encoder": clip(768, 12, 12),
        "text_encoder_2": t5,
        "transformer": transformer,
    }


def make_base(family: str, size: str, folder: str) -> None:
    """Write the pipeline of random weights that all sides read."""
    import torch

    from stages.base.origins import untrained
    from stages.pipelines import quiet

    quiet()
    torch.manual_seed(0)
    shapes = untrained.TINY[family] if size == "tiny" else sizes(family, SHARES[size])
    untrained.pipeline(family, shapes).save_pretrained(folder)


def run_side(side: str, steps: str, *command: str) -> None:
    """Run ``command``, a program and its arguments, as ``side`` until ``steps`` steps are done; print what each took."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    points: list[tuple[float, float]] = []

    def count(*_: Any) -> None:
        points.append((time.perf_counter(), time.process_time()))
        if len(points) == int(steps):
            raise Enough

    if side == "theirs":
        stand_in()
    elif side == "uncached":
        encode_in_every_step()
    register_optimizer_step_post_hook(count)
    sys.argv = list(command)
    try:
        if side == "theirs":
            runpy.run_path(command[0], run_name="__main__")
        else:
            runpy.run_module("stages", run_name="__main__", alter_sys=True)
    except Enough:
        counted = points[WARM:]
        wall, cpu = (
            float(last - first) / (len(counted) - 1) for first, last in zip(counted[0], counted[-1], strict=True)
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_gb": peak}), flush=True)
        return
    raise SystemExit(f"{side}: ended after {len(points)} of {steps} steps")


def encode_in_every_step() -> None:
    """Make our training write over what ``encode`` left, in every step, with the same anew from files and captions."""
    import lightning

    from stages import shards, tables
    from stages.images import decode
    from stages.records import Sample
    from stages.train import trainer

    prepared = Path("data/prepare")
    samples = {sample.text: sample for sample in tables.read(prepared, Sample)}
    ours = trainer.build

    def pixels_of(text: str) -> Any:
        return decode(shards.read(prepared, samples[text].place))

    if yaml.safe_load(Path("params.yaml").read_text())["train"]["family"] == "flux":
        pixels_of = cache(pixels_of)  # its script reads all pictures before the first step

    class Encoding(lightning.Callback):
        def on_train_batch_start(self, _: Any, module: Any, batch: Any, batch_idx: int) -> None:
            pixels = [pixels_of(text) for text in batch.texts]
            batch.latents_BCHW.copy_(module.family.encode_pictures(np.stack(pixels)))
            for name, value in module.family.encode_prompts(batch.texts).items():
                batch.conditions[name].copy_(value)

    def build(callbacks: Sequence[lightning.Callback], *more: Any, **named: Any) -> Any:
        return ours([Encoding(), *callbacks], *more, **named)

    trainer.build = build


class Pictures:
    """What the scripts take of ``torchvision.transforms``, over Pillow's pictures."""

    class InterpolationMode:
        """Pillow's filters by torchvision's names."""

        from PIL.Image import Resampling

        NEAREST, BILINEAR, BICUBIC, LANCZOS = (
            Resampling.NEAREST,
            Resampling.BILINEAR,
            Resampling.BICUBIC,
            Resampling.LANCZOS,
        )

    @staticmethod
    def Compose(steps: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:  # noqa: N802 - torchvision's name
        """One step after the other."""

        def run(picture: Any) -> Any:
            for step in steps:
                picture = step(picture)
            return picture

        return run

    @staticmethod
    def Resize(side: int, interpolation: Any = InterpolationMode.BILINEAR) -> Callable[[Any], Any]:  # noqa: N802
        """The shorter side to ``side``; a picture that has it stays."""

        def run(picture: Any) -> Any:
            scale = side / min(picture.size)
            size = tuple(max(side, int(length * scale)) for length in picture.size)
            return picture if size == picture.size else picture.resize(size, interpolation)

        return run

    class RandomCrop:
        """A square of ``side``."""

        def __init__(self, side: int) -> None:
            self.side = side

        def __call__(self, picture: Any) -> Any:
            """A window of ``picture``."""
            return Pictures.crop(picture, *self.get_params(picture, (self.side, self.side)))

        @staticmethod
        def get_params(picture: Any, size: tuple[int, int]) -> tuple[int, int, int, int]:
            """Top, left, height, width."""
            import torch

            top, left = (
                int(torch.randint(0, most - part + 1, ())) for most, part in zip(picture.size[::-1], size, strict=True)
            )
            return top, left, *size

    CenterCrop = RandomCrop  # every picture here has the resolution: nothing is cut

    @staticmethod
    def RandomHorizontalFlip(p: float = 0.5) -> Callable[[Any], Any]:  # noqa: N802 - torchvision's name
        """Is made by the scripts and not called here: flipping is off."""

        def run(picture: Any) -> Any:
            raise NotImplementedError(f"a picture was flipped (p={p})")

        return run

    @staticmethod
    def Lambda(work: Callable[[Any], Any]) -> Callable[[Any], Any]:  # noqa: N802 - torchvision's name
        """``work`` itself."""
        return work

    @staticmethod
    def ToTensor() -> Callable[[Any], Any]:  # noqa: N802 - torchvision's name
        """uint8[H, W, 3] of 0 to 255 to float32[3, H, W] of 0 to 1."""
        import torch

        return lambda picture: torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)

    @staticmethod
    def Normalize(mean: Sequence[float], std: Sequence[float]) -> Callable[[Any], Any]:  # noqa: N802
        """Less ``mean``, by ``std``."""
        return lambda picture: (picture - mean[0]) / std[0]

    @staticmethod
    def crop(picture: Any, top: int, left: int, height: int, width: int) -> Any:
        """A window of ``picture``."""
        return picture.crop((left, top, left + width, top + height))


def stand_in() -> None:
    """Put ``Pictures`` where the scripts look for torchvision, when there is none.

    Not before the libraries have looked for it themselves: they would take more of it than it has.
    """
    try:
        import torchvision.transforms  # noqa: F401
    except (ImportError, RuntimeError):
        from diffusers import FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline  # noqa: F401
        from transformers import AutoTokenizer, CLIPTextModelWithProjection, T5EncoderModel  # noqa: F401
    else:
        return
    transforms, functional = ModuleType("torchvision.transforms"), ModuleType("torchvision.transforms.functional")
    for name in (name for name in vars(Pictures) if not name.startswith("_")):
        setattr(transforms, name, getattr(Pictures, name))
    functional.crop = Pictures.crop  # type: ignore[attr-defined]
    package = ModuleType("torchvision")
    package.transforms = transforms  # type: ignore[attr-defined]
    transforms.functional = functional  # type: ignore[attr-defined]
    for module in (package, transforms, functional):
        module.__spec__ = ModuleSpec(module.__name__, None)
        sys.modules[module.__name__] = module


def overrides(family: str, size: str, given: argparse.Namespace) -> list[str]:
    """What our side is composed with."""
    side = RESOLUTION[size]
    return [
        f"+experiment=tiny-{family}",
        "source=folder",
        "caption.subject=odd",
        *("clean.min_sharpness=0.0", "clean.min_contrast=0.0", "clean.twin_distance=0", "prepare.group_distance=0"),
        *("detector=lbp", "measure.detector.min_face=0.99"),
        *(f"family.buckets=[[{side},{side}]]", "family.lr=0.0001"),
        *(
            f"train.steps={STEPS[size] + 1}",
            f"train.batch={BATCH[size]}",
            f"train.rank={RANK}",
            f"train.alpha={RANK}.0",
        ),
        *("train.curve_every=100", "train.checkpoint_every=50"),
        *(f"train.trainer.precision={given.precision}", f"family.precision={BASE_PRECISION[given.precision]}"),
        f"measure.threads={given.threads}",  # which the other stages take over
    ]


def their_command(family: str, size: str, project: Path, given: argparse.Namespace) -> list[str]:
    """The script's command line for the same training."""
    mixed = {"32-true": "no", "bf16-mixed": "bf16"}[given.precision]
    values = {
        "pretrained_model_name_or_path": project / "data/base",
        "output_dir": project / "theirs",
        "cache_dir": project / "datasets",
        "resolution": RESOLUTION[size],
        "train_batch_size": BATCH[size],
        "max_train_steps": STEPS[size] + 1,
        "checkpointing_steps": 10**9,
        "rank": RANK,
        "learning_rate": 1e-4,
        "mixed_precision": mixed,
        "seed": 0,
    }
    if family == "flux":
        values |= {"dataset_name": project / "pictures", "caption_column": "text", "instance_prompt": "a picture"}
        values |= {"lora_alpha": RANK, "lora_layers": "to_q,to_k,to_v,to_out.0", "guidance_scale": 1}
        values |= {
            "max_sequence_length": 64,
            "weighting_scheme": "none",
        }  # as long as the tokenizer of both sides has it
    else:
        values |= {"train_data_dir": project / "pictures"}
    script = Path(given.scripts).resolve() / SCRIPTS[family]
    return [str(script), *(text for name, value in values.items() for text in (f"--{name}", str(value)))]


def pictures(own: Path, theirs: Path, side: int) -> None:
    """The same pictures, each with a caption of its own, for both sides."""
    lines = []
    for number in range(PICTURES):
        cells = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = np.asarray(cv2.resize(cells, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        name, text = (
            f"{number:02}_{'odd' if number % 2 else 'even'}",
            f"a picture of thing {number}, {'odd' if number % 2 else 'even'}",
        )
        for folder in (own, theirs):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.png").write_bytes(encode_png(picture))
        (own / f"{name}.txt").write_text(f"{text}\n")
        lines.append(json.dumps({"file_name": f"{name}.png", "text": text}))
    (own / "rights.yaml").write_text('"*": {licence: CC0-1.0}\n')
    (theirs / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def stage_command(stage: str) -> list[str]:
    """What dvc.yaml runs for ``stage``, without the interpreter and its ``-m stages``."""
    command = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["cmd"]
    return shlex.split(command)[3:]


def run_stage(project: Path, stage: str) -> float:
    """Run ``stage`` in ``project``; the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DARKROOM_CACHE": str(project / "cache")}
    command = [sys.executable, "-m", "stages", *stage_command(stage)]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{stage}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(family: str, size: str, given: argparse.Namespace) -> dict[str, object]:
    """All sides of one family and size, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        pictures(project / "data/own", project / "pictures", RESOLUTION[size])
        (project / "params.yaml").write_text(params.composed(overrides(family, size, given)))
        for stage in DATA:
            run_stage(project, stage)
        subprocess.run(_self("make_base", family, size, str(project / "data/base")), check=True, capture_output=True)
        encoding = run_stage(project, "encode")
        commands = {
            "theirs": their_command(family, size, project, given),
            "uncached": ["stages", *stage_command("train")],
            "shipped": ["stages", *stage_command("train")],
        }
        rounds: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(given.rounds):
            for side in SIDES:
                rounds[side].append(_side(project, side, STEPS[size], commands[side], given))
                print(f"{family}-{size} {side}: {rounds[side][-1]}", file=sys.stderr, flush=True)
        return {"encode_cpu_s": round(encoding, 1), **dict(_summed(rounds))}


def _side(project: Path, side: str, steps: int, command: Sequence[str], given: argparse.Namespace) -> dict[str, float]:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(given.threads),
        "DARKROOM_CACHE": str(project / "cache" / str(time.monotonic_ns())),  # no checkpoint of a round before
        "HF_HOME": str(project / "huggingface"),
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        _self("run_side", side, str(steps), *command),
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr[-4000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _summed(rounds: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterator[tuple[str, object]]:
    """For each side the best round's figures, and for ours how many of our steps go into one of theirs."""
    best = {side: {name: min(each[name] for each in found) for name in found[0]} for side, found in rounds.items()}
    for side, figures in best.items():
        ratios = {
            f"times_{kind}": round(best["theirs"][f"{kind}_s"] / figures[f"{kind}_s"], 2) for kind in ("cpu", "wall")
        }
        yield side, {name: round(value, 4) for name, value in figures.items()} | ratios


def _self(*arguments: str) -> list[str]:
    """A command that runs one of this file's functions in a process of its own."""
    return [sys.executable, __file__, "--do", *arguments]


def main() -> None:
    """Measure what is asked for, and print one JSON object for each."""
    if sys.argv[1:2] == ["--do"]:
        {"make_base": make_base, "run_side": run_side}[sys.argv[2]](*sys.argv[3:])
        return
    names = [f"{family}-{size}" for size in RESOLUTION for family in SCRIPTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all that end in tiny if none")
    parser.add_argument("--scripts", required=True, help="examples/ of a checkout of diffusers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch; one shows the work done, where others work, too"
    )
    parser.add_argument("--precision", default="32-true", choices=[*BASE_PRECISION])
    given = parser.parse_args()
    for name in given.names or [each for each in names if each.endswith("tiny")]:
        family, _, size = name.partition("-")
        print(json.dumps({name: measured(family, size, given)}), flush=True)


if __name__ == "__main__":
    main()
