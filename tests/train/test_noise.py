import pytest
import torch

from stages.train import noise
from stages.train.loading import Batch
from stages.train.noise import seed_of


@pytest.fixture
def batch():
    def build(size=8, step=3, places=None):
        places = list(range(size)) if places is None else list(places)
        shape = (len(places), 4, 6, 6)
        ones = torch.ones(len(places), 6, 6), torch.ones(len(places))
        return Batch(torch.zeros(shape), {}, [""] * len(places), *ones, step, size, places)

    return build


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_every_share_of_the_way_is_met_once_in_an_order_that_changes(tiny_noise):
    orders = set()
    for seed in range(5):
        parts = noise.parts(8, tiny_noise().levels, generator(seed))
        assert (parts * 8).long().sort().values.tolist() == list(range(8))
        orders.add(tuple((parts * 8).long().tolist()))
    assert len(orders) > 1


@pytest.mark.parametrize("kind", ["logit_normal", "mode"])
def test_other_levels_stay_on_the_way_and_are_met_otherwise(tiny_noise, kind):
    parts = torch.cat([noise.parts(8, tiny_noise(kind=kind).levels, generator(seed)) for seed in range(200)])
    assert parts.min() >= 0
    assert parts.max() <= 1
    middle = ((parts > 0.4) & (parts < 0.6)).float().mean()
    assert abs(middle - 0.2) > 0.02


ALL = {"offset": 0.3, "perturbation": 0.1}


@pytest.mark.parametrize("portions", [[range(8)], [range(4), range(4, 8)], [[number] for number in range(8)], [[5, 2]]])
def test_what_a_picture_meets_does_not_depend_on_who_works_beside_it(tiny_noise, batch, portions):
    whole = noise.drawn(batch(), tiny_noise(**ALL), seed=1)
    for places in portions:
        torch.rand(3)
        part = noise.drawn(batch(places=places), tiny_noise(**ALL), seed=1)
        for one, other in zip(part, whole, strict=True):
            assert torch.equal(one, other[list(places)])


def test_every_place_step_and_seed_meets_its_own(tiny_noise, batch):
    draws = [noise.drawn(batch(step=step), tiny_noise(), seed=seed) for step in range(3) for seed in range(2)]
    seen = torch.cat([draw.eps_BCHW for draw in draws])
    assert len({each.numpy().tobytes() for each in seen}) == 6 * 8
    assert len({tuple(draw.parts_B.tolist()) for draw in draws}) == 6
    assert len(set(torch.cat([draw.chances_B for draw in draws]).tolist())) == 6 * 8


def test_plain_noise_is_standard_normal_and_chances_are_uniform(tiny_noise, batch):
    draws = [noise.drawn(batch(step=step), tiny_noise(), seed=0) for step in range(60)]
    eps = torch.stack([draw.eps_BCHW for draw in draws])
    assert eps.mean().item() == pytest.approx(0, abs=0.02)
    assert eps.std().item() == pytest.approx(1, abs=0.02)
    between = torch.corrcoef(eps.reshape(480, -1))  # of places and of steps
    assert (between - torch.eye(480)).abs().max() < 0.5
    chances = torch.cat([draw.chances_B for draw in draws])
    assert chances.mean().item() == pytest.approx(0.5, abs=0.05)
    assert all(torch.equal(draw.seen_BCHW, draw.eps_BCHW) for draw in draws)


def test_offset_noise_has_channels_with_a_mean(tiny_noise, batch):
    plain = noise.drawn(batch(64), tiny_noise(), seed=3)
    moved = noise.drawn(batch(64), tiny_noise(offset=0.5), seed=3)
    shift = moved.eps_BCHW - plain.eps_BCHW
    assert shift.std(dim=(2, 3)).max() < 1e-6
    assert shift.mean(dim=(2, 3)).std().item() == pytest.approx(0.5, abs=0.1)


def test_perturbed_noise_is_seen_and_not_asked_for(tiny_noise, batch):
    plain = noise.drawn(batch(64), tiny_noise(), seed=3)
    draw = noise.drawn(batch(64), tiny_noise(perturbation=0.1), seed=3)
    assert torch.equal(draw.eps_BCHW, plain.eps_BCHW)
    more = draw.seen_BCHW - draw.eps_BCHW
    assert more.std().item() == pytest.approx(0.1, abs=0.01)
    assert torch.corrcoef(torch.stack([more.flatten(), draw.eps_BCHW.flatten()]))[0, 1].abs() < 0.05


def test_every_step_and_place_has_a_seed_of_its_own():
    seeds = {seed_of(seed, step, place) for seed in range(3) for step in range(100) for place in range(10)}
    seeds |= {seed_of(seed, step) for seed in range(3) for step in range(100)}
    assert len(seeds) == 3300
    assert all(0 <= seed < 2**63 for seed in seeds)


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
        stage.refuse_unfit(families.build("tiny", tmp_path / "base"), config, [])
