"""Pixel-level reads: masks follow what looks alike, each object on its own."""

from dataclasses import replace

import pytest
import torch

from seg.models.memory import (
    ExpectedObjects,
    MemoryReader,
    SeenObjects,
    StreamingMemoryAdapter,
)
from seg.models.memory.pixel_pairs import NEVER, PixelPairs, _largest, _selected
from seg.utils.devices import as_if_ahead


def make_memory(**settings):
    torch.manual_seed(0)
    reader = dict(key_channels=16, stride=2, local_radius=2, **settings)
    objects = dict(num_heads=2)
    return StreamingMemoryAdapter(16, reader=reader, objects=objects).eval()


def picture(shift=0, size=(16, 24)):
    """Features of two squares on a ground, moved to the right, and the squares' masks."""
    generator = torch.Generator().manual_seed(1)
    looks = torch.randn(3, 16, generator=generator)
    masks = torch.zeros(2, *size)
    masks[0, 4:10, 2 + shift : 8 + shift] = 1
    masks[1, 6:12, 12 + shift : 18 + shift] = 1
    ground = 1 - masks.sum(dim=0)
    features = torch.einsum('nc,nhw->chw', looks, torch.cat([masks, ground[None]]))
    return features, masks


def seen(masks, visible=(True, True), prompted=(True, True)):
    return SeenObjects(
        masks=masks,
        queries=torch.rand(len(masks), 16),
        quality=torch.full((len(masks),), 0.9),
        visible=torch.tensor(visible),
        prompted=torch.tensor(prompted),
    )


def written(memory, shifts=(0,), ids=(1, 2), visible=None):
    """A memory of the picture at some shifts, prompted on the first."""
    state = None
    for place, shift in enumerate(shifts):
        features, masks = picture(shift)
        if state is None:
            state = memory.start(features).with_objects(ids)
        keys = memory.encode(features[None]).of_clip(0)
        shown = (True, True) if visible is None else visible[place]
        state = memory.write(state, keys, seen(masks, shown, (place == 0,) * 2), features)
    return state


def read(memory, state, features):
    return memory.read(state, memory.encode(features[None]).of_clip(0), features)


def find_again(memory, state, features):
    keys = memory.encode(features[None]).of_clip(0)
    return memory.find_again(state, keys, memory.read(state, keys, features))


def overlap(first, second):
    first, second = first > 0.5, second > 0.5
    return float((first & second).sum() / (first | second).sum())


@torch.no_grad()
@pytest.mark.parametrize('local_radius', [0, 2])
def test_masks_follow_what_moves(local_radius):
    memory = make_memory() if local_radius else make_memory_without_local()
    features, masks = picture(shift=2)
    state = written(memory)
    readout = read(memory, state, features)
    again = find_again(memory, state, features)

    for i in range(2):
        assert overlap(readout.masks.propagated[i], masks[i]) > 0.7
        assert overlap(again[i], masks[i]) > 0.7
        assert overlap(readout.masks.propagated[i], masks[1 - i]) < 0.1


def make_memory_without_local():
    torch.manual_seed(0)
    reader = dict(key_channels=16, stride=2, local_radius=0)
    return StreamingMemoryAdapter(16, reader=reader, objects=dict(num_heads=2)).eval()


@torch.no_grad()
def test_objects_do_not_depend_on_each_other_nor_on_their_slot():
    memory = make_memory()
    features, _ = picture(shift=1)
    state = written(memory, shifts=(0, 1))
    states = state, state.without_object(1)
    both, alone = (read(memory, objects, features) for objects in states)
    both_again, alone_again = (find_again(memory, objects, features) for objects in states)

    torch.testing.assert_close(alone.masks.propagated[0], both.masks.propagated[1])
    torch.testing.assert_close(alone_again[0], both_again[1])
    torch.testing.assert_close(alone.contents[0], both.contents[1])


@torch.no_grad()
def test_an_absent_object_writes_nothing_and_returns():
    memory = make_memory()
    state = written(memory, shifts=(0, 0, 0), visible=[(True, True), (True, False), (True, False)])
    features, masks = picture(shift=0)
    readout = read(memory, state, features)

    assert state.written.tolist() == [[True, True], [True, False], [True, False]]
    assert not state.last_masks[1].any()
    assert not state.covers[1:, 1].any()
    assert overlap(readout.masks.propagated[1], masks[1]) > 0.7


@pytest.mark.parametrize('top_k', [0, 8, 32])
@torch.no_grad()
def test_a_frame_that_shows_no_object_says_nothing(top_k):
    memory = make_memory(top_k=top_k)
    state = written(memory, shifts=(0, 0, 1), visible=[(True, True), (False, False), (True, True)])
    features, _ = picture(shift=2)
    without = state.keep_frames(torch.tensor([0, 2]))

    assert int(state.num_seen) == 3
    for ours, expected in zip(
        (*read(memory, state, features).masks, read(memory, state, features).contents),
        (*read(memory, without, features).masks, read(memory, without, features).contents),
        strict=True,
    ):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize('top_k', [0, 8, 32])
@pytest.mark.parametrize('seen_last', [True, False])
@torch.no_grad()
def test_what_is_read_without_waiting_is_the_same(top_k, seen_last):
    memory = make_memory(top_k=top_k)
    visible = [(True, True), (True, False), (seen_last, seen_last)]
    state = written(memory, shifts=(0, 1, 2), visible=visible)
    features, _ = picture(shift=3)
    waiting = read(memory, state, features)
    with as_if_ahead():
        ahead = read(memory, state, features)

    for ours, expected in zip(
        (*ahead.masks, *ahead[1:]), (*waiting.masks, *waiting[1:]), strict=True
    ):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_number_of_frames_is_bounded():
    torch.manual_seed(0)
    memory = StreamingMemoryAdapter(
        16, long_mem_size=3, short_mem_size=2, reader=dict(stride=2), objects=dict(num_heads=2)
    )
    state = written(memory, shifts=[0] * 12)

    assert state.num_frames == 6
    assert state.frame_index[0] == 0
    assert int(state.num_seen) == 12


@torch.no_grad()
def test_near_places_win_over_equal_looks():
    memory = make_memory()
    features, masks = picture()
    features[:, 6:12, 12:18] = features[:, 5, 4][:, None, None]  # the second looks like the first
    keys = memory.encode(features[None]).of_clip(0)
    state = memory.start(features).with_objects([1])
    state = memory.write(state, keys, seen(masks[:1], (True,), (True,)), features)
    readout = read(memory, state, features).masks

    assert overlap(readout.propagated[0], masks[0]) > 0.8
    again = find_again(memory, state, features)
    assert again[0][masks[1] > 0].mean() > readout.propagated[0][masks[1] > 0].mean()


@torch.no_grad()
def test_only_the_best_remembered_pixels_vote():
    memory = make_memory(top_k=5)
    state, (features, _) = written(memory, shifts=(0, 1)), picture(shift=2)
    reader = memory.reader
    keys = memory.encode(features[None]).of_clip(0)
    pairs = PixelPairs.of([reader._looks(keys.coarse)], [state.keys.flatten(2)], state.written)
    logits, votes = pairs.products(), reader._vote(pairs, state, state.written)

    size = state.keys.shape[-2:]
    covers = state.covers.flatten(2)  # (F, N, P)
    for place in (0, 17, 50):
        flat = logits[:, place]
        best = flat.topk(5).indices
        weights = flat[best].softmax(dim=0)
        expected = sum(
            weight * covers[int(i) // covers.shape[2], :, int(i) % covers.shape[2]]
            for weight, i in zip(weights, best, strict=True)
        )
        torch.testing.assert_close(votes[:, place // size[1], place % size[1]], expected)


@pytest.mark.parametrize('with_gradient', [False, True])
@pytest.mark.parametrize('find', [_largest, _selected])
@pytest.mark.parametrize('length', [5, 40, 100, 1000, 9000])
def test_the_largest_are_found(length, find, with_gradient):
    values = 20 * torch.randn(length, 7, generator=torch.Generator().manual_seed(length))
    values[:, 3] = values[:, 3].round()  # many are equal
    values[::2, 4], values[:, 5], values[:, 6] = -NEVER, 0.0, -torch.rand(length) * 1e-38
    with torch.set_grad_enabled(with_gradient):
        best, index = find(values, 5)

    assert best.dtype == values.dtype
    assert best.sort(dim=0).values.equal(values.topk(5, dim=0).values.flip(0))
    assert values.gather(0, index).equal(best)
    assert all(len(set(column.tolist())) == 5 for column in index.T), 'each place once'


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_the_largest_of_half_precision_are_found_by_groups(dtype):
    values = torch.randn(129, 7, generator=torch.Generator().manual_seed(0)).to(dtype) - 10
    best, index = _largest(values, 5)

    assert best.sort(dim=0).values.equal(values.topk(5, dim=0).values.flip(0))
    assert values.gather(0, index).equal(best)


@torch.no_grad()
def test_pixels_are_compared_some_at_a_time(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    pairs = PixelPairs(*(torch.randn(*size, generator=generator) for size in ((50, 8), (300, 8))))
    whole = pairs.largest(5)
    monkeypatch.setattr('seg.models.memory.pixel_pairs.rows_at_once', lambda *_: 7)

    for part, all_at_once in zip(pairs.largest(5), whole, strict=True):
        torch.testing.assert_close(part, all_at_once)


def test_large_frames_get_no_more_cells_than_allowed():
    reader = MemoryReader(8, stride=2, max_cells=100)
    for size in ((16, 24), (20, 20), (21, 20), (270, 480), (1, 3000)):
        keys = reader.encode(torch.zeros(1, 8, *size))

        assert keys.coarse.shape[-2:] == reader.key_size(size)
        assert reader.cover(torch.zeros(3, *size)).shape[-2:] == reader.key_size(size)
        assert keys.coarse[0, 0].numel() <= 100
    assert reader.key_size((20, 20)) == (10, 10), 'as many as allowed'
    assert reader.key_size((16, 24)) == (8, 12), 'the stride that was set'


@torch.no_grad()
def test_distant_places_lose_by_their_squared_distance():
    memory = make_memory()
    state = written(memory, shifts=(0, 1, 2))
    features, _ = picture(shift=3)
    keys = memory.encode(features[None]).of_clip(0)
    reader, (height, width) = memory.reader, keys.coarse.shape[-2:]
    looks = PixelPairs.of([reader._looks(keys.coarse)], [state.keys.flatten(2)], state.written)
    lost = looks.products() - reader._nearby(state, keys.coarse).products()

    at_once, per_frame = reader.log_reach.exp().tolist()
    for here, frame, there in ((0, 0, 0), (5, 1, 40), (95, 2, 3)):
        apart = (here // width - there // width) ** 2 + (here % width - there % width) ** 2
        variance = at_once**2 + (3 - frame) * per_frame**2
        expected = apart / max(height, width) ** 2 / (2 * variance)
        found = float(lost[frame * height * width + there, here])
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_lost_objects_are_searched_for_by_their_looks():
    memory = make_memory()
    features, masks = picture()
    state = written(memory, shifts=(0, 0), visible=[(True, True), (False, True)])
    keys = memory.encode(features[None]).of_clip(0)
    votes, votes_again = memory.reader(state, keys), memory.reader.find_again(state, keys)
    readout = read(memory, state, features)
    assert find_again(memory, state, features)[0].max() < 0.05, 'the search starts as nothing'
    assert readout.masks.propagated[0].max() == votes.propagated[0].max()

    last = memory.objects.search_mlp[-1]
    last.bias.data[:-1] = 4 * features[:, masks[0] > 0].mean(dim=1)  # looks like the first object
    readout = read(memory, state, features)
    assert readout.searched[0][masks[0] > 0].min() > readout.searched[0][masks[0] == 0].max()
    again = find_again(memory, state, features)
    for found in (readout.masks.propagated, again):
        assert found[0][masks[0] > 0].min() > 0.9
    assert readout.masks.propagated[1].equal(votes.propagated[1]), 'in sight'
    assert again[1].equal(votes_again[1]), 'in sight'
    readout.searched.sum().backward()
    assert last.bias.grad.abs().sum() > 0


def test_the_size_of_a_lost_object_is_that_on_remembered_frames():
    memory = make_memory()
    features, masks = picture()
    state = written(memory, shifts=(0, 0), visible=[(True, True), (False, True)])
    halved = replace(state, last_masks=state.last_masks / 2)
    areas = read(memory, halved, features).areas

    assert float(areas[0]) == pytest.approx(float(masks[0].sum()), rel=1e-4), 'seen once, whole'
    assert float(areas[1]) == pytest.approx(float(masks[1].sum()) / 2, rel=1e-4), 'in sight'


def test_scores_know_the_looks_under_the_mask_and_the_size():
    memory = make_memory()
    _, masks = picture()
    flat = dict(proposed=masks, last=masks, searched=0 * masks, areas=masks.flatten(1).sum(dim=1))

    def score(**changes):
        expected = ExpectedObjects(**{**flat, **changes})
        return memory.score(torch.zeros(2, 16), 8 * masks - 4, expected)

    base = score()
    assert score(searched=9 * (1 - masks)).equal(base), 'looks elsewhere do not matter'
    for changes in (dict(searched=9 * masks), dict(areas=flat['areas'] / 2), dict(last=0 * masks)):
        assert (score(**changes) - base).abs().min() > 1e-4


def test_tiles_equal_a_plain_search():
    torch.manual_seed(0)
    reader = MemoryReader(8, key_channels=6, stride=2, local_radius=3)
    keys = reader.encode(torch.randn(2, 8, 10, 13))
    masks = torch.rand(2, 10, 13)
    state = StreamingMemoryAdapter(8, reader=dict(stride=2), objects=dict(num_heads=2)).start(
        torch.zeros(8, 10, 13)
    )
    state = replace(state, last_key=keys.fine[0], last_masks=masks)
    carried = reader._carry(state, keys.fine[1])
    for y, x in ((0, 0), (4, 7), (9, 12)):
        scores, values = [], []
        for dy in range(-3, 4):
            for dx in range(-3, 4):
                if 0 <= y + dy < 10 and 0 <= x + dx < 13:
                    cosine = keys.fine[1, :, y, x] @ keys.fine[0, :, y + dy, x + dx]
                    bias = reader.local_bias[dy + 3, dx + 3]
                    scores.append(reader.local_scale.exp() * cosine + bias)
                    values.append(masks[:, y + dy, x + dx])
        expected = torch.stack(scores).softmax(dim=0) @ torch.stack(values)
        torch.testing.assert_close(carried[:, y, x], expected)


def test_masks_stay_where_no_outline_is_near():
    torch.manual_seed(0)
    reader = MemoryReader(8, key_channels=6, stride=2, local_radius=3)
    keys = reader.encode(torch.randn(2, 8, 30, 41))
    masks = torch.rand(2, 30, 41) / 5
    masks[0, :8, :8] += 0.8
    state = StreamingMemoryAdapter(8, reader=dict(stride=2), objects=dict(num_heads=2)).start(
        torch.zeros(8, 30, 41)
    )
    state = replace(state, last_key=keys.fine[0], last_masks=masks)
    carried = reader._carry(state, keys.fine[1])
    whole = reader._carry(
        replace(state, last_masks=torch.cat([masks, _stripes(masks)])), keys.fine[1]
    )

    assert carried[:, 12:].equal(masks[:, 12:]), 'the outline is more than a tile away'
    assert carried[:, :, 12:].equal(masks[:, :, 12:])
    assert carried[:, :4, :4].equal(masks[:, :4, :4]), 'all that it could come from is inside'
    torch.testing.assert_close(carried[:, 4:12, :12], whole[:2, 4:12, :12])
    torch.testing.assert_close(carried[:, :4, 4:12], whole[:2, :4, 4:12])
    assert (whole[:2, 12:] - masks[:, 12:]).abs().max() > 0.01


def _stripes(masks):
    """A mask with outlines everywhere."""
    return (torch.arange(masks.shape[-1]) % 2).float().expand(1, *masks.shape[1:])


def test_wrong_settings():
    with pytest.raises(ValueError, match='max_cells >= 1'):
        MemoryReader(8, stride=0)


@pytest.mark.parametrize('size', [(16, 24), (40, 64), (19, 23)])
@pytest.mark.parametrize('stride', [1, 2, 3, 5])
def test_enlarged_votes_stay_in_their_place(size, stride):
    """Whether or not the stride divides the sides."""
    reader = MemoryReader(16, key_channels=8, stride=stride, max_cells=10_000)
    top, left = size[0] - 12, size[1] - 13
    mask = torch.zeros(1, *size)
    mask[0, top : top + 6, left : left + 6] = 1
    found = reader._enlarge(reader.cover(mask), torch.Size(size))[0]
    rows, columns = (torch.arange(side).float() for side in size)
    center = (
        torch.stack([(found.sum(dim=1) * rows).sum(), (found.sum(dim=0) * columns).sum()])
        / found.sum()
    )

    assert found.shape == size
    assert (center - torch.tensor([top + 2.5, left + 2.5])).abs().max() < 0.5


def test_tokens_join_what_is_under_a_mask_what_is_around_it_and_the_query():
    memory, seen = make_memory(), []
    memory.objects.token_mlp.register_forward_pre_hook(lambda _, args: seen.append(args[0][0]))
    masks, queries = torch.zeros(1, 16, 24), torch.rand(1, 16)
    masks[:, 6:10, 8:14] = 1
    features = torch.cat([masks, 1 - masks, torch.zeros(14, 16, 24)])
    memory.objects.describe(masks, queries, features)
    inside, around, query = seen[0].split(16)

    assert inside.tolist() == pytest.approx([1, 0] + 14 * [0])
    assert around.tolist() == pytest.approx([0, 1] + 14 * [0])
    assert query.equal(queries[0])


def test_large_objects_are_described_in_half_precision():
    """Sums over them leave the range of fp16."""
    memory = make_memory()
    masks = torch.ones(2, 160, 240)
    features = 2 * torch.ones(16, 160, 240)
    queries = torch.rand(2, 16)
    exact = memory.objects.describe(masks, queries, features)
    with torch.autocast('cpu', dtype=torch.float16):
        half = memory.objects.describe(masks, queries, features.half())

    torch.testing.assert_close(half.float(), exact, atol=0.02, rtol=0.02)
