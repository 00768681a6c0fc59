import hashlib
import math

import pytest
import torch

from stages import denoising, families
from stages.errors import ConfigError

ABAR = torch.tensor([0.8, 0.5, 0.1])


@pytest.fixture
def family(tiny_base):
    return families.build("tiny", tiny_base)


@pytest.fixture
def picture():
    """Latents_CHW and conditions of one picture."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(4, 8, 8, generator=generator), {"tokens": torch.randn(8, 16, generator=generator)}


def schedule(prediction="epsilon"):
    from diffusers import DDPMScheduler

    return DDPMScheduler(beta_schedule="scaled_linear", prediction_type=prediction)


def test_the_signal_to_noise_ratio_is_abar_over_the_rest():
    assert denoising.snr(ABAR).tolist() == pytest.approx([4.0, 1.0, 1 / 9])


def test_min_snr_of_epsilon_cuts_what_is_above_gamma():
    weights = denoising.min_snr_weight(torch.tensor([0.5, 5.0, 20.0]), gamma=5, prediction="epsilon")
    assert weights.tolist() == pytest.approx([1.0, 1.0, 0.25])


def test_min_snr_of_velocity_divides_by_one_more():
    weights = denoising.min_snr_weight(torch.tensor([0.5, 5.0, 20.0]), gamma=5, prediction="v_prediction")
    assert weights.tolist() == pytest.approx([1 / 3, 5 / 6, 5 / 21])


def test_debiased_is_the_inverse_root_of_the_ratio_cut_at_a_thousand():
    weights = denoising.debiased_weight(torch.tensor([0.25, 4.0, 1e6]), prediction="epsilon")
    assert weights.tolist() == pytest.approx([2.0, 0.5, 1000**-0.5])


def test_debiased_of_velocity_is_kohyas():
    weights = denoising.debiased_weight(torch.tensor([0.0, 1.0, 3.0]), prediction="v_prediction")
    assert weights.tolist() == pytest.approx([1.0, 0.5, 0.25])


def test_velocity_by_hand():
    x0, eps = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 3.0)
    assert denoising.velocity(x0, eps, torch.tensor([0.64])).item() == pytest.approx(0.8 * 3 - 0.6 * 2)


def test_noise_by_hand():
    x0, eps = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 3.0)
    assert denoising.add_noise(x0, eps, torch.tensor([0.64])).item() == pytest.approx(0.8 * 2 + 0.6 * 3)


def test_noise_and_velocity_are_those_of_diffusers():
    scheduler, timesteps = schedule(), torch.tensor([0, 1, 250, 999])
    x0, eps = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8)
    abar = scheduler.alphas_cumprod[timesteps]
    torch.testing.assert_close(denoising.add_noise(x0, eps, abar), scheduler.add_noise(x0, eps, timesteps))
    torch.testing.assert_close(denoising.velocity(x0, eps, abar), scheduler.get_velocity(x0, eps, timesteps))


def test_the_signal_to_noise_ratio_is_that_of_diffusers():
    from diffusers.training_utils import compute_snr

    scheduler, timesteps = schedule(), torch.tensor([0, 10, 500, 999])
    ours = denoising.snr(scheduler.alphas_cumprod[timesteps])
    torch.testing.assert_close(ours, compute_snr(scheduler, timesteps), rtol=1e-4, atol=0)


@pytest.mark.parametrize("count", [1, 4, 8, 10, 100])
def test_each_part_of_the_way_is_met_once(count):
    for seed in range(20):
        torch.manual_seed(seed)
        parts = denoising.stratified(count)
        assert torch.equal((parts * count).long(), torch.arange(count))


def test_timesteps_cover_the_whole_range_and_no_more():
    torch.manual_seed(0)
    process = denoising.Diffusion(torch.linspace(0.9, 0.1, 10), prediction="epsilon")
    drawn = torch.cat([process.levels(denoising.stratified(7), (8, 8)) for _ in range(200)])
    assert drawn.dtype == torch.int64
    assert set(drawn.tolist()) == set(range(10))
    assert process.levels(torch.tensor([0.0, 0.999999999]), (8, 8)).tolist() == [0, 9]


def test_the_squared_error_is_the_mean_of_each_picture(family, picture):
    latents, conditions = picture
    noise = torch.randn(2, 4, 8, 8)
    timesteps = torch.tensor([100, 900])
    pair, prompts = torch.stack([latents, latents / 2]), {"tokens": torch.stack([conditions["tokens"]] * 2)}
    errors = denoising.squared_error(family, pair, prompts, noise, timesteps)
    noisy, target = family.process.corrupt(pair, noise, timesteps)
    answer = family.predict(noisy, timesteps, prompts)
    torch.testing.assert_close(errors, torch.stack([((answer[n] - target[n]) ** 2).mean() for n in (0, 1)]))


def test_the_fixed_loss_is_repeatable_whatever_was_drawn_before(family, picture):
    torch.manual_seed(1)
    one = denoising.fixed_loss(family, *picture, seed=7)
    torch.manual_seed(2)
    torch.rand(5)
    assert torch.equal(one, denoising.fixed_loss(family, *picture, seed=7))
    assert one.shape == (10,)
    assert not one.requires_grad


def test_the_fixed_loss_leaves_the_global_generator_alone(family, picture):
    before = torch.get_rng_state()
    denoising.fixed_loss(family, *picture, seed=7)
    assert torch.equal(before, torch.get_rng_state())


def test_another_seed_gives_another_fixed_loss(family, picture):
    assert not torch.equal(
        denoising.fixed_loss(family, *picture, seed=7), denoising.fixed_loss(family, *picture, seed=8)
    )


def test_the_fixed_timesteps_are_the_middles_of_ten_parts():
    process = denoising.Diffusion(torch.linspace(0.9, 0.1, 1000), prediction="epsilon")
    levels = process.levels(torch.tensor(denoising.FIXED_PARTS, dtype=torch.float64), (8, 8))
    assert levels.tolist() == [50, 150, 250, 350, 450, 550, 650, 750, 850, 950]


def test_the_seed_of_a_picture_is_half_of_its_digest():
    digest = hashlib.sha256(b"3 abc").hexdigest()
    assert denoising.picture_seed(3, "abc") == int(digest[:16], 16) // 2
    assert len({denoising.picture_seed(seed, id) for seed in (0, 1) for id in "abc"}) == 6


def weighting(kind):
    return denoising.Weighting(kind=kind, gamma=5.0)


def flow(shift=1.0):
    return denoising.Flow(lambda _: shift)


def test_a_flow_goes_straight_from_picture_to_noise():
    x0, eps = torch.full((3, 1, 1, 1), 2.0), torch.full((3, 1, 1, 1), 3.0)
    noisy, target = flow().corrupt(x0, eps, torch.tensor([0.0, 0.25, 1.0]))
    assert noisy.flatten().tolist() == [2.0, 2.25, 3.0]
    assert target.flatten().tolist() == [1.0, 1.0, 1.0]


def test_a_flows_levels_are_the_way_itself_shifted():
    parts = torch.tensor([0.0, 0.25, 0.5, 0.75])
    assert torch.equal(flow().levels(parts, (8, 8)), parts)
    assert flow(3.0).levels(parts, (8, 8)).tolist() == pytest.approx([0, 0.5, 0.75, 0.9])


def test_the_shift_is_that_of_diffusers():
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    plain = FlowMatchEulerDiscreteScheduler(shift=1.0)
    torch.testing.assert_close(denoising.shifted(plain.sigmas, 3.0), scheduler.sigmas)


def test_the_shift_grows_with_the_tokens_as_in_flux():
    def shift(tokens):
        return denoising.token_shift(tokens, least=(256, 0.5), most=(4096, 1.15))

    assert shift(256) == pytest.approx(math.exp(0.5))
    assert shift(4096) == pytest.approx(math.exp(1.15))
    assert shift(256) < shift(1024) < shift(4096)


def test_min_snr_of_a_flow_weighs_the_error_of_the_picture():
    levels = torch.tensor([0.1, 0.5, 0.9])
    snr = ((1 - levels) / levels) ** 2
    found = flow().weight(levels, weighting("min_snr"))
    assert found.tolist() == pytest.approx((snr.clamp(max=5) * levels**2).tolist())


@pytest.mark.parametrize("kind", ["sigma_sqrt", "cosmap"])
def test_a_flows_weights_are_those_of_diffusers(kind):
    from diffusers.training_utils import compute_loss_weighting_for_sd3

    levels = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(flow().weight(levels, weighting(kind)), compute_loss_weighting_for_sd3(kind, levels))


@pytest.mark.parametrize("process", [denoising.Diffusion(ABAR, prediction="epsilon"), denoising.Flow(lambda _: 1.0)])
def test_uniform_weighs_every_level_the_same(process):
    levels = process.levels(torch.tensor([0.1, 0.9]), (8, 8))
    assert process.weight(levels, weighting("uniform")).tolist() == [1.0, 1.0]


def test_a_weighting_of_another_process_is_refused_by_name():
    diffusion = denoising.Diffusion(ABAR, prediction="epsilon")
    with pytest.raises(ConfigError, match="'cosmap' is of flows; a diffusion has uniform, min_snr and debiased"):
        diffusion.weight(torch.tensor([1]), weighting("cosmap"))
    with pytest.raises(ConfigError, match="'debiased' is of diffusions; a flow has"):
        flow().weight(torch.tensor([0.5]), weighting("debiased"))


def test_a_greater_mean_is_more_noise():
    """As in the paper: diffusers' scripts turn the sign round (sigmoid(N(1, 1)) has mean 0.696, theirs 0.304)."""
    parts = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    assert denoising.logit_normal(parts, mean=1.0, std=1.0).mean().item() == pytest.approx(0.696, abs=2e-3)
    drawn = denoising.logit_normal(parts, mean=0.3, std=0.7).logit()
    assert (drawn.mean().item(), drawn.std().item()) == pytest.approx((0.3, 0.7), abs=2e-3)
    assert (drawn.diff() > 0).all()


@pytest.mark.parametrize("scale", [-1.0, 0.0, 1.29, 1.75])
def test_heavy_tails_are_those_of_diffusers_and_stay_between_picture_and_noise(scale):
    u = torch.linspace(0, 1, 101)
    expected = 1 - u - scale * (torch.cos(math.pi * u / 2) ** 2 - 1 + u)
    found = denoising.heavy_tails(u, scale=scale)
    torch.testing.assert_close(found, expected)
    assert found.min() >= -1e-6
    assert found.max() <= 1 + 1e-6


def test_offset_noise_moves_each_channel_as_a_whole():
    eps, shift = torch.zeros(2, 3, 4, 4), torch.arange(6.0).reshape(2, 3)
    moved = denoising.offset_noise(eps, shift, strength=0.1)
    assert torch.equal(moved, (0.1 * shift)[:, :, None, None].expand(2, 3, 4, 4))


def test_a_masked_error_is_the_mean_of_what_counts():
    """Against the formula, place by place."""
    generator = torch.Generator().manual_seed(0)
    answer, target = torch.randn(2, 3, 4, 5, 6, generator=generator)
    mask = torch.rand(3, 5, 6, generator=generator)
    found = denoising.masked_error(answer, target, mask, outside=0.25)
    for picture in range(3):
        total, weights = 0.0, 0.0
        for row in range(5):
            for column in range(6):
                weight = 0.25 + 0.75 * mask[picture, row, column].item()
                error = (answer - target)[picture, :, row, column].square().mean().item()
                total, weights = total + weight * error, weights + weight
        assert found[picture].item() == pytest.approx(total / weights, rel=1e-5)


def test_a_mask_that_is_everywhere_or_nowhere():
    answer, target = torch.randn(2, 3, 4, 5, 6)
    plain = (answer - target).square().flatten(1).mean(1)
    ones, zeros = torch.ones(3, 5, 6), torch.zeros(3, 5, 6)
    torch.testing.assert_close(denoising.masked_error(answer, target, ones, outside=0.0), plain)
    torch.testing.assert_close(denoising.masked_error(answer, target, zeros, outside=0.5), plain)
    assert denoising.masked_error(answer, target, zeros, outside=0.0).tolist() == [0.0] * 3


def test_input_perturbation_as_published():
    """Ning et al., algorithm 1: x_t is made of eps + gamma xi, the target is eps."""
    eps, xi = torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(denoising.perturbed(eps, xi, strength=0.1), eps + 0.1 * xi)
