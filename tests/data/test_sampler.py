import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from residua.data.sampler import draw, draws, order, share, steps_per_epoch

SEEDS = st.integers(-(2**63), 2**64)


@given(SEEDS, st.integers(0, 1000), st.integers(1, 300))
def test_an_epoch_visits_every_image_once(seed: int, epoch: int, count: int) -> None:
    assert sorted(order(seed, epoch, count)) == list(range(count))


@given(SEEDS, st.integers(1, 200), st.integers(1, 64))
def test_no_image_comes_twice_in_the_batches_of_an_epoch(seed: int, count: int, batch: int) -> None:
    steps = steps_per_epoch(count, batch)
    visited = np.concatenate([share(seed, step, count=count, batch_size=batch)[1] for step in range(steps)])
    assert len(set(visited.tolist())) == len(visited) == (steps * batch if count >= batch else count)
    assert [share(seed, step, count=count, batch_size=batch)[0] for step in (steps - 1, steps)] == [0, 1]


@given(SEEDS, st.integers(0, 50), st.integers(1, 100), st.integers(1, 40), st.integers(1, 5))
def test_all_ranks_together_take_the_global_batch(
    seed: int, step: int, count: int, batch: int, world: int
) -> None:
    epoch, together = share(seed, step, count=count, batch_size=batch)
    shares = [
        share(seed, step, count=count, batch_size=batch, rank=rank, world=world) for rank in range(world)
    ]
    assert {each for each, _ in shares} == {epoch}
    assert sorted(np.concatenate([indices for _, indices in shares])) == sorted(together)


def test_a_step_does_not_depend_on_the_steps_before_it() -> None:
    forwards = [share(3, step, count=50, batch_size=8) for step in range(20)]
    backwards = [share(3, step, count=50, batch_size=8) for step in reversed(range(20))][::-1]
    for (one, these), (other, those) in zip(forwards, backwards, strict=True):
        assert one == other
        assert np.array_equal(these, those)


def test_seeds_and_epochs_give_other_orders() -> None:
    orders = [order(seed, epoch, 100).tolist() for seed in range(4) for epoch in range(4)]
    assert len({tuple(each) for each in orders}) == 16


def test_the_order_never_changes_between_versions() -> None:
    assert order(0, 0, 10).tolist() == [0, 1, 9, 4, 2, 3, 6, 8, 7, 5]
    assert draws(1, 2, np.array([0, 1]), 3).tolist() == [0.07166370763826013, 0.6503755621876899]


@given(SEEDS, st.integers(0, 99), st.integers(0, 99), st.integers(0, 60))
def test_a_draw_depends_on_its_own_index_alone(seed: int, epoch: int, index: int, stream: int) -> None:
    many = draws(seed, epoch, np.arange(100), stream)
    assert draws(seed, epoch, np.array([index]), stream)[0] == many[index] == draw(seed, epoch, index, stream)
    assert ((many >= 0) & (many < 1)).all()


def test_draws_are_uniform_and_streams_uncorrelated() -> None:
    one, other = (draws(0, 0, np.arange(20000), stream) for stream in (1, 2))
    counts = np.histogram(one, 20, (0, 1))[0]
    assert abs(counts - 1000).max() < 150  # five standard deviations of 31
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.04
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.04


def test_a_set_smaller_than_the_batch_is_one_batch() -> None:
    assert steps_per_epoch(5, 8) == 1
    assert sorted(share(0, 7, count=5, batch_size=8)[1]) == list(range(5))
    assert steps_per_epoch(17, 8) == 2


@given(SEEDS, st.integers(1, 200), st.integers(2, 64), st.integers(1, 3))
def test_without_drop_last_an_epoch_shows_every_image(seed: int, count: int, batch: int, world: int) -> None:
    steps = steps_per_epoch(count, batch, drop_last=False)
    batches = [
        np.concatenate(
            [
                share(seed, step, count=count, batch_size=batch, rank=rank, world=world, drop_last=False)[1]
                for rank in range(world)
            ]
        )
        for step in range(steps)
    ]
    assert {len(each) for each in batches} == {min(batch, count)}
    assert all(len(set(each.tolist())) == len(each) for each in batches)
    visits = np.bincount(np.concatenate(batches), minlength=count)
    assert (visits.min(), visits.sum() - count < batch) == (1, True)
    assert visits.max() <= 2
    assert share(seed, steps, count=count, batch_size=batch, drop_last=False)[0] == 1


def test_the_images_that_come_twice_change_from_epoch_to_epoch() -> None:
    last = [share(0, 4 * epoch + 3, count=10, batch_size=3, drop_last=False)[1] for epoch in range(4)]
    assert len({tuple(each[-2:].tolist()) for each in last}) > 1
