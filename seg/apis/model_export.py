"""Networks as files for other runtimes, checked against the network they came from.

Files are written straight to their place; :func:`~seg.utils.atomic_write.written_beside` keeps half
ones out of it.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_structure, tree_unflatten

from seg.models.deployment.exportable import (
    STRIDE,
    ImageEncoder,
    MaskSharpener,
    ObjectDecoder,
    PromptDecoder,
)
from seg.models.deployment.exportable_memory import (
    FrameMemory,
    PropagationStep,
    StartingStep,
    StartResult,
    StepResult,
)
from seg.models.detectors import RapSAM
from seg.structures import Task
from seg.utils.checks import UserError, first_line, unknown_name_message
from seg.utils.devices import is_out_of_memory
from seg.utils.drawn_frames import draw_frame

EXPORT_PARTS = ('encoder', 'objects', 'prompts', 'start', 'video', 'sharpener')
GROWING_PARTS = ('video',)
"""Whose memory may have any length, which programs of PyTorch cannot say."""
_OPSET = 20
_EXAMPLE_FRAMES = 3  # remembered; the one that follows is the example of a frame
_PROMPT_INPUTS = ('points', 'point_labels', 'boxes', 'has_box', 'previous_logits', 'has_previous')


@dataclass(frozen=True)
class ExportPart:
    """A network that leaves Python, with example inputs.

    Attributes:
        name: One of :data:`EXPORT_PARTS`.
        network: The module.
        inputs: Its positional arguments.
        input_names: One per tensor in ``inputs``.
        output_names: One per tensor that comes out.
        dynamic: Axes of inputs that may have another length, ``{input: {axis: name}}``.
    """

    name: str
    network: nn.Module
    inputs: tuple[Any, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    dynamic: dict[str, dict[int, str]]

    def __post_init__(self) -> None:
        self.network.eval()


def check_plan(names: Sequence[str], size: tuple[int, int], export_format: str) -> None:
    """Refuse what cannot be written, before a model is loaded.

    Args:
        names: Of :data:`EXPORT_PARTS`.
        size: (H, W) of the padded picture.
        export_format: ``'onnx'``, or ``'torch'`` and ``'aot'``, which are programs of PyTorch.

    Raises:
        UserError: If a part is unknown or has no such format, the size is none of multiples of 32,
            or packages are missing.
    """
    for name in names:
        _check_part(name, size)
        if export_format != 'onnx':
            _check_fixed(name)
    if export_format == 'onnx':
        _need('onnx', 'onnxscript', 'onnxruntime')


def _check_part(name: str, size: tuple[int, int]) -> None:
    if name not in EXPORT_PARTS:
        raise UserError(unknown_name_message('part', name, EXPORT_PARTS))
    if min(size) < 32 or size[0] % 32 or size[1] % 32:
        fit = tuple(max(32, -(-side // 32) * 32) for side in size)
        raise UserError(
            f'size: expected multiples of 32, got {size[0]}x{size[1]}; use {fit[0]}x{fit[1]} and '
            'pad pictures at the bottom and the right'
        )


def _check_fixed(name: str) -> None:
    if name in GROWING_PARTS:
        raise UserError(
            f'part {name}: expected a part of fixed sizes for programs of PyTorch, got one '
            'whose memory grows, which torch.export takes for one length alone; write it as onnx'
        )


def export_part(
    model: Any, name: str, size: tuple[int, int], *, num_objects: int = 1, num_points: int = 1
) -> ExportPart:
    """Choose a part of a RapSAM for one size of pictures.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`, fused or not.
        name: ``'encoder'`` pixels to features, ``'objects'`` features to everything in the
            picture, ``'prompts'`` features and prompts to masks, ``'start'`` features and masks
            to the first memory, ``'video'`` features and memory to masks and memory,
            ``'sharpener'`` masks and features to masks on a finer grid.
        size: (H, W) of the padded picture, multiples of 32.
        num_objects: Prompted objects N.
        num_points: Clicks per object P.

    Raises:
        UserError: If the part is unknown, the size does not fit, or the model lacks the part.
    """
    if not isinstance(model, RapSAM):
        raise UserError(
            f'export: expected a RapSAM, got a {type(model).__name__}; tools/export_weights.py '
            'writes a SAM for other programs'
        )
    _check_part(name, size)
    model.eval()
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)  # whose example inputs are the same every time
        return _part_with_examples(model, name, size, num_objects, num_points)


def _part_with_examples(
    model: Any, name: str, size: tuple[int, int], num_objects: int, num_points: int
) -> ExportPart:
    encoder = ImageEncoder(model)
    images = _drawn(_EXAMPLE_FRAMES, num_objects, size).images
    feats = encoder(images)
    names = ('mask_features', 'context_feats')[: len(feats)]
    if name == 'encoder':
        return ExportPart(name, encoder, (images,), ('images',), names, {})
    if name == 'objects':
        outputs = ('class_logits', 'mask_logits')
        return ExportPart(name, ObjectDecoder(model), feats, names, outputs, {})
    if name == 'prompts':
        inputs = (*_prompts(feats[0], size, num_objects, num_points), *feats)
        outputs = ('mask_logits', 'iou_scores')
        input_names = (*_PROMPT_INPUTS, *names)
        return ExportPart(name, PromptDecoder(model), inputs, input_names, outputs, {})
    if name == 'sharpener':
        return _sharpener_part(model, feats[0], num_objects)
    if getattr(model.head, 'memory', None) is None:
        raise UserError(
            f'part {name}: expected a model with a streaming memory, such as '
            'configs/rap_sam/rap_sam_nano_shapes.py, got one without'
        )
    if name == 'start':
        masks = torch.rand(num_objects, *feats[0].shape[-2:])
        rows = _memory_names(StartResult)
        return ExportPart(name, StartingStep(model), (masks, *feats), ('masks', *names), rows, {})
    memory = example_memory(model, size, num_objects)
    return _video_part(model, memory, feats, names)


def _memory_names(result: type[StartResult | StepResult]) -> tuple[str, ...]:
    """Names of outputs; what belongs to a memory is called as its input, and new."""
    return tuple(f'new_{name}' if name in FrameMemory._fields else name for name in result._fields)


def _prompts(
    mask_features: Tensor, size: tuple[int, int], num_objects: int, num_points: int
) -> tuple[Tensor, ...]:
    """Example clicks, in the order of ``_PROMPT_INPUTS``."""
    height, width = size
    flags = torch.zeros(1, num_objects, dtype=torch.bool)
    points = torch.rand(1, num_objects, num_points, 2) * torch.tensor([width, height])
    return (
        points,
        torch.ones(1, num_objects, num_points, dtype=torch.int64),
        torch.zeros(1, num_objects, 4),
        flags,
        torch.zeros(1, num_objects, *mask_features.shape[-2:]),
        flags.clone(),
    )


def _sharpener_part(model: Any, mask_features: Tensor, num_masks: int) -> ExportPart:
    if model.head.mask_upsampler is None:
        raise UserError(
            'part sharpener: expected a model with head.mask_upsampler, such as '
            'configs/rap_sam/rap_sam_nano_shapes.py, got one without'
        )
    logits = torch.randn(1, num_masks, *mask_features.shape[-2:])
    names = ('mask_logits', 'mask_features')
    return ExportPart(
        'sharpener', MaskSharpener(model), (logits, mask_features), names, ('fine_logits',), {}
    )


def _video_part(
    model: Any, memory: FrameMemory, feats: tuple[Tensor, ...], names: tuple[str, ...]
) -> ExportPart:
    num_cells, top_k = memory.keys[0, 0].numel(), model.head.memory.reader.top_k
    if num_cells < top_k:  # of several frames the best are chosen, of one all would be
        raise UserError(
            f'part video: expected pictures of at least {top_k} cells of the memory, as so many '
            f'are chosen, got {num_cells}; use a larger size'
        )
    frames = {0: 'frames'}
    per_frame = ('frame_index', 'keys', 'covers', 'tokens', 'written', 'prompted')
    dynamic = {**dict.fromkeys(per_frame, frames), 'prompted_frames': {0: 'prompted'}}
    return ExportPart(
        'video',
        PropagationStep(model, Task.VOS),
        (memory, *feats),
        (*FrameMemory._fields, *names),
        _memory_names(StepResult),
        dynamic,
    )


class _Drawn(NamedTuple):
    """A frame with discs.

    Attributes:
        images: RGB, 0 to 255, (1, 3, H, W), float.
        masks: Share of each cell of the features that each disc covers, (N, h, w).
    """

    images: Tensor
    masks: Tensor


def _drawn(index: int, num_objects: int, size: tuple[int, int]) -> _Drawn:
    image, ids = draw_frame(index, num_objects, size)
    covered = torch.from_numpy(ids) == torch.arange(1, num_objects + 1)[:, None, None]
    return _Drawn(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(),
        nn.functional.avg_pool2d(covered.float(), STRIDE),
    )


@torch.no_grad()
def example_memory(model: Any, size: tuple[int, int], num_objects: int) -> FrameMemory:
    """What is remembered of three drawn frames, the objects being prompted on the first two.

    Args:
        model: A RapSAM with a memory, in evaluation mode.
        size: (H, W), multiples of 32.
        num_objects: N.
    """
    encoder, starting = ImageEncoder(model), StartingStep(model)
    rows = []
    for index in range(_EXAMPLE_FRAMES):
        frame = _drawn(index, num_objects, size)
        rows.append(starting(frame.masks, *encoder(frame.images)))
    last = rows[-1]
    written = torch.stack([row.visible for row in rows])
    prompted = written.clone()
    prompted[2:] = False
    return FrameMemory(
        num_seen=torch.tensor(len(rows)),
        frame_index=torch.arange(len(rows)),
        keys=torch.stack([row.keys for row in rows]),
        covers=torch.stack([row.covers for row in rows]),
        tokens=torch.stack([row.tokens for row in rows]),
        written=written,
        prompted=prompted,
        last_key=last.last_key,
        last_masks=last.last_masks,
        queries=last.queries,
        texts=torch.zeros_like(last.queries),
        score_shift=last.score_shift,
        prompted_frames=torch.arange(2),
    )


def write_onnx(part: ExportPart, path: Path) -> None:
    """Write a part as ONNX with the exporter that follows ``torch.export``.

    Raises:
        UserError: If the packages of the extra ``export`` are missing, or the exporter fails.
    """
    _need('onnx', 'onnxscript')
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _without_remarks():
            torch.onnx.export(
                part.network,
                part.inputs,
                str(path),
                input_names=list(part.input_names),
                output_names=list(part.output_names),
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                dynamic_shapes=_dynamic_shapes(part),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        if is_out_of_memory(cause):
            raise cause from None
        raise UserError(
            f'part {part.name}: expected a network that the exporter of PyTorch takes, got: '
            f'{first_line(cause)}; try another --size or --objects'
        ) from error


def write_torch_export(part: ExportPart, path: Path) -> None:
    """Write a part as a program of ``torch.export``, which PyTorch loads without this package.

    It takes and gives single tensors, in the order of the part's names.

    Raises:
        UserError: If inputs of the part may have different lengths.
    """
    written = io.BytesIO()  # a full disk would end the process in the middle of a file
    with _without_remarks():
        torch.export.save(_program(part), written)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written.getvalue())


def write_aot_package(part: ExportPart, path: Path) -> None:
    """Compile a part ahead of time into a package that C++ and Python load.

    Raises:
        UserError: If no C++ compiler is at hand, or as :func:`write_torch_export`.
    """
    from torch._inductor import aoti_compile_and_package

    program = _program(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        aoti_compile_and_package(program, package_path=str(path))
    except RuntimeError as error:
        reason = first_line(error)
        raise UserError(
            f'aot: expected a part that compiles, got: {reason}; on a CPU install g++'
        ) from error


def run_onnx(path: Path, part: ExportPart, inputs: Sequence[Any] | None = None) -> list[Tensor]:
    """What onnxruntime makes of a file on the CPU.

    Args:
        path: Of the file.
        part: That it was made from.
        inputs: Other arguments than the examples.

    Raises:
        UserError: If onnxruntime is missing.
    """
    _need('onnxruntime')
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    values = tree_leaves(tuple(part.inputs if inputs is None else inputs))
    known = {value.name for value in session.get_inputs()}
    feed = {
        name: value.numpy()
        for name, value in zip(part.input_names, values, strict=True)
        if name in known  # constants of the network are folded away
    }
    return [torch.from_numpy(value) for value in session.run(list(part.output_names), feed)]


def run_torch_export(path: Path, part: ExportPart) -> list[Tensor]:
    """What a program of ``torch.export`` makes of the example inputs of its part."""
    with _without_remarks():
        program = torch.export.load(path)
    return list(program.module()(*tree_leaves(part.inputs)))


def run_aot_package(path: Path, part: ExportPart) -> list[Tensor]:
    """What a compiled package makes of the example inputs of its part."""
    from torch._inductor import aoti_load_package

    return list(aoti_load_package(str(path))(*tree_leaves(part.inputs)))


def deviations(part: ExportPart, outputs: Sequence[Tensor]) -> dict[str, float]:
    """Largest difference of each output from the network's own, over its largest magnitude."""
    with torch.no_grad():
        expected = tree_leaves(part.network(*part.inputs))
    found = {}
    for name, own, other in zip(part.output_names, expected, outputs, strict=True):
        scale = own.double().abs().max().clamp(min=1e-12)
        found[name] = float((own.double() - other.double()).abs().max() / scale)
    return found


@torch.no_grad()
def loses_sight(part: ExportPart) -> bool:
    """Whether a video step sees no object of its example, so that it writes nothing but zeros."""
    outputs = part.network(*part.inputs)
    return isinstance(outputs, StepResult) and not bool(outputs.visible.any())


class _FlatPart(nn.Module):
    """A part with single tensors as inputs and outputs, since files know no named tuples."""

    def __init__(self, part: ExportPart) -> None:
        super().__init__()
        self.network = part.network
        self.structure = tree_structure(part.inputs)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tree_leaves(self.network(*tree_unflatten(tensors, self.structure))))


def _program(part: ExportPart) -> Any:
    _check_fixed(part.name)
    inputs = tuple(tree_leaves(part.inputs))
    with torch.no_grad():
        return torch.export.export(_FlatPart(part), inputs, strict=False)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Leave out what the exporters remark on their own insides, which no user can change."""
    optimizer = logging.getLogger('onnxscript.optimizer')
    level = optimizer.level
    optimizer.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', '.*LeafSpec', FutureWarning)
            warnings.filterwarnings('ignore', 'No complete tensor found', UserWarning)
            warnings.filterwarnings('ignore', '.*buffer is not writable', UserWarning)
            yield
    finally:
        optimizer.setLevel(level)


def _dynamic_shapes(part: ExportPart) -> tuple[Any, ...] | None:
    """The dynamic axes in the structure of the inputs."""
    if not part.dynamic:
        return None
    axes = {
        name: dict.fromkeys(lengths, torch.export.Dim.DYNAMIC)
        for name, lengths in part.dynamic.items()
    }
    memory = FrameMemory._make(axes.get(name) for name in FrameMemory._fields)
    return (memory, *[None] * (len(part.inputs) - 1))


def _need(*packages: str) -> None:
    import importlib.util

    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"export: expected the package {package}, got none; pip install 'rapsam[export]'"
            )
