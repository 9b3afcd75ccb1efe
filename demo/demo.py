"""Segment images and videos with a trained model, or samples of Shapes when no input is given."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.freed_memory import keep_freed_memory
from seg.utils.prompt_flags import PromptFlag, join_prompt_values

if TYPE_CHECKING:
    from seg.apis.demo_tasks import DemoPicture, DemoRequest
    from seg.apis.video_demo import VideoRequest

DEFAULT_OUTPUT = Path('outputs/demo')
MAX_ON_SHEET = 12
WIDE_CELL, WIDEST_CELL = 1600, 2600


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Without arguments: samples of Shapes through every task of the embedded model.',
    )
    parser.add_argument('--config', help='config of a model of your own (with --checkpoint)')
    parser.add_argument('--checkpoint', help='weights to use with --config')
    parser.add_argument('--input', type=Path, help='an image, a folder of images, or a video')
    parser.add_argument(
        '--task',
        help='panoptic, interactive_image, everything (a grid of points), concepts (all instances '
        'of each --text and of what each --box shows, the default with SAM 3), vos (objects of a '
        'first frame followed through a video or folder of frames) or interactive_video; else '
        'interactive_image with prompts, else panoptic, or everything with models that only answer '
        'prompts (all of them on Shapes)',
    )
    parser.add_argument(
        '--point',
        action=PromptFlag,
        metavar='X,Y[,LABEL]',
        help='a click in pixels from the top left; LABEL 1 (default) lies on the object, 0 beside '
        'it; all clicks outside of an --object belong to one object',
    )
    parser.add_argument(
        '--box',
        action=PromptFlag,
        metavar='X1,Y1,X2,Y2',
        help='a box around an object, pixels; a new object outside of an --object',
    )
    parser.add_argument(
        '--mask',
        action=PromptFlag,
        metavar='FILE',
        help='a rough mask of an object, a picture of the same size, white on black; likewise; '
        'for vos a PNG file with the ids of all objects on the first frame',
    )
    parser.add_argument('--text', action=PromptFlag, help='words that name an object; likewise')
    parser.add_argument(
        '--object',
        action=PromptFlag,
        type=int,
        metavar='ID',
        help='the prompts after it, of any kinds, are about object ID (a whole number >= 1); all '
        'of these flags may repeat',
    )
    parser.add_argument(
        '--frame',
        action=PromptFlag,
        type=int,
        metavar='K',
        help='the prompts after it are on frame K of a video, from 0 on (default: 0)',
    )
    parser.add_argument(
        '--as-video', action='store_true', help='take a folder of images for a video'
    )
    parser.add_argument(
        '--save',
        choices=('video', 'masks', 'both'),
        default='video',
        help='of videos: an MP4 file with the masks drawn in, palette PNG files as DAVIS has them, '
        'or both (default: %(default)s)',
    )
    parser.add_argument(
        '--backward',
        action='store_true',
        help='follow objects backwards, too, in the frames before their first prompts',
    )
    parser.add_argument(
        '--skip-bad-frames',
        action='store_true',
        help='leave out frames of a video that cannot be read',
    )
    parser.add_argument(
        '--min-iou',
        type=float,
        metavar='IOU',
        help='leave out masks that the model itself rates lower, 0 to 1 (default: 0 for prompted '
        'objects, 0.5 for everything)',
    )
    parser.add_argument(
        '--min-stability',
        type=float,
        default=0.85,
        metavar='IOU',
        help='everything: leave out masks that change more when the threshold of their logits is '
        'moved by one, 0 to 1 (default: %(default)s)',
    )
    parser.add_argument(
        '--points-per-side',
        type=int,
        default=16,
        metavar='N',
        help='everything: points along each side of the grid (default: %(default)s)',
    )
    parser.add_argument(
        '--output',
        type=Path,
        default=DEFAULT_OUTPUT,
        help='a folder, or a file name with a suffix such as .png (default: %(default)s)',
    )
    parser.add_argument('--device', help='such as cpu or cuda:0; by default the GPU if any')
    parser.add_argument('--num', type=int, default=6, help='samples of Shapes (default: 6)')
    parser.add_argument('--seed', type=int, default=0, help='which world of Shapes (default: 0)')
    parser.add_argument('--show-scores', action='store_true', help='write scores into the pictures')
    parser.set_defaults(prompts=[])
    return parser.parse_args(join_prompt_values(argv))


def choose_tasks(arguments: argparse.Namespace, model: Any) -> list[str]:
    """Names of the tasks to run, in order."""
    from seg.apis.demo_tasks import DEMO_TASKS
    from seg.models.detectors import PromptableSegmentor, Sam3Segmentor

    if arguments.task is not None:
        return [arguments.task]
    if isinstance(model, Sam3Segmentor):
        return ['concepts']
    if arguments.prompts:
        return ['interactive_image']
    if isinstance(model, PromptableSegmentor):
        return ['everything']
    if arguments.input is not None or model.entry is None:
        return ['panoptic']
    return [task.value for task in model.entry.tasks if task in DEMO_TASKS]


def make_request(arguments: argparse.Namespace) -> DemoRequest:
    """What was asked for, without the task.

    Raises:
        UserError: If a setting is wrong.
        FileNotFoundError: If the input is missing.
    """
    from seg.apis.demo_tasks import DemoRequest
    from seg.apis.flag_prompts import read_prompt_flags
    from seg.apis.image_sources import list_sources
    from seg.utils.writable import check_writable_file, check_writable_folder
    from seg.visualization import SegmentVisualizer
    from seg.visualization.picture_file import check_picture_suffix

    if arguments.num < 1 or arguments.seed < 0:
        raise UserError(
            f'num, seed: expected --num >= 1 and --seed >= 0, got {arguments.num} and '
            f'{arguments.seed}'
        )
    for name in ('min_iou', 'min_stability'):
        value = getattr(arguments, name)
        if value is not None and not 0 <= value <= 1:
            flag = f'--{name.replace("_", "-")}'
            raise UserError(f'{flag}: expected a number in [0, 1], got {value}')
    if arguments.output.suffix:
        check_picture_suffix(arguments.output)
        check_writable_file(arguments.output, '--output')
    else:
        check_writable_folder(arguments.output, '--output')
    return DemoRequest(
        sources=[] if arguments.input is None else list_sources(arguments.input),
        prompts=read_prompt_flags(arguments.prompts),
        num_shapes=arguments.num,
        seed=arguments.seed,
        min_iou_score=arguments.min_iou,
        min_stability=arguments.min_stability,
        points_per_side=arguments.points_per_side,
        visualizer=SegmentVisualizer(show_scores=arguments.show_scores),
    )


def open_model(arguments: argparse.Namespace) -> Any:
    """The model of --config and --checkpoint, or the embedded one.

    Raises:
        UserError: If only one of the two is given.
    """
    from seg.apis import load_model
    from seg.apis.model_zoo import DEFAULT_MODEL

    if arguments.config is None and arguments.checkpoint is not None:
        raise UserError(
            f'config: expected the config that {arguments.checkpoint} was trained with, got none; '
            'add --config'
        )
    return load_model(arguments.config or DEFAULT_MODEL, arguments.checkpoint, arguments.device)


def print_limits(model: Any) -> None:
    """What the user should know about a model of the package before its answers."""
    if model.entry is not None:
        print(f'NOTE: {model.entry.name} knows only {model.entry.knows}.')
        print('      What it says about other images means nothing; for those, train a model and')
        print('      give it with --config and --checkpoint.')


def write_pictures(pictures: Iterable[DemoPicture], output: Path, task: str) -> list[Path]:
    """Write one task's pictures as they come and, if there are several, a sheet of the first ones.

    Args:
        pictures: At least one.
        output: A folder, or the name of the file for the picture or the sheet.
        task: Name of the task.

    Returns:
        The files; the sheet last.
    """
    from seg.visualization import write_picture

    shown: list[DemoPicture] = []
    written = []
    for picture in pictures:
        print(f'{task}: {picture.name}: {picture.summary}')
        if len(shown) < MAX_ON_SHEET:
            shown.append(picture)
        if not output.suffix:
            written.append(write_picture(output / task / f'{picture.name}.png', picture.image))
    sheet = make_sheet(shown) if len(shown) > 1 else shown[0].image
    if output.suffix:
        return [write_picture(output, sheet)]
    return [*written, write_picture(output / f'{task}.png', sheet)] if len(shown) > 1 else written


def make_sheet(pictures: Sequence[DemoPicture]) -> Any:
    """All pictures on one; wide ones, such as comparisons, below each other."""
    from seg.visualization import contact_sheet

    captions = [f'{picture.name}: {picture.summary}' for picture in pictures]
    images = [picture.image for picture in pictures]
    if images[0].shape[1] > 2 * images[0].shape[0]:
        width = min(max(images[0].shape[1], WIDE_CELL), WIDEST_CELL)
        return contact_sheet(images, 1, captions, cell_width=width)
    return contact_sheet(images, 3, captions)


def make_video_request(arguments: argparse.Namespace) -> VideoRequest | None:
    """What was asked for, if it is about a video.

    Raises:
        UserError: If a setting is wrong.
        FileNotFoundError: If a file is missing.
    """
    from seg.apis.video_demo import VideoRequest, is_video, read_video_prompts
    from seg.structures import Task
    from seg.utils.writable import check_writable_file, check_writable_folder
    from seg.visualization import SegmentVisualizer

    named = arguments.task in ('vos', 'interactive_video')
    if arguments.input is None or not (named or arguments.as_video or is_video(arguments.input)):
        return None
    default = 'interactive_video' if arguments.prompts else 'panoptic'
    task = Task.parse(arguments.task or default)
    if task is Task.INTERACTIVE_IMAGE:
        raise UserError('task: expected panoptic, vos or interactive_video for a video')
    check = check_writable_file if arguments.output.suffix else check_writable_folder
    check(arguments.output, '--output')
    return VideoRequest(
        source=arguments.input,
        task=task,
        prompts=read_video_prompts(task, arguments.prompts),
        output=arguments.output,
        save=arguments.save,
        backward=arguments.backward,
        skip_bad_frames=arguments.skip_bad_frames,
        visualizer=SegmentVisualizer(min_size=0),
    )


def run_on_video(arguments: argparse.Namespace, request: VideoRequest) -> int:
    """Segment a video."""
    from seg.apis.video_demo import run_video_demo

    model = open_model(arguments)
    print_limits(model)
    for path in run_video_demo(model, request):
        print(f'{request.task}: wrote {path}')
    return 0


def main() -> int:
    """Run the demo."""
    arguments = parse_arguments(sys.argv[1:])
    keep_freed_memory()
    video = make_video_request(arguments)
    if video is not None:
        return run_on_video(arguments, video)
    request = make_request(arguments)
    model = open_model(arguments)
    from seg.apis.demo_tasks import find_demo_task

    names = choose_tasks(arguments, model)
    if arguments.output.suffix and len(names) > 1:
        raise UserError(
            f'output {arguments.output}: expected a folder for {len(names)} tasks, got a file; '
            'choose one with --task'
        )
    tasks = [find_demo_task(name) for name in names]
    for task in tasks:
        task.check(model, request)
    if request.sources:
        print_limits(model)
    for name, task in zip(names, tasks, strict=True):
        *single, last = write_pictures(task.run(model, request), arguments.output, name)
        print(f'{name}: wrote {last}')
        if single:
            print(f'{name}: wrote {len(single)} single pictures into {single[0].parent}')
    return 0


if __name__ == '__main__':
    run_main(main)
