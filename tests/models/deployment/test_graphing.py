"""CUDA graphs of features: on a GPU where there is one, else with one that is played."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from seg.benchmark.workloads import rapsam_parts, without_graph
from seg.models.deployment import fuse, graph_features, graphing
from seg.models.deployment.graphing import FeatureGraph, checked
from seg.models.detectors.rapsam import ClipFeatures
from seg.models.necks.deform_conv import ModulatedDeformConv
from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_rapsam_cfg
from seg.utils.checks import UserError


@pytest.fixture
def model():
    torch.manual_seed(0)
    return fuse(MODELS.build(tiny_rapsam_cfg(faithful=False)).eval())


class PlayedStream:
    def __init__(self, device=None):
        pass

    def wait_stream(self, other):
        pass


@pytest.fixture
def replays(monkeypatch):
    """Let graphs be recorded on a CPU; the list says what replaying does."""
    actions = []

    class PlayedGraph:
        def replay(self):
            for action in actions:
                action()

    monkeypatch.setattr(torch.cuda, 'CUDAGraph', PlayedGraph)
    monkeypatch.setattr(torch.cuda, 'Stream', PlayedStream)
    monkeypatch.setattr(torch.cuda, 'current_stream', PlayedStream)
    monkeypatch.setattr(torch.cuda, 'stream', lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, 'graph', lambda graph, stream: nullcontext())
    monkeypatch.setattr(torch.cuda, 'device', lambda device: nullcontext())
    return actions


class Doubling:
    """Features that are twice the input, written to the same memory whenever a graph runs."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        self.last = x, ClipFeatures(2 * x, None)
        return self.last[1]

    def replay(self):
        x, features = self.recorded
        features.mask_features.copy_(2 * x)


@pytest.fixture
def doubled(replays):
    extract = Doubling()
    graph = FeatureGraph(extract, torch.zeros(1, 2))
    extract.recorded = extract.last
    replays.append(extract.replay)
    extract.calls = 0
    return graph, extract


def test_inputs_of_the_recorded_size_are_replayed_and_what_is_kept_stays(doubled):
    graph, extract = doubled
    first = graph(torch.tensor([[1.0, 2.0]]))
    second = graph(torch.tensor([[3.0, 4.0]]))

    assert extract.calls == 0
    assert first.mask_features.tolist() == [[2, 4]]
    assert second.mask_features.tolist() == [[6, 8]]
    assert first.context_feats is None


@pytest.mark.parametrize(
    'inputs', [torch.ones(2, 2), torch.ones(1, 3), torch.ones(1, 2, dtype=torch.float64)]
)
def test_others_go_the_usual_way(doubled, inputs):
    graph, extract = doubled

    assert graph(inputs).mask_features.tolist() == (2 * inputs).tolist()
    assert extract.calls == 1


def test_other_precisions_go_the_usual_way(doubled):
    graph, extract = doubled
    with torch.autocast('cpu', torch.bfloat16):
        graph(torch.ones(1, 2))
    assert extract.calls == 1


def test_a_recording_is_compared_with_the_usual_way(doubled, replays):
    graph, _ = doubled
    assert graph.largest_error() == 0
    assert checked(graph) is graph

    replays.clear()  # as if an operator had run on a stream that was not recorded
    with pytest.raises(UserError, match='an operator of this model cannot be recorded'):
        checked(graph)


@pytest.mark.parametrize('place', [0, 1])
def test_what_is_no_number_does_not_pass(doubled, replays, place):
    graph, _ = doubled
    replays.clear()
    graph.extract = lambda x: ClipFeatures(x, x)
    broken = [torch.ones(1, 2), torch.ones(1, 2)]
    broken[place] = torch.full((1, 2), torch.nan)
    graph._features = ClipFeatures(*broken)
    assert math.isnan(graph.largest_error())
    with pytest.raises(UserError, match='difference of nan'):
        checked(graph)


def test_memory_that_runs_out_is_no_fault_of_the_recording(monkeypatch):
    class NoRoom:
        def __init__(self, extract, example):
            raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr(graphing, 'FeatureGraph', NoRoom)
    model = SimpleNamespace(training=False, extract_feat=None)
    with pytest.raises(torch.OutOfMemoryError):
        graph_features(model, SimpleNamespace(device=torch.device('cuda:0')))


def test_it_can_be_paused(doubled):
    graph, extract = doubled
    with graph.paused():
        graph(torch.ones(1, 2))
    assert extract.calls == 1
    graph(torch.ones(1, 2))
    assert extract.calls == 1


def test_what_is_recorded_in_inference_mode_can_be_used_outside(replays):
    with torch.inference_mode():
        graph = FeatureGraph(Doubling(), torch.zeros(1, 2))
    with torch.no_grad():
        assert graph(torch.ones(1, 2)).mask_features.shape == (1, 2)


def test_casts_of_weights_are_recorded_whatever_autocast_keeps(replays):
    seen = []

    def extract(x):
        seen.append(torch.is_autocast_cache_enabled())
        return ClipFeatures(x, None)

    FeatureGraph(extract, torch.zeros(1, 2))
    assert not any(seen)
    assert torch.is_autocast_cache_enabled()


def test_a_graph_is_one_part_of_a_benchmark(replays, model):
    assert [part.name for part in rapsam_parts(model)][1:3] == ['backbone', 'neck']
    model.extract_feat = FeatureGraph(model.extract_feat, torch.zeros(1, 1, 3, 64, 64))
    assert [part.name for part in rapsam_parts(model)][1:2] == ['backbone and neck']
    with without_graph(model)():
        assert model.extract_feat(torch.zeros(1, 1, 3, 64, 64)).mask_features.shape[-1] == 16


def test_what_cannot_be_recorded_is_refused(model):
    with pytest.raises(UserError, match='graph: expected a model and frames on a GPU, got cpu'):
        graph_features(model, torch.zeros(1, 1, 3, 64, 64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('faithful', [True, False])  # with deformable convolutions and without
def test_on_a_gpu_features_are_those_of_the_usual_way(faithful):
    torch.manual_seed(0)
    model = fuse(MODELS.build(tiny_rapsam_cfg(faithful=faithful)).eval()).cuda()
    for module in model.modules():
        if isinstance(module, ModulatedDeformConv):
            torch.nn.init.normal_(module.offset_conv.weight, std=0.1)
    clips = torch.rand(3, 1, 1, 3, 64, 96, device='cuda')
    with torch.no_grad():
        usual = [model.extract_feat(clip) for clip in clips]
        graph_features(model, torch.zeros_like(clips[0]))
        replayed = [model.extract_feat(clip) for clip in clips]
        other = model.extract_feat(torch.rand(1, 1, 3, 32, 32, device='cuda'))
    for expected, found in zip(usual, replayed, strict=True):
        torch.testing.assert_close(found.mask_features, expected.mask_features)
    assert other.mask_features.shape[-1] == 8
    with pytest.raises(UserError, match='got one that is recorded'):
        graph_features(model, clips[0])
    with pytest.raises(UserError, match='expected a model in evaluation mode'):
        graph_features(model.train(), clips[0])
