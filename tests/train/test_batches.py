import dataclasses
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import ConfigError
from stages.records import Sample
from stages.shards import Place
from stages.train.batches import Batches, Plan, systematic

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
        weight=1.0,
        digest="",
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
        wanted = min(round(drawn.size * drawn.prior_share), drawn.size - 1) if (first.width, first.height) in has else 0
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


def test_buckets_come_in_an_order_that_chance_gives():
    rows = samples((30, ("subject", SQUARE)), (10, ("subject", WIDE)), (500, ("prior", WIDE)))
    orders = [tuple(rows[batch[0]].width for batch in Batches(plan(rows, steps=50, seed=seed))) for seed in (0, 1)]
    assert orders[0] != orders[1]
    assert orders[0][:11] != orders[0][11:22]


def passes_of(drawn):
    """After how many batches each pass of ``drawn`` ends, by counting."""
    subjects = [index for index, row in enumerate(drawn.samples) if row.role == "subject"]
    seen, ends = Counter(), []
    for number, batch in enumerate(Batches(drawn), start=1):
        seen.update(batch)
        if min(seen[index] for index in subjects) > len(ends):
            ends.append((number, Counter(seen)))
    return ends


@given(plans)
@settings(max_examples=60, deadline=None)
def test_every_pass_sees_every_subject_and_no_bucket_runs_ahead_by_a_batch(drawn):
    drawn = dataclasses.replace(drawn, steps=60)
    for number, (_, seen) in enumerate(passes_of(drawn), start=1):
        for bucket in {(row.width, row.height) for row in drawn.samples if row.role == "subject"}:
            counts = [
                seen[index]
                for index, row in enumerate(drawn.samples)
                if row.role == "subject" and (row.width, row.height) == bucket
            ]
            assert min(counts) >= number
            assert sum(counts) - number * len(counts) < drawn.size + len(counts)


def test_a_pass_takes_as_many_batches_as_its_pictures_fill():
    rows = samples((30, ("subject", SQUARE)), (10, ("subject", WIDE)), (5, ("subject", (8, 8))))
    ends = [number for number, _ in passes_of(plan(rows, size=5, steps=90))]
    assert ends == [9, 18, 27, 36, 45, 54, 63, 72, 81, 90]
    ends = [number for number, _ in passes_of(plan(rows, size=4, steps=90))]
    assert all(end <= -(-45 * number // 4) + 2 for number, end in enumerate(ends, start=1))


def test_one_bucket_is_one_stream():
    """What the default pipeline trains on: pass after pass, each in an order of its own, batches across their seams."""
    rows = samples((7, ("subject", SQUARE)))
    stream = [index for batch in Batches(plan(rows, size=3, steps=14)) for index in batch]
    laps = [stream[at : at + 7] for at in range(0, 42, 7)]
    assert all(sorted(lap) == list(range(7)) for lap in laps)
    orders = [np.random.default_rng([0, 1, *SQUARE, lap]).permutation(7).tolist() for lap in range(6)]
    assert laps == orders


@given(plans, st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 1), (1, 4)]), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_ranks_and_portions_together_see_what_one_process_sees_and_nothing_twice(drawn, shared, start):
    ranks, portions = shared
    drawn = dataclasses.replace(drawn, size=ranks * portions * drawn.size)
    whole = list(Batches(drawn, start=start))
    parts = [list(Batches(drawn, start=start, rank=rank, ranks=ranks, portions=portions)) for rank in range(ranks)]
    for number, batch in enumerate(whole):
        steps = [part[number * portions : (number + 1) * portions] for part in parts]
        assert [index for portion in steps for one in portion for index in one] == batch
        assert {len(one) for portion in steps for one in portion} == {drawn.size // (ranks * portions)}
    places = [
        place
        for rank in range(ranks)
        for each in Batches(drawn, rank=rank, ranks=ranks, portions=portions).places()
        for place in each
    ]
    assert places == list(range(drawn.size))


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    message = "16 samples cannot be shared by 3 processes in 2 portions each; give a multiple of 6"
    with pytest.raises(ConfigError, match=message):
        Batches(plan(MIXED, size=16), ranks=3, portions=2)


@given(plans)
@settings(max_examples=60, deadline=None)
def test_what_no_batch_holds_is_named_with_its_reason(drawn):
    batches = Batches(drawn)
    seen = {index for batch in batches for index in batch}
    assert set(batches.unseen()) == set(range(len(drawn.samples))) - seen


def test_the_reasons_why_a_sample_is_in_no_batch():
    few = Batches(plan(MIXED, steps=1, prior_share=0.5)).unseen()
    reasons = Counter(few.values())
    assert reasons["no picture of the subject has its size, 8 x 8 pixels"] == 9
    assert reasons["1 steps end before a whole pass"] == len(few) - 9 > 5
    alone = Batches(plan(MIXED, steps=50)).unseen()
    assert Counter(alone.values())["train.prior_share leaves no place in a batch for the prior"] == 5
    assert not any(MIXED[index].role == "subject" for index in alone)


def test_a_batch_of_many_samples_is_found_quickly_wherever_it_is():
    """A hundred thousand samples: no time may hang on how many batches came before."""
    rows = samples(*((25_000, ("subject", (width, 8))) for width in (8, 16, 24, 32)))
    batches = Batches(plan(rows, size=16, steps=10**6))
    batches.batch(999_000)
    start = time.process_time()
    for step in range(999_000, 999_200):
        batches.batch(step)
    assert time.process_time() - start < 1  # 0.03 here


def test_a_bucket_without_a_subject_is_never_drawn():
    batches = Batches(plan(MIXED, prior_share=0.5, steps=200))
    assert all(MIXED[index].width != 8 for batch in batches for index in batch)


def test_the_length_is_that_of_the_whole_plan_also_on_the_way():
    assert len(Batches(plan(MIXED), start=15)) == 20


def weighted(rows, weights):
    return [dataclasses.replace(row, weight=weight) for row, weight in zip(rows, weights, strict=True)]


def drawn_often(rows, **others):
    return Counter(index for batch in Batches(plan(rows, **others)) for index in batch)


def test_samples_are_drawn_as_often_as_they_weigh():
    rows = weighted(samples((8, ("subject", SQUARE))), [2.5, 0.5, 1, 1, 1, 1, 0.5, 0.5])
    often = drawn_often(rows, steps=400)
    assert [often[index] / 200 for index in range(8)] == pytest.approx([row.weight for row in rows], abs=0.06)


def test_buckets_are_drawn_as_often_as_their_samples_weigh():
    rows = weighted(samples((6, ("subject", SQUARE)), (6, ("subject", WIDE))), [0.5] * 6 + [1.5] * 6)
    often = drawn_often(rows, steps=300)
    assert sum(often[index] for index in range(6, 12)) == pytest.approx(900, abs=20)


def test_samples_that_all_weigh_one_are_drawn_as_before_there_were_weights():
    rng = np.random.default_rng([0, 1, *SQUARE, 0])
    rows = samples((8, ("subject", SQUARE)))
    assert [index for batch in Batches(plan(rows, steps=2)) for index in batch] == rng.permutation(8).tolist()


@given(st.lists(st.floats(0.2, 5), min_size=1, max_size=12), st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None)
def test_a_pass_gives_each_sample_its_share_rounded_up_or_down(weights, start):
    weights = np.array(weights)
    counts = np.bincount(systematic(weights, start=start), minlength=len(weights))
    share = len(weights) * weights / weights.sum()
    assert counts.sum() == len(weights)
    assert (np.abs(counts - share) < 1 + 1e-9).all()


def test_weighted_batches_can_begin_anywhere_and_be_shared():
    rows = weighted(MIXED, np.linspace(0.4, 1.6, len(MIXED)))
    whole = list(Batches(plan(rows, prior_share=0.25)))
    assert list(Batches(plan(rows, prior_share=0.25), start=7)) == whole[7:]
    halves = [list(Batches(plan(rows, prior_share=0.25), rank=rank, ranks=2)) for rank in range(2)]
    assert [[*one, *other] for one, other in zip(*halves, strict=True)] == whole


def test_a_light_sample_that_no_step_saw_is_named():
    rows = weighted(samples((8, ("subject", SQUARE))), [0.1] + [1.0] * 7)
    plans = [plan(rows, steps=2, seed=seed) for seed in range(6)]
    missing = [set(range(8)) - {index for batch in Batches(each) for index in batch} for each in plans]
    assert any(missing)
    assert [set(Batches(each).unseen()) for each in plans] == missing
