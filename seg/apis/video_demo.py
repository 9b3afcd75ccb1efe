"""The demo on videos: objects followed, or everything found, written as a video and as maps."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose

from seg.apis.flag_prompts import read_prompt_flags
from seg.apis.frame_packing import encode_frame
from seg.apis.overlapped import fetched_ahead
from seg.apis.test_pipeline import build_test_transforms
from seg.apis.video_models import check_follows
from seg.apis.video_predictor import VideoPredictor
from seg.apis.video_session import masks_of_id_map
from seg.apis.video_sources import VIDEO_SUFFIXES, FolderSource, FrameSource, open_video
from seg.datasets.imaging import read_id_map
from seg.models.heads.panoptic_following import PanopticFollower
from seg.structures import Prompts, Task
from seg.utils.checks import UserError
from seg.utils.devices import device_of
from seg.visualization import SegmentVisualizer
from seg.visualization.layers import Layer, panoptic_layers
from seg.visualization.palettes import id_color
from seg.visualization.video_writer import (
    VideoWriter,
    fits_palette,
    write_id_map,
    write_wide_id_map,
)

SAVES = ('video', 'masks', 'both')


@dataclass(frozen=True)
class VideoRequest:
    """What the user of the demo asked for.

    Attributes:
        source: A video file or a folder of frames.
        task: vos, interactive_video or panoptic.
        prompts: In pixels of the video, each row on its frame; none for panoptic.
        output: A file ``*.mp4``, or a folder.
        save: What is written: the overlay as a video, palette PNG files, or both.
        backward: Whether objects are followed backwards, too, in the frames before their prompts.
        skip_bad_frames: Whether frames that cannot be read are left out.
        visualizer: What draws the overlay.
    """

    source: Path
    task: Task
    prompts: Prompts | None
    output: Path
    save: str = 'video'
    backward: bool = False
    skip_bad_frames: bool = False
    visualizer: SegmentVisualizer = field(default_factory=lambda: SegmentVisualizer(min_size=0))


@dataclass(frozen=True)
class _Drawn:
    """One frame of the result."""

    index: int
    image: np.ndarray
    layers: list[Layer]
    id_map: np.ndarray


def is_video(path: Path) -> bool:
    """Whether a file is a video by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def read_video_prompts(task: Task, flags: list[tuple[str, Any]]) -> Prompts | None:
    """Prompts from the flags of the demo; for vos ``--mask`` is a map of ids.

    Raises:
        UserError: If flags are wrong, or missing for a task that follows objects.
        FileNotFoundError: If a mask file is missing.
    """
    if task is Task.PANOPTIC:
        if flags:
            raise UserError('prompts: expected none for the task panoptic, got some')
        return None
    if task is Task.INTERACTIVE_VIDEO:
        prompts = read_prompt_flags(flags)
        if prompts is None:
            raise UserError(
                'prompts: expected some for the task interactive_video, got none; add --point x,y '
                '(pixels from the top left), --box, --mask or --text, and --frame K before them '
                'for another frame than the first'
            )
        return prompts
    if [kind for kind, _ in flags] != ['mask']:
        raise UserError(
            'mask: expected one --mask FILE for the task vos, a PNG file with the ids of objects '
            'on the first frame, and no other prompts; those are for interactive_video'
        )
    path = Path(flags[0][1])
    try:
        masks = masks_of_id_map(read_id_map(path))
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    stacked = torch.from_numpy(np.stack(list(masks.values())))
    return Prompts.create(masks=stacked, object_ids=torch.tensor(list(masks)))


def run_video_demo(model: Any, request: VideoRequest) -> list[Path]:
    """Segment a video and write the result frame by frame.

    Returns:
        The video and the folder of maps, as far as they were asked for.

    Raises:
        FileNotFoundError: If the input is missing.
        UserError: If something asked for is not possible; the message names the frame.
    """
    if request.task is not Task.PANOPTIC:
        check_follows(model)
    source = open_video(request.source)
    file, folder = _destinations(request, source)
    if request.task is Task.PANOPTIC:
        drawn = _panoptic(model, source, request)
    else:
        drawn = _followed(model, source, request)
    names = dict(enumerate(_frame_names(source)))
    with _Progress(source.num_frames) as progress:
        if file is None:
            for frame in drawn:
                _write_map(folder, names, frame)
                progress.advance()
        else:
            with VideoWriter(file, source.frames_per_second or 24.0) as writer:
                for frame in drawn:
                    writer.write(request.visualizer.draw_layers(frame.image, frame.layers))
                    _write_map(folder, names, frame)
                    progress.advance()
    return [path for path in (file, folder) if path is not None]


def _destinations(request: VideoRequest, source: FrameSource) -> tuple[Path | None, Path | None]:
    """The video file and the folder of maps."""
    output, has_suffix = request.output, bool(request.output.suffix)
    if has_suffix and output.suffix.lower() != '.mp4':
        raise UserError(f'output {output}: expected a folder or a file named *.mp4')
    base = output.parent if has_suffix else output
    file = output if has_suffix else base / f'{source.name}.mp4'
    folder = base / 'Annotations' / source.name
    return (
        file if request.save in ('video', 'both') else None,
        folder if request.save in ('masks', 'both') else None,
    )


def _frame_names(source: FrameSource) -> list[str]:
    """Names of frames that come from files."""
    return source.file_names if isinstance(source, FolderSource) else []


def _write_map(folder: Path | None, names: dict[int, str], frame: _Drawn) -> None:
    """Write a palette PNG file; one of 16 bits once a long video has more than 255 segments."""
    if folder is not None:
        name = names.get(frame.index, f'{frame.index:05d}')
        write = write_id_map if fits_palette(frame.id_map) else write_wide_id_map
        write(folder / f'{name}.png', frame.id_map)


def _followed(model: Any, source: FrameSource, request: VideoRequest) -> Iterator[_Drawn]:
    assert request.prompts is not None, 'tasks that follow objects have prompts'
    predictor = VideoPredictor(model)
    settings: dict[str, Any] = dict(task=request.task, skip_bad_frames=request.skip_bad_frames)
    if request.backward:
        results = predictor.propagate_both_ways(source, request.prompts, **settings)
    else:
        results = predictor.propagate(source, prompts=request.prompts, **settings)
    for result in results:
        layers = [
            Layer(result.id_map == i, id_color(i), str(i))
            for i in result.object_ids.tolist()
            if (result.id_map == i).any()
        ]
        yield _Drawn(result.frame_index, result.image, layers, result.id_map)


def _panoptic(model: Any, source: FrameSource, request: VideoRequest) -> Iterator[_Drawn]:
    pipeline = Compose(build_test_transforms(model.cfg))
    route = model.head.router.routes[Task.PANOPTIC]
    device = device_of(model)
    follower, size = None, None
    for read in fetched_ahead(source, source.forwards(), device):
        if read.image is None:
            if request.skip_bad_frames:
                continue
            raise UserError(f'{read.error}; mend it, or skip such frames')
        if size is not None and read.image.shape != size:
            raise UserError(
                f'frame {read.index}: expected {size[1]} x {size[0]} pixels as the frames before, '
                f'got {read.image.shape[1]} x {read.image.shape[0]}'
            )
        size = read.image.shape
        with torch.no_grad():
            frame, sample = encode_frame(model, pipeline, read.on(device), Task.PANOPTIC)
            if follower is None:
                follower = PanopticFollower(model.head, route, sample, keeps=False)
            panoptic = follower.step(frame.mask_features, frame.context_feats)
        layers = panoptic_layers(panoptic, model.dataset_meta['classes'])
        yield _Drawn(read.index, read.image, layers, panoptic.segment_map[0].numpy())
    if follower is None:
        raise UserError(f'{request.source}: expected at least one frame, got none')


class _Progress:
    """A bar with frames per second on a terminal, one line at the end elsewhere."""

    def __init__(self, total: int | None) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.count = 0
        self.start = time.perf_counter()
        columns = (BarColumn(), TextColumn('{task.completed} frames, {task.fields[rate]}'))
        self._shown = sys.stderr.isatty()
        from rich.console import Console

        self._bar = Progress(
            *columns,
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not self._shown,
            transient=True,
        )
        self._task = self._bar.add_task('frames', total=total, rate='')

    @property
    def rate(self) -> str:
        """Such as ``'12.3 frames/s'``."""
        return f'{self.count / max(time.perf_counter() - self.start, 1e-9):.1f} frames/s'

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def advance(self) -> None:
        """One more frame is done."""
        self.count += 1
        self._bar.update(self._task, advance=1, rate=self.rate)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        sys.stderr.write(f'{self.count} frames, {self.rate}\n')
