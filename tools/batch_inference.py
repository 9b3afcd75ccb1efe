"""Segment a folder of images: masks, a COCO file and overlays, one image after the other.

What is done is remembered in OUTPUT/records, so that the same command goes on after a stop. Without
--boxes everything in the images is found with a grid of points.

Examples:
    python tools/batch_inference.py CONFIG CHECKPOINT photos/ outputs/photos --save json overlays
    python tools/batch_inference.py CONFIG CHECKPOINT photos/ out --boxes boxes.json
    python tools/batch_inference.py configs/sam3/C.py CHECKPOINT photos/ out --phrases dog "red car"
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.cli import run_main
from seg.utils.freed_memory import keep_freed_memory

if TYPE_CHECKING:
    import numpy as np

    from seg.visualization.layers import Layer


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the model, or the name of one of the package')
    parser.add_argument('checkpoint', type=Path, nargs='?', help='its weights')
    parser.add_argument('input', type=Path, help='an image or a folder of images')
    parser.add_argument('output', type=Path, help='folder for what is written')
    parser.add_argument(
        '--save',
        nargs='+',
        default=['masks', 'json', 'overlays'],
        choices=['masks', 'json', 'overlays'],
        help='masks: a PNG file of ids per image; json: annotations.json in COCO format; overlays: '
        'pictures (default: all)',
    )
    parser.add_argument(
        '--boxes', type=Path, help='JSON: {"photo.jpg": [[x1, y1, x2, y2], ...], ...}, pixels'
    )
    parser.add_argument(
        '--relative-boxes',
        action='store_true',
        help='--boxes holds shares of the images, in [0, 1]',
    )
    parser.add_argument(
        '--phrases', nargs='+', help='find all instances of these; for models that read phrases'
    )
    parser.add_argument('--fp16', action='store_true', help='compute in half precision')
    parser.add_argument('--points-per-side', type=int, default=32, help='of the grid (default: 32)')
    parser.add_argument(
        '--min-iou',
        type=float,
        help="smallest predicted IoU (default: 0.5), or of --phrases smallest score (the model's)",
    )
    parser.add_argument(
        '--min-stability',
        type=float,
        default=0.95,
        help='of the grid: smallest IoU of a mask with itself at moved thresholds (default: 0.95)',
    )
    parser.add_argument('--device', help='such as cpu or cuda:0; by default the GPU if any')
    parser.add_argument('--overwrite', action='store_true', help='begin anew')
    return parser.parse_args()


def read_boxes(path: Path, names: list[str], relative: bool = False) -> dict[str, Any]:
    """Boxes by file name; every one has to name an image of the input.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is no such JSON, names other images, or holds something else than boxes.
    """
    from seg.utils.checks import UserError, unknown_name_message

    if not path.is_file():
        raise FileNotFoundError(f'--boxes {path}: expected a JSON file, found nothing there')
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f'--boxes {path}: expected JSON, got: {error}') from None
    if not isinstance(content, dict):
        raise UserError(f'--boxes {path}: expected an object of lists of boxes by file name')
    for name, boxes in content.items():
        if name not in names:
            raise UserError(f'--boxes {path}: {unknown_name_message("image", name, names[:20])}')
        if not isinstance(boxes, list) or not all(is_box(box, relative) for box in boxes):
            unit = 'shares of the image, in [0, 1]' if relative else 'pixels'
            raise UserError(
                f'--boxes {path}: expected a list of boxes [x1, y1, x2, y2] for {name}, {unit}, '
                f'with x1 < x2 and y1 < y2, got {boxes!r:.80}'
            )
    return content


def is_box(box: Any, relative: bool) -> bool:
    """Whether a value of JSON is a box xyxy, in pixels or as shares of the image."""
    if not isinstance(box, list) or [type(x) in (int, float) for x in box] != [True] * 4:
        return False
    x1, y1, x2, y2 = box
    return x1 < x2 and y1 < y2 and (not relative or (min(box) >= 0 and max(box) <= 1))


def as_dict(mask: np.ndarray, score: float, category: int = 0) -> dict[str, Any]:
    """A mask as an automatic mask generator describes it."""
    import numpy as np
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    area, box = int(coco_mask.area(code)), coco_mask.toBbox(code).tolist()
    code['counts'] = code['counts'].decode()
    return dict(
        segmentation=code,
        area=area,
        bbox=box,
        predicted_iou=score,
        stability_score=1.0,
        category=category,
    )


def segment(model: Any, image: np.ndarray, boxes: Any, args: argparse.Namespace) -> list[Any]:
    """Masks of one image, as dicts of an automatic mask generator."""
    from seg.apis import AutomaticMaskGenerator, ImagePredictor

    if args.phrases:
        least = args.min_iou or 0.0
        finder = ImagePredictor(model, least)
        finder.set_image(image)
        seen = finder.find(args.phrases)
        rows = zip(seen.masks, seen.scores.tolist(), seen.rows.tolist(), strict=True)
        return [as_dict(mask, score, row) for mask, score, row in rows if score >= least]
    least = 0.5 if args.min_iou is None else args.min_iou
    if boxes is None:
        generator = AutomaticMaskGenerator(
            model,
            points_per_side=args.points_per_side,
            pred_iou_thresh=least,
            stability_score_thresh=args.min_stability,
            output_mode='coco_rle',
        )
        return generator.generate(image)
    if not boxes:
        return []
    predictor = ImagePredictor(model, least)
    predictor.set_image(image)
    kind = 'relative_boxes' if args.relative_boxes else 'boxes'
    found = predictor.predict(**{kind: boxes})
    pairs = zip(found.masks[:, 0], found.iou_scores[:, 0].tolist(), strict=True)
    return [as_dict(mask, score) for mask, score in pairs]


def write_results(image: np.ndarray, masks: list[Any], stem: str, args: argparse.Namespace) -> None:
    """The mask file and the overlay of one image."""
    import numpy as np
    from PIL import Image
    from pycocotools import mask as coco_mask

    from seg.apis.demo_tasks.everything import map_of
    from seg.visualization import SegmentVisualizer, write_picture

    drawn = [coco_mask.decode(mask['segmentation']).astype(bool) for mask in masks]
    found = map_of(drawn, image)
    if 'masks' in args.save:
        folder = args.output / 'masks'
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found.segment_map[0].numpy().astype(np.uint16)).save(folder / f'{stem}.png')
    if 'overlays' in args.save:
        visualizer = SegmentVisualizer()
        if args.phrases:
            picture = visualizer.draw_layers(image, phrase_layers(drawn, masks, args.phrases))
        else:
            picture = visualizer.draw_panoptic(image, found, ['object'])
        write_picture(args.output / 'overlays' / f'{stem}.png', picture)


def phrase_layers(drawn: list[np.ndarray], masks: list[Any], phrases: list[str]) -> list[Layer]:
    """Instances for a picture, called by the phrases that they answer."""
    import numpy as np
    import torch
    from mmengine.structures import InstanceData

    from seg.visualization.layers import instance_layers

    if not masks:
        return []
    instances = InstanceData(
        masks=torch.from_numpy(np.stack(drawn)[:, None]),
        scores=torch.tensor([mask['predicted_iou'] for mask in masks]),
        labels=torch.tensor([mask['category'] for mask in masks]),
    )
    return instance_layers(instances, phrases)


def write_coco(records: list[Path], output: Path, names: list[str]) -> int:
    """Join the records into one file; returns the number of annotations."""
    from seg.apis.automatic_masks import coco_annotations
    from seg.utils.atomic_write import write_bytes_atomically

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, path in enumerate(records, start=1):
        record = json.loads(path.read_bytes())
        images.append({'id': image_id, **record['image']})
        masks = record['masks']
        found = coco_annotations(masks, image_id, len(annotations) + 1)
        for annotation, mask in zip(found, masks, strict=True):
            annotation['category_id'] = 1 + mask.get('category', 0)
            annotation['score'] = mask['predicted_iou']
        annotations += found
    categories = [{'id': i, 'name': name} for i, name in enumerate(names, start=1)]
    content = dict(images=images, annotations=annotations, categories=categories)
    write_bytes_atomically(output / 'annotations.json', json.dumps(content).encode())
    return len(annotations)


def check_same_phrases(record: Path, phrases: list[str] | None) -> None:
    """Make sure that what was done before answers the same question.

    Raises:
        UserError: If it does not.
    """
    from seg.utils.checks import UserError

    before = json.loads(record.read_bytes()).get('phrases')
    if before != phrases:
        raise UserError(
            f'{record}: expected what was found for {phrases}, got that for {before}; use another '
            'output folder, or --overwrite'
        )


def main() -> None:
    """Segment what is not done yet."""
    args = parse_arguments()
    keep_freed_memory()
    import torch
    from rich.console import Console
    from rich.progress import track

    from seg.apis import load_model
    from seg.apis.image_sources import list_sources
    from seg.datasets.imaging import read_image
    from seg.utils.atomic_write import write_bytes_atomically
    from seg.utils.checks import UserError

    sources = [path for path in list_sources(args.input) if isinstance(path, Path)]
    boxes = None
    if args.boxes is not None:
        boxes = read_boxes(args.boxes, [path.name for path in sources], args.relative_boxes)
    if args.phrases and boxes is not None:
        raise UserError('--phrases: expected no --boxes beside them, got both; give one kind')
    model = load_model(args.config, args.checkpoint, args.device)
    kind = next(model.parameters()).device.type
    autocast = torch.autocast(kind, torch.float16, enabled=args.fp16)
    (args.output / 'records').mkdir(parents=True, exist_ok=True)
    records = [args.output / 'records' / f'{path.name}.json' for path in sources]
    console = Console(stderr=True)
    done = 0
    for path, record in track(list(zip(sources, records, strict=True)), 'images', console=console):
        if record.is_file() and not args.overwrite:
            check_same_phrases(record, args.phrases)
            done += 1
            continue
        image = read_image(path, exif=True)
        shown = None if boxes is None else boxes.get(path.name, [])
        with autocast:
            masks = segment(model, image, shown, args)
        write_results(image, masks, path.name.replace('.', '_'), args)
        about = {'file_name': path.name, 'height': image.shape[0], 'width': image.shape[1]}
        content = json.dumps({'image': about, 'masks': masks, 'phrases': args.phrases})
        write_bytes_atomically(record, content.encode())
    names = args.phrases or ['object']
    count = write_coco(records, args.output, names) if 'json' in args.save else None
    summary = {'images': len(sources), 'done_before': done, 'annotations': count}
    print(json.dumps(summary))


if __name__ == '__main__':
    run_main(main)
