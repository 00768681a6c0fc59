import pytest
import torch

from stages.train import noise

LATENTS = torch.zeros(8, 4, 6, 6)


def test_every_share_of_the_way_is_met_once_in_an_order_that_changes(tiny_noise):
    orders = set()
    for seed in range(5):
        torch.manual_seed(seed)
        parts = noise.parts(8, tiny_noise().levels)
        assert (parts * 8).long().sort().values.tolist() == list(range(8))
        orders.add(tuple((parts * 8).long().tolist()))
    assert len(orders) > 1


@pytest.mark.parametrize("kind", ["logit_normal", "mode"])
def test_other_levels_stay_on_the_way_and_are_met_otherwise(tiny_noise, kind):
    parts = torch.cat([noise.parts(8, tiny_noise(kind=kind).levels) for _ in range(200)])
    assert parts.min() >= 0
    assert parts.max() <= 1
    middle = ((parts > 0.4) & (parts < 0.6)).float().mean()
    assert abs(middle - 0.2) > 0.02


def test_plain_noise_is_what_torch_draws(tiny_noise):
    torch.manual_seed(3)
    expected = torch.randn(LATENTS.shape)
    torch.manual_seed(3)
    assert torch.equal(noise.drawn(LATENTS, tiny_noise()), expected)


def test_offset_noise_has_channels_with_a_mean(tiny_noise):
    torch.manual_seed(3)
    plain = noise.drawn(LATENTS, tiny_noise())
    torch.manual_seed(3)
    moved = noise.drawn(LATENTS, tiny_noise(offset=0.5)) - plain
    assert moved.std(dim=(2, 3)).max() < 1e-6
    assert moved.mean(dim=(2, 3)).std().item() == pytest.approx(0.5, abs=0.2)


def test_a_weighting_that_the_family_does_not_have_is_refused_before_anything_is_loaded(
    tmp_path, tiny_base, tiny_training, tiny_noise
):
    import shutil

    from stages import families
    from stages.errors import ConfigError
    from stages.train import stage

    shutil.copytree(tiny_base / "scheduler", tmp_path / "base" / "scheduler")
    config = tiny_training(noise=tiny_noise(weighting="cosmap"))
    with pytest.raises(ConfigError, match="a diffusion has uniform, min_snr and debiased"):
        stage.refuse_unfit(families.build("tiny", tmp_path / "base"), config)
