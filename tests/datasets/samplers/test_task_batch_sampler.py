from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner

from seg.datasets import ClipDataset, MixedDataset, SampleRef
from seg.datasets.samplers import TaskBatchSampler
from seg.datasets.samplers.task_batch_sampler import block_weights
from seg.datasets.transforms import ClipFlip, PackClip


class Blank(ClipDataset):
    """Samples of noise that is the same for an index."""

    def __init__(self, task, size):
        super().__init__(task, [ClipFlip(), PackClip()], {'classes': ('a',), 'num_things': 1})
        self.size = size

    def __len__(self):
        return self.size

    def load(self, index):
        noise = torch.Generator().manual_seed(index)
        return {'clip': torch.randint(0, 256, (1, 3, 4, 4), generator=noise, dtype=torch.uint8)}


def mixture(ratios=None, sizes=(10, 7)):
    sources = {
        'found': Blank('panoptic', sizes[0]),
        'clicked': Blank('interactive_image', sizes[1]),
    }
    return MixedDataset(sources, ratios)


def sampler_of(dataset=None, *, batch_size=4, seed=0, rank=0, world_size=1, **settings):
    dataset = mixture() if dataset is None else dataset
    ranked = SimpleNamespace(dataset=dataset, seed=seed, rank=rank, world_size=world_size)
    return TaskBatchSampler(ranked, batch_size, **settings)


def test_every_batch_has_one_source():
    for batch in islice(sampler_of(), 50):
        assert len(batch) == 4
        assert len({ref.source for ref in batch}) == 1


def test_ratios_hold_exactly_and_in_random_order():
    sampler = sampler_of(mixture({'found': 3, 'clicked': 1.5}))
    sources = [sampler.batch(i)[0].source for i in range(300)]
    assert sources.count(0) == 200
    assert all(sum(sources[i : i + 3]) == 1 for i in range(0, 300, 3))
    assert len({tuple(sources[i : i + 3]) for i in range(0, 300, 3)}) == 3


def test_what_a_source_draws_does_not_depend_on_what_stands_beside_it():
    alone = sampler_of(MixedDataset({'clicked': Blank('interactive_image', 7)}))
    beside = sampler_of()
    drawn = [batch for batch in map(beside.batch, range(20)) if batch[0].source == 1]

    assert drawn
    for own, batch in zip(map(alone.batch, range(len(drawn))), drawn, strict=True):
        assert [ref._replace(source=1) for ref in own] == batch


def test_every_pass_shows_every_sample_once():
    sampler = sampler_of(batch_size=3)
    refs = [ref for i in range(140) for ref in sampler.batch(i)]
    for source, size in ((0, 10), (1, 7)):
        mine = [ref for ref in refs if ref.source == source]
        assert [ref.draw for ref in mine] == list(range(210))
        passes = [[ref.sample for ref in mine[i : i + size]] for i in range(0, 210, size)]
        assert all(sorted(order) == list(range(size)) for order in passes)
        assert len({tuple(order) for order in passes}) >= len(passes) - 1  # of 5,040 orders


def test_ranks_share_the_source_and_split_the_batch():
    whole = sampler_of(batch_size=6)
    parts = [sampler_of(batch_size=2, rank=rank, world_size=3) for rank in range(3)]
    for i in range(30):
        assert [ref for part in parts for ref in part.batch(i)] == whole.batch(i)


def test_seeds_give_other_orders():
    assert sampler_of(seed=0).batch(0) != sampler_of(seed=1).batch(0)
    assert sampler_of(seed=3).batch(9) == sampler_of(seed=3).batch(9)


def test_resuming_continues_the_same_sequence():
    sampler = sampler_of()
    expected = list(islice(sampler, 20))
    assert sampler.state_dict() == {'seed': 0, 'batch_index': 20}
    resumed = sampler_of(seed=99)
    resumed.load_state_dict({'seed': 0, 'batch_index': 13})
    assert list(islice(resumed, 7)) == expected[13:]


def test_far_positions_are_reached_at_once():
    sampler = sampler_of()
    sampler.load_state_dict({'batch_index': 10**9})
    assert len(next(iter(sampler))) == 4


def test_finite_epochs_follow_each_other():
    sampler = sampler_of(infinite=False)
    assert len(sampler) == 5  # 17 samples in batches of 4
    first, second = list(sampler), list(sampler)
    assert len(first) == len(second) == 5
    assert first + second == list(islice(sampler_of(), 10))
    sampler = sampler_of(infinite=False)
    sampler.set_epoch(1)
    assert list(sampler) == second


def test_a_single_data_set_is_one_source():
    batches = list(islice(sampler_of(Blank('panoptic', 8)), 4))
    assert {ref.source for batch in batches for ref in batch} == {0}
    assert sorted(ref.sample for batch in batches[:2] for ref in batch) == list(range(8))


@pytest.mark.parametrize(
    ('ratios', 'weights'),
    [([1, 1], [1, 1]), ([0.3, 0.1], [3, 1]), ([2, 4, 6], [1, 2, 3]), ([1 / 3, 2 / 3], [1, 2])],
)
def test_ratios_become_whole_numbers(ratios, weights):
    assert block_weights(ratios) == weights


def test_ratios_that_need_huge_blocks_are_refused():
    with pytest.raises(ValueError, match='round them'):
        block_weights([1, 1e-6])


@pytest.mark.parametrize(
    'state', [{}, {'batch_index': -1}, {'batch_index': 1, 'position': 2}, {'seed': 1}]
)
def test_foreign_states_are_refused(state):
    with pytest.raises(ValueError, match='expected batch_index >= 0'):
        sampler_of().load_state_dict(state)


def test_nonsense_settings_are_refused():
    with pytest.raises(ValueError, match='batch_size: expected at least 1, got 0'):
        sampler_of(batch_size=0)
    with pytest.raises(ValueError, match='num_batches: expected at least 1, got 0'):
        sampler_of(num_batches=0)


def loader_of(num_workers):
    config = {
        'dataset': mixture(),
        'batch_size': 2,
        'num_workers': num_workers,
        'sampler': {'type': DefaultSampler, 'shuffle': True},
        'batch_sampler': {'type': TaskBatchSampler},
    }
    return Runner.build_dataloader(config, seed=3)


def test_the_runners_loader_gives_the_same_batches_with_and_without_workers():
    batches = [list(islice(iter(loader_of(workers)), 6)) for workers in (0, 2)]
    tasks = []
    for alone, shared in zip(*batches, strict=True):
        for one, other in zip(alone['inputs'], shared['inputs'], strict=True):
            assert torch.equal(one, other)
        tasks.append({str(sample.task) for sample in alone['data_samples']})
    assert all(len(task) == 1 for task in tasks)
    assert set.union(*tasks) == {'panoptic', 'interactive_image'}


def test_mixed_data_sets_accept_plain_indices():
    dataset = mixture()
    assert len(dataset) == 17
    assert dataset.tasks == {'found': 'panoptic', 'clicked': 'interactive_image'}
    first, second = dataset.streams
    assert first != second
    assert dataset.locate(9) == SampleRef(9, 0, 9, stream=first)
    assert dataset.locate(10) == SampleRef(0, 1, 0, stream=second)
    assert str(dataset[16]['data_samples'].task) == 'interactive_image'
    with pytest.raises(IndexError, match='below 17'):
        dataset[17]


# Other sources on other ranks, other batch sizes for other tasks


def steps_of(world_size, count, **settings):
    """Batches of all ranks, step by step."""
    ranks = [
        sampler_of(
            mixture({'found': 3, 'clicked': 1}), rank=rank, world_size=world_size, **settings
        )
        for rank in range(world_size)
    ]
    return [[sampler.batch(i) for sampler in ranks] for i in range(count)]


def test_ranks_may_draw_from_different_sources():
    steps = steps_of(2, 100, same_source=False)
    sources = [[batch[0].source for batch in step] for step in steps]

    assert sum(one != other for one, other in sources) > 20
    flat = [source for step in sources for source in step]
    assert flat.count(0) == 150  # the ratio holds over all ranks together
    for source, size in ((0, 10), (1, 7)):
        refs = [ref for step in steps for batch in step for ref in batch if ref.source == source]
        assert [ref.draw for ref in refs] == list(range(len(refs)))
        first = [ref.sample for ref in refs[:size]]
        assert sorted(first) == list(range(size))


@pytest.mark.parametrize('same_source', [True, False])
def test_tasks_may_have_batch_sizes_of_their_own(same_source):
    sizes = dict(task_batch_sizes={'interactive_image': 2}, same_source=same_source)
    steps = steps_of(2, 40, batch_size=5, **sizes)
    batches = [batch for step in steps for batch in step]

    assert {(batch[0].source, len(batch)) for batch in batches} == {(0, 5), (1, 2)}
    for source in (0, 1):
        draws = [ref.draw for batch in batches for ref in batch if ref.source == source]
        assert draws == list(range(len(draws)))


def test_an_epoch_counts_samples_by_batch_size():
    sampler = sampler_of(batch_size=4, world_size=2, task_batch_sizes={'panoptic': 1})

    assert len(sampler) == 4  # 17 samples, 2 ranks, 2.5 samples per batch on average


@pytest.mark.parametrize('same_source', [True, False])
@pytest.mark.parametrize('num_batches', [0, 3, 4, 41])
def test_realised_shares_are_what_was_drawn(same_source, num_batches):
    sizes = dict(batch_size=3, task_batch_sizes={'panoptic': 2}, same_source=same_source)
    batches = [batch for step in steps_of(3, num_batches, **sizes) for batch in step]
    dataset = mixture({'found': 3, 'clicked': 1})
    told = sampler_of(dataset, world_size=3, **sizes).drawn(num_batches)

    for source, name in enumerate(('found', 'clicked')):
        mine = [batch for batch in batches if batch[0].source == source]
        assert told[name] == (len(mine), sum(map(len, mine)))


def test_any_batch_costs_the_same():
    """Ten billion batches in, without going through those before."""
    sampler = sampler_of(same_source=False, world_size=2)
    sampler.load_state_dict({'batch_index': 10**10})

    assert len(next(iter(sampler))) == 4
    assert sampler.drawn(10**10)['found'].batches == 10**10


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(task_batch_sizes={'vos': 2}), "task_batch_sizes: unknown task 'vos'"),
        (dict(task_batch_sizes={'panoptic': 0}), 'panoptic: expected at least 1, got 0'),
        (dict(batch_size=0), 'batch_size: expected at least 1'),
        (dict(dataset=mixture(sizes=(10, 0))), "'clicked': expected samples, got none"),
        (dict(dataset=Blank('vos', 0)), "'vos': expected samples, got none"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        sampler_of(**settings)
