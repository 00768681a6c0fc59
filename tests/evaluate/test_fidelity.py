import cv2
import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from stages.evaluate import fidelity
from stages.evaluate.fidelity import PSNR_CAP, ms_ssim, psnr, ssim
from stages.images import decode, encode_jpeg

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "channel_axis": -1}


def noisy(picture):
    noise = np.random.default_rng(0).normal(0, 20, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def blurred(picture):
    return cv2.GaussianBlur(picture, (0, 0), 2)


def compressed(picture):
    return decode(encode_jpeg(picture, quality=30))


@pytest.mark.parametrize("damage", [noisy, blurred, compressed])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_both_equal_scikit_images_with_wangs_arguments(name, damage):
    picture = getattr(data, name)()
    other = damage(picture)
    assert psnr(picture, other) == pytest.approx(peak_signal_noise_ratio(picture, other), abs=1e-9)
    assert ssim(picture, other) == pytest.approx(structural_similarity(picture, other, **WANG), abs=1e-7)


@pytest.mark.parametrize(
    ("damage", "decibels", "similarity"), [(noisy, 22.71212567, 0.40106604), (blurred, 25.00900013, 0.81093720)]
)
def test_the_damaged_astronaut_has_the_values_that_were_measured_elsewhere(damage, decibels, similarity):
    """shared/research/evaluation.md, section 1.2."""
    picture = data.astronaut()
    other = damage(picture)
    assert psnr(picture, other) == pytest.approx(decibels, abs=1e-7)
    assert ssim(picture, other) == pytest.approx(similarity, abs=1e-7)


def test_equal_pictures_have_the_highest_values_and_no_infinity():
    picture = data.chelsea()
    assert psnr(picture, picture) == PSNR_CAP == 100.0
    assert ssim(picture, picture) == pytest.approx(1.0, abs=1e-12)


def test_psnr_by_hand():
    black = np.zeros((4, 4, 3), dtype=np.uint8)
    assert psnr(black, black + 255) == 0.0
    assert psnr(black, black + 51) == pytest.approx(20 * np.log10(5))
    assert psnr(black + 51, black) == psnr(black, black + 51)


def test_ssim_of_two_flat_pictures_is_that_of_their_means():
    black = np.zeros((16, 16, 3), dtype=np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(black, black + 100) == pytest.approx(c1 / (100**2 + c1))


def test_one_number_of_difference_is_below_the_cap():
    picture = data.chelsea()
    other = picture.copy()
    other[0, 0, 0] ^= 4
    assert 90 < psnr(picture, other) < 100


def test_the_likeness_over_five_scales_has_the_weights_of_its_paper():
    """At each scale contrast and structure, at the last light too: written out with scikit-image's own maps."""
    one, other = data.astronaut()[:200, :192], noisy(data.astronaut()[:200, :192])
    x, y, expected = one.astype(float), other.astype(float), np.ones(3)
    for scale, weight in enumerate(fidelity.SCALE_WEIGHTS):
        light, structure = fidelity._parts(x, y)
        if scale == 0:
            assert np.mean(light * structure) == pytest.approx(structural_similarity(one, other, **WANG), abs=1e-7)
        expected *= (light * structure if scale == 4 else structure).mean(axis=(0, 1)) ** weight
        x, y = (each[: each.shape[0] // 2 * 2, : each.shape[1] // 2 * 2] for each in (x, y))
        x, y = (cv2.resize(each, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for each in (x, y))
    assert ms_ssim(one, other) == pytest.approx(expected.mean(), rel=1e-9)


def test_equal_pictures_are_alike_at_every_scale_and_worse_ones_less():
    picture = data.coffee()[:256, :256]
    assert ms_ssim(picture, picture) == pytest.approx(1)
    assert ms_ssim(picture, blurred(picture)) > ms_ssim(picture, noisy(blurred(picture)))


def test_small_pictures_have_no_five_scales():
    small, large = np.zeros((175, 300, 3), np.uint8), np.zeros((176, 176, 3), np.uint8)
    assert fidelity.names([large, small]) == ["psnr", "ssim"]
    assert fidelity.names([large]) == ["psnr", "ssim", "ms_ssim"]
    assert fidelity.each("ms_ssim", [large], [large]).tolist() == [1.0]
