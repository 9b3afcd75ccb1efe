"""Features of frames of one size as a CUDA graph: recorded once, then started as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from seg.models.detectors.rapsam import ClipFeatures
from seg.utils.checks import UserError, first_line

_WARM_UP = 3  # runs in which libraries choose their kernels
_TOLERANCE = 0.02  # of the largest feature; kernels differ by rounding, in 16 bits by a percent

_LEAST = 1e-12  # largest feature, in case that all are zero

Extract = Callable[[Tensor], ClipFeatures]


class FeatureGraph:
    """What a RapSAM computes features with, once they are recorded.

    Starting the several hundred kernels of a backbone one by one keeps a processor busy for longer
    than a fast GPU takes to run them; a graph is started at once (NVIDIA, CUDA C++ Programming
    Guide, "CUDA Graphs"). Other sizes, types and precisions than those of the recording go the
    usual way.

    Args:
        extract: The usual way, from normalised clips (B, T, 3, H, W), H and W multiples of 32.
        example: Clips of the size and type to record, on a GPU.
    """

    def __init__(self, extract: Extract, example: Tensor) -> None:
        self.extract = extract
        self._paused = False
        self._precision = _precision(example)
        # Buffers made in inference mode could not be written to outside of it. A device that is
        # not the current one would be left out of the recording.
        here = torch.cuda.device(example.device)
        with here, torch.inference_mode(False), torch.no_grad(), _casts_of_its_own():
            self._inputs = example.clone()
            stream = torch.cuda.Stream(example.device)
            stream.wait_stream(torch.cuda.current_stream(example.device))
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    extract(self._inputs)
            torch.cuda.current_stream(example.device).wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream):
                self._features = extract(self._inputs)

    def __call__(self, batch_inputs: Tensor) -> ClipFeatures:
        """Features as of ``RapSAM.extract_feat``; they are the caller's to keep."""
        if self._paused or not self._fits(batch_inputs):
            return self.extract(batch_inputs)
        with torch.cuda.device(batch_inputs.device):
            self._inputs.copy_(batch_inputs)
            self._graph.replay()
            # The next replay writes to the same memory, and a video remembers features of frames.
            mask_features, context = self._features
            return ClipFeatures(mask_features.clone(), None if context is None else context.clone())

    def largest_error(self) -> float:
        """How far features of noise are from those of the usual way, of their largest value.

        What a recording does not contain is not noticed otherwise, such as kernels that an operator
        starts on a stream of its own.
        """
        with torch.no_grad():
            noise = torch.randn_like(self._inputs)
            pairs = zip(self(noise), self.extract(noise), strict=True)
            errors = [
                (found - usual).abs().max() / usual.abs().max().clamp(min=_LEAST)
                for found, usual in pairs
                if found is not None and usual is not None
            ]
        return float(torch.stack(errors).max())  # NaN if there is any

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Go the usual way for a while, on which operators can be counted."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def _fits(self, batch_inputs: Tensor) -> bool:
        own = self._inputs
        same_kind = batch_inputs.dtype == own.dtype and batch_inputs.device == own.device
        same_kind = same_kind and self._precision == _precision(batch_inputs)
        return same_kind and batch_inputs.shape == own.shape


def _precision(inputs: Tensor) -> torch.dtype | None:
    """What autocast computes in, if it is on."""
    kind = inputs.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


@contextmanager
def _casts_of_its_own() -> Iterator[None]:
    """Record how weights are cast: what autocast keeps of that is gone when its block ends."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


def graph_features(model: Any, inputs: Tensor) -> None:
    """Let a RapSAM start its backbone, neck and colours as one CUDA graph.

    For inference on frames of one size, such as those of a camera. Weights must not change
    afterwards; other precisions of autocast than that around this call go the usual way.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM` on a GPU, as it is used (evaluation mode,
            fused); changed in place.
        inputs: An example, normalised, (B, T, 3, H, W).

    Raises:
        UserError: If the inputs are not on a GPU, the model is in training mode, is recorded
            already, or does something that cannot be recorded.
        torch.OutOfMemoryError: If there is no room for the recording.
    """
    check_recordable(model, inputs.device)
    try:
        graph = FeatureGraph(model.extract_feat, inputs)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = first_line(error)
        raise UserError(
            f'graph: expected features that can be recorded, got: {reason}; go without a graph'
        ) from error
    model.extract_feat = checked(graph)


def check_recordable(model: Any, device: torch.device) -> None:
    """Refuse what is no model in use on a GPU, or recorded already.

    Raises:
        UserError: If it is so.
    """
    if device.type != 'cuda':
        raise UserError(
            f'graph: expected a model and frames on a GPU, got {device}; only CUDA has graphs, so '
            'go without one or choose the device cuda:0'
        )
    if model.training:
        raise UserError('graph: expected a model in evaluation mode; call model.eval() first')
    if isinstance(model.extract_feat, FeatureGraph):
        raise UserError(
            'graph: expected a model without one, got one that is recorded; build the model anew'
        )


def checked(graph: FeatureGraph) -> FeatureGraph:
    """The graph, once its features are known to be those of the usual way.

    Raises:
        UserError: If they are not.
    """
    error = graph.largest_error()
    if not error <= _TOLERANCE:
        raise UserError(
            f'graph: expected features within {_TOLERANCE} of those of the usual way, got a '
            f'difference of {error:.3g}: an operator of this model cannot be recorded; go '
            'without a graph'
        )
    return graph
