"""Are the metrics right, and are they fast? ``python benchmarks/metrics.py [frechet | fidelity | intervals | copies]``.

frechet    CPU seconds of the Fréchet distance, 2048 numbers of 500 against 500 pictures, beside the square root of a
           matrix by which pytorch-fid has it, and how far the two are apart.
fidelity   PSNR and SSIM beside scikit-image's on its own photographs, noisy, blurred and as JPEG.
intervals  how often the 95 % interval holds the truth: 25 prompts of 4 seeds, half of the variance between prompts.
copies     the copy rate where a known share of the pictures is copied.
"""

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from stages.bootstrap import interval
from stages.evaluate.fidelity import psnr, ssim
from stages.evaluate.metrics.copy_rate import copied
from stages.evaluate.metrics.frechet import distance
from stages.images import decode, encode_jpeg

WIDTH, COUNT = 2048, 500


def frechet() -> None:
    """The singular values of a product of 500 x 500 against the square root of one of 2048 x 2048."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((WIDTH, WIDTH)) * np.arange(1, WIDTH + 1) ** -0.5  # variances as uneven as Inception's
    one, other = (np.maximum(0.1 * rng.standard_normal((COUNT, WIDTH)) @ mixing.T + 0.3, 0) for _ in range(2))
    seconds, ours = _timed(lambda: distance(one, 1.05 * other))
    theirs_seconds, theirs = _timed(lambda: _by_square_root(one, 1.05 * other))
    alike = distance(one, one) / float(one.var(0, ddof=1).sum())
    print(f"ours {ours:.9f} in {seconds:.3f} CPU s; by sqrtm {theirs:.9f} in {theirs_seconds:.1f} CPU s")
    print(
        f"{theirs_seconds / seconds:.0f} times; {abs(ours / theirs - 1):.1e} relative apart; FD(X, X) / trace {alike:.1e}"
    )


def _by_square_root(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """As pytorch-fid 0.3.0 has it in ``calculate_frechet_distance``."""
    means = one.mean(0), other.mean(0)
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    traces = sum(float(np.trace(each)) for each in covariances) - 2 * float(np.trace(root.real))
    return float(((means[0] - means[1]) ** 2).sum()) + traces


def fidelity() -> None:
    """The largest difference over six photographs and three kinds of damage."""
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    names = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry")
    apart = []
    for picture in (getattr(data, name)() for name in names):
        noise = np.random.default_rng(0).normal(0, 20, picture.shape)
        noisy = np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)
        for other in (noisy, cv2.GaussianBlur(picture, (0, 0), 2), decode(encode_jpeg(picture, quality=30))):
            psnr_apart = psnr(picture, other) - peak_signal_noise_ratio(picture, other, data_range=255)
            ssim_apart = ssim(picture, other) - structural_similarity(picture, other, data_range=255, **wang)
            apart.append((abs(psnr_apart), abs(ssim_apart)))
    print("{} pairs, at most apart: PSNR {:.1e} dB, SSIM {:.1e}".format(len(apart), *np.max(apart, axis=0)))


def intervals() -> None:
    """The share of 1,000 simulated evaluations whose interval holds the true difference, which is 0."""
    for prompts, seeds in ((5, 4), (10, 4), (25, 4), (25, 8), (50, 4)):
        groups = np.repeat(range(prompts), seeds).tolist()
        held = {"by prompt": 0, "by picture": 0}
        for run in range(1000):
            rng = np.random.default_rng(run)
            values = (rng.standard_normal((prompts, 1)) + rng.standard_normal((prompts, seeds))).ravel()
            for name, clusters in (("by prompt", groups), ("by picture", list(range(len(values))))):
                low, high = _interval(values, clusters, run)
                held[name] += low <= 0 <= high
        shares = ", ".join(f"{name} {count / 10:.1f} %" for name, count in held.items())
        print(f"{prompts} prompts x {seeds} seeds: {shares}")


def _interval(values: NDArray[np.float64], groups: list[int], seed: int) -> tuple[float, float]:
    return interval(lambda picks: float(values[picks].mean()), groups, resamples=300, seed=seed)


def copies() -> None:
    """Fifty training pictures, a hundred generated ones, 384 numbers each; the first of them are copies with noise."""
    for planted in (0, 2, 5, 20):
        training, generated, noise = (np.random.default_rng(seed).standard_normal((100, 384)) for seed in range(3))
        generated[:planted] = training[:planted] + 0.05 * noise[:planted]
        found = copied(generated, training[:50], range(50), factor=0.5)
        print(f"planted {planted / 100:.2f}, found {found.mean():.2f}")


def _timed(work: Callable[[], float]) -> tuple[float, float]:
    before = time.process_time()
    value = work()
    return time.process_time() - before, value


BENCHMARKS = {"frechet": frechet, "fidelity": fidelity, "intervals": intervals, "copies": copies}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=[*BENCHMARKS, []], help="all where none is named")
    for name in parser.parse_args().which or BENCHMARKS:
        BENCHMARKS[name]()
