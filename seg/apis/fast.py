"""A model made fast for frames of one size."""

from __future__ import annotations

from numbers import Integral
from typing import Literal, TypeVar, get_args

import numpy as np
from mmengine.dataset import Compose
from torch import nn

from seg.apis.frame_packing import network_input
from seg.apis.overlapped import Upload
from seg.apis.test_pipeline import build_test_transforms
from seg.models.deployment import compile_parts, fuse, graph_features
from seg.models.deployment.graphing import check_recordable
from seg.models.detectors.rapsam import RapSAM
from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message
from seg.utils.devices import device_of

M = TypeVar('M', bound=nn.Module)
FastWay = Literal['fold', 'compile', 'graph']


def make_fast(model: M, height: int, width: int, way: FastWay = 'fold') -> M:
    """Fold a model's normalisations, and compile it or record it for frames of one size.

    The model is changed in place, for inference only. Its answers differ by rounding. Frames of
    other sizes still work, the usual way.

    Example::

        model = make_fast(load_model('config.py', 'weights.pth'), 1080, 1920, 'graph')
        predictor = VideoPredictor(model)

    Args:
        model: A RapSAM from :func:`~seg.apis.load_model`.
        height: Of the frames as they come, pixels.
        width: Of the frames as they come, pixels.
        way: ``'fold'`` does no more than that. ``'compile'`` compiles backbone, neck and what
            finds objects, too, which takes a minute or more and on a CPU needs a C++ compiler.
            ``'graph'`` records backbone, neck and colours as a CUDA graph; GPU only.

    Returns:
        The model.

    Raises:
        UserError: If the model is no RapSAM, a size is no positive whole number, or the way is
            unknown or one that the device does not have.
    """
    if not isinstance(model, RapSAM):
        raise UserError(f'make_fast: expected a RapSAM, got {type(model).__name__}')
    if not all(isinstance(side, Integral) and side >= 1 for side in (height, width)):
        raise UserError(
            'make_fast: expected height and width as whole numbers >= 1, got '
            f'{height!r} and {width!r}'
        )
    if way not in get_args(FastWay):
        raise UserError(f'make_fast: {unknown_name_message("way", str(way), get_args(FastWay))}')
    device = device_of(model)
    if way == 'graph':
        check_recordable(model, device)
    fuse(model)
    if way == 'fold':
        return model
    frame = Upload(np.zeros((height, width, 3), dtype=np.uint8), device)
    pipeline = Compose(build_test_transforms(model.cfg))
    example, _ = network_input(model, pipeline, frame, Task.PANOPTIC)
    if way == 'compile':
        compile_parts(model, example)
    else:
        graph_features(model, example)
    return model
