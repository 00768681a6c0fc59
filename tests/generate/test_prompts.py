import pytest

from stages.generate.prompts import wanted
from stages.records import Sample
from stages.shards import Place


def sample(number, text, role="subject", split="heldout"):
    values = {"id": str(number), "frame": str(number), "variant": 0, "group": "", "width": 8, "height": 8}
    values |= {"source_width": 8, "source_height": 8, "crop_left": 0, "crop_top": 0, "digest": "", "weight": 1.0}
    return Sample(**values, text=text, role=role, split=split, place=Place(shard="", offset=0, size=0))


SAMPLES = [
    sample(0, "b"),
    sample(1, "a"),
    sample(2, "a"),
    sample(3, "c"),
    sample(4, "seen in training", split="train"),
    sample(5, "grass", role="prior"),
    sample(6, "brick", role="prior", split="train"),
]


def test_prompts_come_from_heldout_pictures_alone():
    chosen = wanted(SAMPLES, {"subject": 9, "prior": 3}, most=5, seed=0)
    assert {each.prompt for each in chosen if each.role == "subject"} == {"a", "b", "c"}
    assert {each.prompt for each in chosen if each.role == "prior"} == {"grass"}


def test_pictures_are_spread_evenly_over_the_texts():
    chosen = wanted(SAMPLES, {"subject": 7}, most=5, seed=0)
    assert [each.prompt for each in chosen] == ["a", "b", "c", "a", "b", "c", "a"]


def test_no_more_texts_are_taken_than_asked_for():
    assert {each.prompt for each in wanted(SAMPLES, {"subject": 6}, most=2, seed=0)} == {"a", "b"}


def test_each_picture_has_a_seed_of_its_own():
    chosen = wanted(SAMPLES, {"subject": 60, "prior": 20}, most=5, seed=0)
    assert len({each.seed for each in chosen}) == 80
    assert all(0 <= each.seed < 2**32 for each in chosen)


def test_the_order_of_the_samples_does_not_matter():
    assert wanted(SAMPLES, {"subject": 7}, most=5, seed=0) == wanted(SAMPLES[::-1], {"subject": 7}, most=5, seed=0)


def test_more_pictures_keep_those_before():
    few, many = (wanted(SAMPLES, {"subject": count}, most=5, seed=0) for count in (4, 10))
    assert many[:4] == few


def test_another_text_changes_no_seed_of_the_others():
    before = wanted(SAMPLES, {"subject": 3}, most=5, seed=0)
    after = wanted([*SAMPLES, sample(9, "d")], {"subject": 4}, most=5, seed=0)
    assert after[:3] == before


def test_another_seed_gives_other_seeds():
    one, other = (wanted(SAMPLES, {"subject": 3}, most=5, seed=seed) for seed in (0, 1))
    assert not {each.seed for each in one} & {each.seed for each in other}


def test_the_arms_have_different_ids():
    chosen = wanted(SAMPLES, {"subject": 9}, most=5, seed=0)
    assert len({each.id(arm) for each in chosen for arm in ("base", "adapter")}) == 18


@pytest.mark.parametrize("counts", [{"subject": 0}, {"prior": 0}, {}])
def test_none_asked_for_is_none(counts):
    assert wanted(SAMPLES, counts, most=5, seed=0) == []


def test_a_role_without_heldout_pictures_has_none():
    assert wanted(SAMPLES[:5], {"prior": 3}, most=5, seed=0) == []
