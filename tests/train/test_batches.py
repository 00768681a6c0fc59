from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.records import Sample
from stages.shards import Place
from stages.train.batches import Batches, Plan

SQUARE, WIDE = (64, 64), (96, 64)


def sample(number, role="subject", bucket=SQUARE):
    return Sample(
        id=f"{number:04d}",
        frame=f"{number:04d}",
        variant=0,
        text="",
        role=role,
        split="train",
        group="",
        width=bucket[0],
        height=bucket[1],
        source_width=bucket[0],
        source_height=bucket[1],
        crop_left=0,
        crop_top=0,
        place=Place(shard="", offset=0, size=0),
    )


def samples(*counts):
    """``counts`` are pairs of a number and (role, bucket)."""
    kinds = [kind for count, kind in counts for _ in range(count)]
    return [sample(number, *kind) for number, kind in enumerate(kinds)]


def plan(rows, *, size=4, prior_share=0.0, steps=20, seed=0):
    return Plan(samples=rows, size=size, prior_share=prior_share, steps=steps, seed=seed)


MIXED = samples(
    (7, ("subject", SQUARE)),
    (5, ("subject", WIDE)),
    (3, ("prior", SQUARE)),
    (2, ("prior", WIDE)),
    (9, ("prior", (8, 8))),
)

plans = st.builds(
    lambda counts, size, share, steps, seed: plan(
        samples(
            *zip(counts, [(role, bucket) for role in ("subject", "prior") for bucket in (SQUARE, WIDE)], strict=True)
        ),
        size=size,
        prior_share=share,
        steps=steps,
        seed=seed,
    ),
    st.tuples(st.integers(1, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)),
    st.integers(1, 8),
    st.floats(0, 0.9),
    st.integers(1, 30),
    st.integers(0, 2**32),
)


@given(plans, st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_starting_at_k_gives_the_tail(drawn, start):
    assert list(Batches(drawn, start=start)) == list(Batches(drawn))[start:]


@given(plans)
@settings(max_examples=60, deadline=None)
def test_a_batch_is_of_one_bucket_and_of_full_size(drawn):
    for batch in Batches(drawn):
        assert len(batch) == drawn.size
        assert len({(drawn.samples[index].width, drawn.samples[index].height) for index in batch}) == 1


@given(plans)
@settings(max_examples=60, deadline=None)
def test_within_a_bucket_every_sample_of_a_role_is_seen_equally_often(drawn):
    seen = Counter(index for batch in Batches(drawn) for index in batch)
    streams = {}
    for index, row in enumerate(drawn.samples):
        streams.setdefault((row.role, row.width), []).append(seen[index])
    assert all(max(counts) - min(counts) <= 1 for counts in streams.values())


@given(plans)
@settings(max_examples=60, deadline=None)
def test_the_prior_has_its_share_where_its_bucket_has_any(drawn):
    has = {(row.width, row.height) for row in drawn.samples if row.role == "prior"}
    for batch in Batches(drawn):
        first = drawn.samples[batch[0]]
        wanted = round(drawn.size * drawn.prior_share) if (first.width, first.height) in has else 0
        assert sum(drawn.samples[index].role == "prior" for index in batch) == wanted


def test_batch_k_depends_on_nothing_that_was_asked_before():
    batches = Batches(plan(MIXED, prior_share=0.5))
    once = [batches.batch(step) for step in range(20)]
    assert [batches.batch(step) for step in reversed(range(20))] == once[::-1]
    assert list(Batches(plan(MIXED, prior_share=0.5))) == once


def test_another_seed_gives_another_order():
    assert list(Batches(plan(MIXED))) != list(Batches(plan(MIXED, seed=1)))


def test_every_pass_has_an_order_of_its_own():
    rows = samples((8, ("subject", SQUARE)))
    batches = list(Batches(plan(rows, size=8, steps=6)))
    assert all(sorted(batch) == list(range(8)) for batch in batches)
    assert len({tuple(batch) for batch in batches}) == 6


def test_more_steps_keep_the_batches_before():
    """So the same adapter, trained longer, is a continuation."""
    rows = samples((7, ("subject", SQUARE)), (3, ("prior", SQUARE)))
    short, long = (list(Batches(plan(rows, prior_share=0.5, steps=steps))) for steps in (5, 50))
    assert long[:5] == short


def test_buckets_are_drawn_by_how_many_subjects_they_hold():
    rows = samples((30, ("subject", SQUARE)), (10, ("subject", WIDE)), (500, ("prior", WIDE)))
    batches = Batches(plan(rows, steps=2000))
    share = sum(rows[batch[0]].width == SQUARE[0] for batch in batches) / 2000
    assert share == pytest.approx(0.75, abs=0.03)


def test_a_bucket_without_a_subject_is_never_drawn():
    batches = Batches(plan(MIXED, prior_share=0.5, steps=200))
    assert all(MIXED[index].width != 8 for batch in batches for index in batch)


def test_the_length_is_that_of_the_whole_plan_also_on_the_way():
    assert len(Batches(plan(MIXED), start=15)) == 20
