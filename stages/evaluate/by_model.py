"""Scores that need the model: held-out losses, image-to-image, and the autoencoder's round trip."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages import denoising, families
from stages.embeddings import Embeddings, heldout_loss, read
from stages.evaluate import scores
from stages.evaluate.fidelity import psnr, ssim
from stages.evaluate.pictures import Pictures
from stages.families import Family
from stages.images import Pixels
from stages.records import ARMS, ROLES, Role, Sample, Score

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What both arms are asked, and how the answers are compared."""

    family: str
    strength: float  # of image-to-image
    steps: int  # of image-to-image
    margin: float  # share of the base's loss that the prior may lose
    seed: int
    how: scores.Resampling


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What one arm said."""

    losses: Mapping[Role, Values]
    reconstructed: Sequence[Pixels]  # of the subject's held-out pictures


def measured(probe: Probe, base: Path, encoded: Path, trained: Path, pictures: Pictures) -> Iterator[Score]:
    """The scores of base and adapter on held-out pictures."""
    family = families.build(probe.family, base)
    embeddings = read(encoded)
    samples = {role: pictures.plain(role, "heldout") for role in ROLES}
    reals = [pictures.real(sample) for sample in samples["subject"]]
    answers = []
    for arm in ARMS:
        if arm == "adapter":
            family.load_adapter(trained / "adapter.safetensors")
        losses = {role: _losses(family, samples[role], embeddings, probe.seed) for role in ROLES}
        answers.append(_Answers(losses=losses, reconstructed=_reconstructed(family, samples["subject"], reals, probe)))
    yield from _loss_scores(answers, samples, probe)
    groups = [sample.group for sample in samples["subject"]]
    trip = [family.decode_latents(family.encode_pictures(picture[None]))[0] for picture in reals]
    for name, measure in (("psnr", psnr), ("ssim", ssim)):
        base_values, adapter_values = (_each(measure, reals, answer.reconstructed) for answer in answers)
        yield scores.paired(f"{name}_image_to_image", (base_values, adapter_values), groups, "higher", probe.how)
        yield scores.one_arm(f"{name}_round_trip", _each(measure, reals, trip), groups, "higher", probe.how)


def _loss_scores(
    answers: Sequence[_Answers], samples: Mapping[Role, Sequence[Sample]], probe: Probe
) -> Iterator[Score]:
    names: dict[Role, str] = {"subject": "heldout_loss", "prior": "prior_loss"}
    for role, name in names.items():
        if samples[role]:
            arms = (answers[0].losses[role], answers[1].losses[role])
            groups = [sample.group for sample in samples[role]]
            margin = probe.margin if role == "prior" else None
            yield scores.paired(name, arms, groups, "lower", probe.how, margin=margin)


def _losses(family: Family, samples: Sequence[Sample], embeddings: Embeddings, seed: int) -> Values:
    """The held-out loss of each sample, its mean over fixed timesteps with fixed noise: float64[N]."""
    return np.array([heldout_loss(family, embeddings, sample, seed=seed) for sample in samples])


def _reconstructed(family: Family, samples: Sequence[Sample], reals: Sequence[Pixels], probe: Probe) -> list[Pixels]:
    """Each held-out picture, noised and denoised by its own caption."""
    return [
        family.reconstruct(
            real[None],
            [sample.text],
            [denoising.picture_seed(probe.seed, sample.id)],
            strength=probe.strength,
            steps=probe.steps,
        )[0]
        for sample, real in zip(samples, reals, strict=True)
    ]


def _each(measure: Callable[[Pixels, Pixels], float], reals: Sequence[Pixels], others: Sequence[Pixels]) -> Values:
    return np.array([measure(real, other) for real, other in zip(reals, others, strict=True)])
