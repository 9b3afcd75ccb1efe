"""Annotate images, fine-tune SAM on the annotations, and annotate further images better.

A small SAM learns Shapes for a while. Then it meets pictures of another sensor (grey, inverted,
faint, smeared, noisy), which a simulated person annotates with it: a box per object, clicks on the
largest error until the mask is good, and a mask drawn by hand where clicks do not help. The export
of that session fine-tunes the model, and the person annotates further pictures with both.

The last line of standard output is JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    import numpy as np

    from seg.apis.annotation import AnnotatedItem, AnnotationSession

CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'sam'
SEED, MIN_AREA, GOOD_IOU, MAX_CLICKS = 31, 60, 0.7, 4


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('--start', type=Path, help='weights of sam_tiny_shapes.py to start from')
    parser.add_argument(
        '--start-iters', type=int, default=800, help='to train where there are none (default: 800)'
    )
    parser.add_argument('--images', type=int, default=40, help='to annotate (default: 40)')
    parser.add_argument('--iters', type=int, default=300, help='of fine-tuning (default: 300)')
    parser.add_argument(
        '--further-images', type=int, default=20, help='to annotate with both (default: 20)'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/annotate_and_train'))
    arguments = parser.parse_args(argv)
    if min(arguments.start_iters, arguments.images, arguments.iters, arguments.further_images) < 1:
        raise UserError('--start-iters, --images, --iters, --further-images: expected at least 1')
    return arguments


@dataclass
class Effort:
    """What annotating took.

    Attributes:
        first_ious: Of every object, after its box.
        clicks: Of every object.
        drawn: Objects that were drawn by hand in the end.
    """

    first_ious: list[float]
    clicks: list[int]
    drawn: int = 0

    def summary(self) -> dict[str, float]:
        """Per object; shares in [0, 1]."""
        count = len(self.clicks)
        return {
            'objects': count,
            'iou_after_box': round(sum(self.first_ious) / count, 3),
            'clicks_per_object': round(sum(self.clicks) / count, 2),
            'drawn_by_hand': round(self.drawn / count, 3),
        }


def annotate(session: AnnotationSession, first: int, count: int) -> Effort:
    """Annotate pictures ``first`` to ``first + count - 1`` of the other sensor."""
    import numpy as np

    from seg.datasets.shapes import SHAPES_CLASSES, ShapesWorld, as_other_sensor

    world, effort = ShapesWorld(seed=SEED), Effort([], [])
    for index in range(first, first + count):
        sample = world.image(index)
        image = as_other_sensor(sample.clip[0], np.random.default_rng(index))
        item = session.open(image, f'picture_{index:04d}')
        for row, label in enumerate(sample.labels.tolist()):
            truth = sample.segment_map[0] == row + 1
            if sample.is_thing[row] and truth.sum() >= MIN_AREA:
                annotate_object(item, truth, SHAPES_CLASSES[label], effort)
    return effort


def annotate_object(item: AnnotatedItem, truth: np.ndarray, label: str, effort: Effort) -> None:
    """Box, clicks on the largest error, and a mask by hand where they do not help."""
    import numpy as np

    from seg.evaluation.functional.clicks import mask_iou, next_click

    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    object_id = item.add_prompted(label, lambda one: item.set_box(one, [float(v) for v in box]))
    ious = []
    for clicks in range(MAX_CLICKS + 1):
        mask = item.mask(object_id)
        assert mask is not None, 'it was prompted'
        ious.append(float(mask_iou(mask, truth)))
        if ious[-1] >= GOOD_IOU or clicks == MAX_CLICKS:
            break
        click = next_click(mask, truth)
        assert click is not None, 'masks that differ have an error'
        item.add_click(object_id, click.x, click.y, click.is_positive)
    if ious[-1] < GOOD_IOU:
        item.set_mask(object_id, truth)
        effort.drawn += 1
    item.accept(object_id)
    effort.first_ious.append(ious[0])
    effort.clicks.append(len(ious) - 1)


def train(config: str, work_dir: Path, iterations: int, changes: dict[str, Any]) -> Path:
    """Train a config for some iterations; returns the weights."""
    from seg.engine.config_options import load_config
    from seg.engine.launch import build_runner

    cfg = load_config(CONFIGS / config)
    cfg.merge_from_dict(changes)
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    cfg.default_hooks.checkpoint.interval = iterations
    cfg.default_hooks.update(val_pictures=None)
    cfg.experiment_name = work_dir.name
    for name in ('train', 'val', 'test'):
        cfg[f'{name}_dataloader'].update(num_workers=0, persistent_workers=False)
    cfg.val_dataloader.dataset.num_samples = cfg.test_dataloader.dataset.num_samples = 16
    build_runner(cfg, CONFIGS / config, work_dir).train()
    return work_dir / f'iter_{iterations}.pth'


def session_with(weights: Path) -> AnnotationSession:
    """A session in memory with a model of these weights."""
    from seg.apis import load_model
    from seg.apis.annotation import AnnotationModel, AnnotationSession

    model = load_model(CONFIGS / 'sam_tiny_shapes.py', weights)
    return AnnotationSession(AnnotationModel(model, weights.parent.name))


def main() -> None:
    """Annotate, train, annotate."""
    arguments = parse_arguments(sys.argv[1:])
    root = arguments.work_dir
    exported = root / 'annotated'
    if exported.exists():
        raise UserError(f'--work-dir {root}: expected a new folder, got one with annotations')
    start = arguments.start
    if start is None:
        start = train('sam_tiny_shapes.py', root / 'start', arguments.start_iters, {})
    session = session_with(start)
    effort = annotate(session, 0, arguments.images)
    session.export('coco', exported, accepted_only=True)
    print(f'annotated {arguments.images} pictures into {exported}', flush=True)
    changes = {
        'model.init_cfg.checkpoint': str(start),
        'train_dataloader.dataset.ann_file': str(exported / 'instances.json'),
        'train_dataloader.dataset.img_dir': str(exported / 'images'),
    }
    tuned = train('sam_tiny_annotated.py', root / 'tuned', arguments.iters, changes)
    further = arguments.images, arguments.further_images
    report = {
        'first_pictures': effort.summary(),
        'further_pictures_before': annotate(session_with(start), *further).summary(),
        'further_pictures_after': annotate(session_with(tuned), *further).summary(),
    }
    for name, row in report.items():
        print(f'{name.replace("_", " ")}: {row}')
    print(json_text(report))


if __name__ == '__main__':
    run_main(main)
