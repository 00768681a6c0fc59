"""What our training costs beside forward, backward and optimiser step: ``python benchmarks/overhead.py [--steps N]``.

    overhead    share of a step's CPU time outside the denoiser's forward, the backward and the optimiser's step
    against     CPU time of a step against that of a plain loop over the same network, batches and noise
    memory      peak of resident memory in the loop against that of the plain loop

Each side runs in processes of its own, in turn, on one thread; of the steps the median counts. The network is a random UNet
with half the channels of Stable Diffusion 1.5's in three of its four levels; both sides train the same LoRA and end with
the same weights, which is checked.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

BATCH = 2
SIDE = 128  # pixels, and an eighth of it in latents
CLIP = 1.0


def main() -> None:
    """Run both sides in turn and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", nargs="?", choices=["ours", "plain"], help="run one side, for this program itself")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    wanted = parser.parse_args()
    if wanted.side:
        print(json.dumps(SIDES[wanted.side](wanted.steps)))
        return
    found: dict[str, list[dict[str, float | str]]] = {"plain": [], "ours": []}
    for _ in range(wanted.rounds):
        for side, results in found.items():
            results.append(run(side, wanted.steps))
    best = {side: min(result["step"] for result in results) for side, results in found.items()}
    peak = {side: min(result["peak"] for result in results) for side, results in found.items()}
    assert len({result["weights"] for results in found.values() for result in results}) == 1, "the sides differ"
    share = min(result["overhead"] for result in found["ours"])
    print(f"overhead: {share:.1%} of a step of {best['ours']:.3f} s of CPU time")
    print(f"against:  {best['ours'] / best['plain'] - 1:+.1%} of the plain loop's {best['plain']:.3f} s")
    print(f"memory:   {peak['ours'] / peak['plain'] - 1:+.1%} of the plain loop's {peak['plain'] / 1e6:.0f} MB")


def run(side: str, steps: int) -> dict[str, float | str]:
    """What ``side`` measured in a process of its own."""
    command = [sys.executable, __file__, side, "--steps", str(steps)]
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "DARKROOM_DEVICE": "cpu", "DARKROOM_CACHE": cache}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def prepared(steps: int) -> tuple[Any, Any, list[Any], Any]:
    """A family with a fresh LoRA, the settings of its training, samples and their embeddings."""
    import lightning  # noqa: F401 - both sides, so that memory compares
    import torch
    import yaml

    from stages import embeddings, families, machine, params
    from stages.config import check
    from stages.families.tiny import Shape, untrained
    from stages.records import Sample
    from stages.shards import Place
    from stages.train import stage

    machine.use_threads(1)
    overrides = [f"train.steps={steps}", f"train.batch={BATCH}", "train.prior_share=0", "train.threads=1"]
    overrides += [f"train.curve_every={10 * steps}", f"train.checkpoint_every={10 * steps}"]
    config = check(yaml.safe_load(params.composed(overrides))["train"], stage.Config, where="overhead")
    shape = Shape(
        resolution=SIDE,
        autoencoder_channels=(8, 8, 8, 8),
        denoiser_channels=(160, 320, 640),
        text_width=64,
        text_layers=1,
        text_length=16,
    )
    torch.manual_seed(0)
    folder = machine.cache("overhead")
    untrained(shape, ("a", "photo")).save_pretrained(folder)
    family = families.build("tiny", folder)
    stage.add_adapter(family, config)
    words = {name: value[0] for name, value in family.encode_prompts(["a photo"]).items()}
    sizes = {
        "width": SIDE,
        "height": SIDE,
        "source_width": SIDE,
        "source_height": SIDE,
        "crop_left": 0,
        "crop_top": 0,
        "weight": 1.0,
    }
    rows = [
        Sample(
            id=f"{number:064d}-00",
            frame=f"{number:064d}",
            variant=0,
            text="a photo",
            role="subject",
            split="train",
            group="",
            digest="",
            place=Place(shard="", offset=0, size=0),
            **sizes,
        )
        for number in range(8)
    ]
    latents = {row.id: torch.randn(4, SIDE // 8, SIDE // 8) for row in rows}
    prompts = {embeddings.key(text): words for text in ("a photo", "")}
    return family, config, rows, embeddings.Embeddings(latents=latents, prompts=prompts, pictures={}, masks={})


def plain(steps: int) -> dict[str, float | str]:
    """The loop that one would write by hand."""
    import torch

    from stages.train import descent, loading, noise, stage

    family, config, rows, known = prepared(steps)
    batches = loading.loader(stage._plan(rows, config), known, start=0)  # noqa: SLF001
    weights = [weight for weight in family.denoiser.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, config.lr, betas=(0.9, 0.99), weight_decay=0.01)
    descending = stage.descending(config)
    rule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: descent.share(descending.schedule, step, steps))
    family.denoiser.train()
    empty = known.empty
    forget_peak()
    times = [time.process_time()]
    for step, batch in enumerate(batches):
        torch.manual_seed(noise.seed_of(config.seed, step, 0))
        draw = noise.drawn(batch, config.optimisation.noise, seed=config.seed)
        levels_B = family.process.levels(draw.parts_B, batch.latents_BCHW.shape[-2:])
        dropped_B = draw.chances_B < config.optimisation.caption_dropout
        words = {
            name: torch.where(dropped_B.reshape(-1, *[1] * empty[name].dim()), empty[name], value)
            for name, value in batch.conditions.items()
        }
        noisy_BCHW, target_BCHW = family.process.corrupt(batch.latents_BCHW, draw.eps_BCHW, levels_B)
        answer_BCHW = family.predict(noisy_BCHW, levels_B, words)
        loss = (answer_BCHW - target_BCHW).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
        rule.step()
        times.append(time.process_time())
    return {"step": median_step(times), "peak": peak(), "weights": digest(weights)}


def ours(steps: int) -> dict[str, float | str]:
    """The same under ``train``, its parts timed."""
    import lightning
    import torch

    from stages.train import stage

    family, config, rows, known = prepared(steps)
    spent, times, shares = Counter(), [], []

    def timed(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            result = work(*arguments, **named)
            spent[part] += time.process_time() - start
            return result

        return measured

    family.predict = timed("forward", family.predict)
    torch.Tensor.backward = timed("backward", torch.Tensor.backward)

    class Step(torch.optim.AdamW):
        def step(self, closure: Callable[[], Any]) -> Any:
            loss = closure()
            start = time.process_time()
            super().step()
            spent["optimiser"] += time.process_time() - start
            return loss

    torch.optim.AdamW = Step

    class Clock(lightning.Callback):
        def on_train_start(self, *_: Any) -> None:
            forget_peak()

        def on_train_batch_start(self, *_: Any) -> None:
            self.mark()

        def on_train_end(self, *_: Any) -> None:
            self.mark()

        def mark(self) -> None:
            times.append(time.process_time())
            shares.append(spent.total())

    with tempfile.TemporaryDirectory() as folder:
        stage.fit(family, config, rows, known, Path(folder) / "overhead.ckpt", [Clock()])
    parts = zip(pairwise(times[2:]), pairwise(shares[2:]), strict=True)
    overhead = statistics.median(1 - (after - before) / (end - start) for (start, end), (before, after) in parts)
    weights = [weight for weight in family.denoiser.parameters() if weight.requires_grad]
    return {"step": median_step(times), "peak": peak(), "weights": digest(weights), "overhead": overhead}


SIDES = {"ours": ours, "plain": plain}


def median_step(times: list[float]) -> float:
    """Seconds of CPU time of a step, the first two, which warm up, left out."""
    return statistics.median(after - before for before, after in pairwise(times[2:]))


def digest(weights: Sequence[Any]) -> str:
    """What the weights are, to the bit."""
    return hashlib.sha256(b"".join(weight.detach().numpy().tobytes() for weight in weights)).hexdigest()


def forget_peak() -> None:
    """Let the peak of memory begin anew. Linux."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The peak of resident memory since then, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
