"""Score prompts of several kinds about the same object, given together, on held-out Shapes.

Every object that has an expression is asked for by a click in its middle, its box, a loose mask,
the expression, and mixtures of them; then by a click alone with three candidate masks, of which
both the best-rated and the best are scored. IoU of all objects in percent.

Example:
    python tools/analysis_tools/prompt_mixtures.py --num 100 --json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    import numpy as np

    from seg.structures import Prompts

MIXTURES = (
    *('click', 'box', 'mask', 'text'),
    *('click+box', 'click+mask', 'click+text', 'box+mask', 'box+text', 'mask+text'),
    'click+box+text',
)
CANDIDATES = ('click, best-rated of 3', 'click, best of 3')


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--config', help='config of a model of your own (with --checkpoint)')
    parser.add_argument('--checkpoint', type=Path, help='weights to use with --config')
    parser.add_argument('--num', type=int, default=100, help='images (default: 100)')
    parser.add_argument('--seed', type=int, default=1, help='which validation world (default: 1)')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def main() -> None:
    """Ask, score, and print a table."""
    arguments = parse_arguments()
    if arguments.num < 1 or arguments.seed < 0:
        raise UserError(
            f'num, seed: expected --num >= 1 and --seed >= 0, got {arguments.num} and '
            f'{arguments.seed}'
        )
    import numpy as np

    from seg.apis import load_model
    from seg.apis.model_zoo import DEFAULT_MODEL
    from seg.apis.shapes_samples import check_knows_shapes

    model: Any = load_model(arguments.config or DEFAULT_MODEL, arguments.checkpoint)
    check_knows_shapes(model.dataset_meta)
    missing = {'click', 'multi_click', 'box', 'mask', 'text'} - model.prompt_kinds
    if missing:
        raise UserError(
            'config: expected a model that was trained with every kind of prompt, got one without '
            f'{", ".join(sorted(missing))}'
        )
    ious: dict[str, list[float]] = {}
    for name, iou in scores(model, arguments.num, arguments.seed):
        ious.setdefault(name, []).append(iou)
    if not ious:
        raise UserError(f'num: expected images with expressions, got none of {arguments.num}')
    rows = [
        {'prompts': name, 'IoU': round(100 * float(np.mean(values)), 2), 'objects': len(values)}
        for name, values in ious.items()
    ]
    for row in rows:
        print(f'{row["prompts"]:24s} {row["IoU"]:6.2f}   {row["objects"]} objects')
    if arguments.json:
        print(json_text(rows))


def scores(model: Any, num: int, seed: int) -> Iterator[tuple[str, float]]:
    """Name of what was asked, and the IoU of the answer."""
    import torch

    from seg.apis.shapes_samples import ShapesSamples
    from seg.evaluation.functional.clicks import mask_iou
    from seg.structures import Task

    samples = ShapesSamples(
        Task.INTERACTIVE_IMAGE, model.cfg, num, seed, prompt_features=model.prompt_kinds
    )
    for index in range(num):
        packed = samples[index]
        batch = {'inputs': [packed.inputs], 'data_samples': [packed.sample]}
        data = model.data_preprocessor(batch, False)
        (sample,) = data['data_samples']
        objects = by_object(sample)
        if not objects:
            continue
        truth = sample.gt_segments.masks[list(objects), 0].cpu().numpy()
        with torch.no_grad():
            features = model.extract_feat(data['inputs'])
            for name in MIXTURES:
                masks = answers(model, features, sample, objects, name)[:, 0]
                yield from ((name, mask_iou(*pair)) for pair in zip(masks, truth, strict=True))
            if model.head.prompt_encoder.num_candidates:
                masks = answers(model, features, sample, objects, 'click', multimask_output=True)
                for candidates, true in zip(masks, truth, strict=True):
                    each = [mask_iou(mask, true) for mask in candidates]
                    yield from zip(CANDIDATES, (each[0], max(each)), strict=True)


def by_object(sample: Any) -> dict[int, dict[str, Prompts]]:
    """Object -> kind -> its prompt, of objects that have one of every kind."""
    objects: dict[int, dict[str, Prompts]] = {}
    for row, target in enumerate(sample.prompt_targets.tolist()):
        objects.setdefault(target, {})[sample.prompt_kinds[row]] = sample.prompts[[row]]
    every = {'click', 'box', 'mask', 'text'}
    return {target: kinds for target, kinds in objects.items() if kinds.keys() >= every}


def answers(
    model: Any,
    features: Any,
    sample: Any,
    objects: dict[int, dict[str, Prompts]],
    name: str,
    **settings: bool,
) -> np.ndarray:
    """Masks of all objects for a mixture of prompts, (N, M, H, W)."""
    import torch

    from seg.structures import ClipSample, Prompts

    rows = []
    for kinds in objects.values():
        first, *others = name.split('+')
        row = kinds[first]
        for kind in others:
            row = row.with_more(kinds[kind])
        rows.append(row)
    prompts = replace(Prompts.concatenate(rows), object_ids=torch.arange(1, len(rows) + 1))
    asked = ClipSample(metainfo=sample.metainfo)
    asked.prompts = prompts
    (answered,) = model.predict_prompts(features, [asked], **settings)
    masks: np.ndarray = answered.pred_prompted.masks[:, :, 0].cpu().numpy()
    return masks


if __name__ == '__main__':
    run_main(main)
