"""What numbers, arms and verdicts are called where people read them."""

from collections.abc import Mapping, Sequence

from stages.records import ADAPTER, BASE, Arm, Score

# What a metric asks, by the beginning of its name; the embedder's name follows.
GLOSSES = {
    "heldout_loss": "denoising loss on real pictures of the subject that no training saw",
    "prior_loss": "the same on pictures without the subject, which must not get worse",
    **{f"heldout_loss_{level:02}": f"the denoising loss {level} % of the way to noise" for level in range(5, 100, 10)},
    "fd_prior": "Fréchet distance to real pictures without the subject, which must not grow",
    "fd": "Fréchet distance between what is drawn and real pictures of the subject",
    "fid": "the same by Inception; only with as many pictures could it be read beside a published one",
    "fid_prior": "the same without the subject, which must not grow",
    "kid": "kernel distance to real pictures, right for few pictures too",
    "cmmd": "Gaussian discrepancy to real pictures",
    "precision": "share of drawn pictures that lie among the real ones",
    "recall": "share of real pictures that lie among the drawn ones",
    "density": "how densely real pictures stand around the drawn ones",
    "coverage": "share of real pictures with a drawn one near",
    "diversity": "how many different pictures a prompt gives (Vendi)",
    "drift": "how far pictures without the subject were moved; 0 is not at all",
    "similarity": "how like the real pictures of the subject the drawn ones are (CLIP-I, DINO-I), by cosine",
    "retention": "how well pictures without the subject still fit their words",
    "clip_t": "how well the drawn pictures fit their words, by cosine",
    "copy_rate": "share of drawn pictures that are near copies of training pictures",
    "judged_right_subject": "share of the subject's pictures that an independent judge finds right",
    "judged_right_prior": "the same for pictures without the subject",
    "judged_f1": "macro F1 of what the judge sees against what all prompts asked: what is drawn in place of something else costs both",
    "judged_brier": "how far the judge's probabilities are from what was asked (Brier), 0 to 2",
    "judged_calibration": "how far the judge's confidence is from being right on these pictures (ECE)",
    "psnr_round_trip": "PSNR of the autoencoder alone, in dB: the ceiling of what any adapter reaches",
    "ssim_round_trip": "SSIM of the autoencoder alone: likewise",
    "psnr_image_to_image": "PSNR of held-out pictures, noised and denoised again, in dB",
    "ssim_image_to_image": "SSIM of the same",
    "lpips_image_to_image": "how far the same are from what they were, to the eye (LPIPS)",
    "lpips_round_trip": "LPIPS of the autoencoder alone: likewise a bound",
}


def number(value: float | None) -> str:
    """Four significant digits; a dash for nothing."""
    return "–" if value is None else f"{value:.4g}"


def gloss(metric: str) -> str:
    """What ``metric`` asks, in a few words; nothing where it is not known."""
    if metric.endswith("_null"):
        return "the Fréchet distance of real pictures from each other: nothing can be read into less"
    if metric.endswith("_ceiling"):
        return "the same between real pictures: more is not to be wished for"
    fits = [name for name in GLOSSES if metric == name or metric.startswith(f"{name}_")]
    return GLOSSES[max(fits, key=len)] if fits else ""


def step(arm: Arm) -> int | None:
    """The step of training at which ``arm`` was kept; None for the base and for the end."""
    return int(arm.removeprefix("step-")) if arm.startswith("step-") else None


def arm_name(arm: Arm) -> str:
    """``arm`` as a heading: "step 150" for "step-00000150"."""
    return arm if step(arm) is None else f"step {step(arm)}"


def in_order(arms: Sequence[Arm]) -> list[Arm]:
    """The base, the checkpoints by their steps, the end of training."""
    ends = {BASE: (0, 0), ADAPTER: (2, 0)}
    return sorted(arms, key=lambda arm: ends.get(arm, (1, step(arm) or 0)))


def by_verdict(rows: Sequence[Score]) -> Mapping[str, list[str]]:
    """The metrics of ``rows`` by their verdict; those without one are not there."""
    found: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda each: each.metric):
        if row.verdict:
            found.setdefault(row.verdict, []).append(row.metric)
    return found
