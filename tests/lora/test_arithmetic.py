"""Sums, shorter forms and differences, by the pictures that they give and against the matrices themselves."""

import numpy as np
import pytest
import torch

from stages.errors import ModelError
from stages.lora import arithmetic, files
from stages.lora.arithmetic import WHOLE, Size
from stages.lora.layers import Layer, Lora


def layer(seed=0, rank=3, out=8, inside=(6,), alpha=2.0):
    generator = torch.Generator().manual_seed(seed)
    up = torch.randn(out, rank, *[1] * (len(inside) - 1), generator=generator)
    return Layer(torch.randn(rank, *inside, generator=generator), up, alpha)


def one(**how):
    return Lora({"unet.a": layer(**how)})


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(found, wanted, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("name", ["sd15 conv", "sdxl text"])
def test_a_stack_draws_what_both_loaded_draw(cases, loaded, tmp_path, name):
    (family, first, alone), (_, second, _) = cases(name), cases(name, seed=1)
    stack = arithmetic.stacked([files.read(first), files.read(second)], [0.5, -0.4])
    files.write(tmp_path / "stack.safetensors", stack)
    both = loaded(family, first, second, weights=[0.5, -0.4])
    np.testing.assert_allclose(loaded(family, tmp_path / "stack.safetensors"), both, atol=1e-5)
    assert np.abs(both - alone).max() > 0.01
    assert {each.rank for each in stack.layers.values()} == {8}


def test_a_resize_to_all_its_ranks_draws_the_same(cases, loaded, tmp_path):
    family, file, picture = cases("sd15 conv")
    stack = arithmetic.stacked([files.read(file), files.read(file)], [0.25, 0.75])
    short, error = arithmetic.resized(stack, Size(rank=4, energy=None))
    files.write(tmp_path / "short.safetensors", short)
    np.testing.assert_allclose(loaded(family, tmp_path / "short.safetensors"), picture, atol=1e-5)
    assert error < 1e-6


@pytest.mark.parametrize("inside", [(6,), (6, 3, 3)])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_a_shorter_form_is_the_best_of_its_rank_and_says_how_far_it_is(inside, rank):
    whole = one(rank=5, inside=inside)
    short, error = arithmetic.resized(whole, Size(rank=rank, energy=None))
    delta = whole.layers["unet.a"].delta()
    left, singular, right = torch.linalg.svd(delta.flatten(1), full_matrices=False)
    best = (left[:, :rank] * singular[:rank] @ right[:rank]).reshape(delta.shape)
    close(short.layers["unet.a"].delta(), best)
    assert short.layers["unet.a"].rank == rank
    assert error == pytest.approx(float((delta - best).norm() / delta.norm()), abs=1e-6)


def test_energy_keeps_just_the_ranks_that_hold_its_share():
    singular = torch.tensor([3.0, 2.0, 1.0, 0.0], dtype=torch.float64)  # squares: 9, 4, 1, 0 of 14
    shares = {0.5: 1, 9 / 14: 1, 0.65: 2, 13 / 14: 2, 0.95: 3, 1.0: 3}
    assert {share: Size(rank=None, energy=share).count(singular) for share in shares} == shares
    assert Size(rank=1, energy=1.0).count(singular) == 1
    assert WHOLE.count(singular) == 4
    assert Size(rank=99, energy=None).count(singular) == 4
    assert Size(rank=2, energy=1.0).count(torch.zeros(3, dtype=torch.float64)) == 1


def test_between_two_is_the_mean_of_their_changes_and_not_of_their_factors():
    first, second = one(seed=1), one(seed=2)
    middle = arithmetic.between(first, second, 0.25).layers["unet.a"].delta()
    one_delta, other_delta = (each.layers["unet.a"].delta() for each in (first, second))
    close(middle, 0.75 * one_delta + 0.25 * other_delta)
    factors = [(each.layers["unet.a"].up.double(), each.layers["unet.a"].down.double()) for each in (first, second)]
    naive = (0.75 * factors[0][0] + 0.25 * factors[1][0]) @ (0.75 * factors[0][1] + 0.25 * factors[1][1]) * 2 / 3
    assert (middle - naive).norm() > 0.3 * middle.norm()
    close(arithmetic.between(first, second, 0.0).layers["unet.a"].delta(), one_delta)
    close(arithmetic.between(first, second, 1.0).layers["unet.a"].delta(), other_delta)


def test_layers_that_only_one_has_are_in_the_sum_at_their_weight():
    both = arithmetic.stacked([one(), Lora({"unet.b": layer(seed=4)})], [1.0, 0.5])
    close(both.layers["unet.a"].delta(), layer().delta())
    close(both.layers["unet.b"].delta(), layer(seed=4).delta() / 2)


@pytest.mark.filterwarnings("ignore:The density 1.0")
@pytest.mark.parametrize("method", arithmetic.METHODS)
def test_a_method_of_peft_over_one_adapter_with_nothing_dropped_is_that_adapter(method):
    torch.manual_seed(0)
    merged = arithmetic.combined([one()], [1.0], Size(rank=3, energy=None), method=method, density=1.0)
    close(merged.layers["unet.a"].delta(), layer().delta())


def test_ties_is_pefts_on_whole_changes():
    from peft.utils.merge_utils import ties

    merged = arithmetic.combined(
        [one(seed=1), one(seed=2)], [1.0, 0.5], Size(rank=6, energy=None), method="ties", density=0.5
    )
    weights = torch.tensor([1.0, 0.5], dtype=torch.float64)
    close(merged.layers["unet.a"].delta(), ties([layer(seed=1).delta(), layer(seed=2).delta()], weights, density=0.5))


def test_sizes_that_differ_are_of_another_model():
    with pytest.raises(ModelError, match=r"unet.a: is \(8, 6\) in one file and \(8, 4\) in another"):
        arithmetic.stacked([one(), one(inside=(4,))], [1.0, 1.0])


def test_a_dora_cannot_be_added_up(cases):
    dora = files.read(cases("sd15 dora")[1])
    for act in (lambda: arithmetic.stacked([dora], [1.0]), lambda: arithmetic.resized(dora, Size(rank=1, energy=None))):
        with pytest.raises(ModelError, match="a DoRA is no sum"):
            act()
