"""How hard Shapes is: its statistics beside the targets of its definition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from seg.datasets.shapes.expressions import SHAPES_VOCABULARY
from seg.datasets.shapes.motion import EVENT_FRAMES
from seg.datasets.shapes.palette import COLOR_NAMES, SHAPES_THINGS
from seg.datasets.shapes.sample import ShapesAnnotations, find_occlusions
from seg.datasets.shapes.scene import MIN_VISIBLE
from seg.datasets.shapes.textures import TEXTURES
from seg.datasets.shapes.world import ShapesWorld

IMAGES_PER_CLIP = 20
"""Images that are measured for each clip."""

TARGETS: dict[str, tuple[float, float]] = {
    'fewest_things': (3, 8),
    'most_things': (3, 8),
    'smallest_visible_area': (MIN_VISIBLE, np.inf),
    'things_losing_a_fifth': (0.30, 1),
    'images_with_class_twins': (0.50, 1),
    'images_with_class_and_color_twins': (0.25, 1),
    'class_color_association': (0, 0.06),
    'class_texture_association': (0, 0.06),
    'class_size_association': (0, 0.06),
    'images_blurred': (0.2, 0.6),
    'noise_spread': (1, np.inf),
    'brightness_spread': (5, np.inf),
    'contrast_spread': (0.05, np.inf),
    'things_with_expression': (0.9, 1),
    'expressions_needing_more_than_class': (0.40, 1),
    'vocabulary_used': (1, 1),
    'clips_with_full_occlusion': (0.20, 1),
    'clips_with_crossing': (0.3, 1),
    'clips_with_entering': (0.2, 1),
    'clips_with_leaving': (0.2, 1),
    'clips_with_moving_camera': (0.23, 0.43),
}
"""Least and greatest wanted value of each statistic; shares are fractions."""


def shapes_statistics(world: ShapesWorld, num_samples: int) -> dict[str, dict[str, Any]]:
    """Measure images 0..num_samples - 1 of a world, and one clip of 24 frames for 20 of them.

    Args:
        world: The world.
        num_samples: Number of images, >= 1; shares settle from about 1,000 on.

    Returns:
        For each statistic its ``value``, the ``target`` in words and whether it is ``met``.

    Raises:
        ValueError: If there are no samples.
    """
    if num_samples < 1:
        raise ValueError(f'num_samples: expected an integer >= 1, got {num_samples}')
    images = [_image_facts(world.annotations(index, 1)) for index in range(num_samples)]
    num_clips = -(-num_samples // IMAGES_PER_CLIP)
    clips = [_clip_facts(world.annotations(i, EVENT_FRAMES)) for i in range(num_clips)]
    measured = _summarize_images(images)
    measured |= {name: float(np.mean([clip[name] for clip in clips])) for name in clips[0]}
    return {name: _beside_target(name, measured[name]) for name in TARGETS}


def _beside_target(name: str, value: float) -> dict[str, Any]:
    low, high = TARGETS[name]
    words = f'{low:g} to {high:g}' if np.isfinite(high) else f'>= {low:g}'
    return {'value': value, 'target': words, 'met': bool(low <= value <= high)}


def _image_facts(sample: ShapesAnnotations) -> dict[str, Any]:
    """What the statistics need to know about one image."""
    num_things = int(sample.is_thing.sum())
    labels = sample.labels[:num_things].tolist()
    kinds = Counter(labels)
    lost = 1 - sample.visible_areas[:num_things, 0] / sample.full_areas[:num_things, 0]
    return {
        'labels': labels,
        'colors': [COLOR_NAMES.index(name) for name in sample.colors[:num_things]],
        'textures': [TEXTURES.index(name) for name in sample.textures[:num_things]],
        'radii': sample.radii[:num_things].tolist(),
        'lost': lost.tolist(),
        'smallest': int(sample.visible_areas.min()),
        'named': [words is not None for words in sample.expressions[:num_things]],
        'ambiguous': [kinds[label] > 1 for label in labels],
        'words': {w for words in sample.expressions if words for w in words.split()},
        'look': sample.look,
    }


def _summarize_images(images: Sequence[dict[str, Any]]) -> dict[str, float]:
    def joined(key: str) -> np.ndarray:
        return np.concatenate([np.asarray(image[key]) for image in images])

    counts = [len(image['labels']) for image in images]
    pairs = [list(zip(image['labels'], image['colors'], strict=True)) for image in images]
    labels, radii, named = joined('labels'), joined('radii'), joined('named')
    sizes = np.searchsorted(np.quantile(radii, [0.25, 0.5, 0.75]), radii)
    looks = [image['look'] for image in images]
    return {
        'fewest_things': min(counts),
        'most_things': max(counts),
        'smallest_visible_area': min(image['smallest'] for image in images),
        'things_losing_a_fifth': float(np.mean(joined('lost') >= 0.2)),
        'images_with_class_twins': float(
            np.mean([len(set(image['labels'])) < len(image['labels']) for image in images])
        ),
        'images_with_class_and_color_twins': float(
            np.mean([len(set(pair)) < len(pair) for pair in pairs])
        ),
        'class_color_association': _association(labels, joined('colors'), len(COLOR_NAMES)),
        'class_texture_association': _association(labels, joined('textures'), len(TEXTURES)),
        'class_size_association': _association(labels, sizes, 4),
        'images_blurred': float(np.mean([look.blur > 0 for look in looks])),
        'noise_spread': float(np.std([look.noise for look in looks])),
        'brightness_spread': float(np.std([look.brightness for look in looks])),
        'contrast_spread': float(np.std([look.contrast for look in looks])),
        'things_with_expression': float(named.mean()),
        'expressions_needing_more_than_class': float(joined('ambiguous')[named].mean()),
        'vocabulary_used': len(set().union(*(image['words'] for image in images)))
        / len(SHAPES_VOCABULARY),
    }


def _association(labels: np.ndarray, others: np.ndarray, num_others: int) -> float:
    """Cramer's V with the bias of small samples removed: 0 independent, 1 determined."""
    num_labels, total = len(SHAPES_THINGS), len(labels)
    table = np.bincount(labels * num_others + others, minlength=num_labels * num_others)
    table = table.reshape(num_labels, num_others).astype(np.float64)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / total
    chi2 = ((table - expected) ** 2 / np.maximum(expected, 1e-12)).sum()
    excess = max(0.0, chi2 / total - (num_labels - 1) * (num_others - 1) / max(total - 1, 1))
    return float(np.sqrt(excess / (min(num_labels, num_others) - 1)))


def _clip_facts(sample: ShapesAnnotations) -> dict[str, bool]:
    """Which of the events of the definition happen in a clip."""
    things = sample.is_thing
    visible, inside = sample.visible_areas[things], sample.inside_areas[things]
    hidden_share = 1 - visible / np.maximum(inside, 1)
    present = inside >= MIN_VISIBLE
    covered = ((hidden_share >= 0.2) & present).any(axis=1)
    free = ((hidden_share < 0.05) & present).any(axis=1)
    return {
        'clips_with_full_occlusion': bool(find_occlusions(visible, inside)),
        'clips_with_crossing': bool((covered & free).any()),
        'clips_with_entering': bool((inside[:, 0] == 0).any()),
        'clips_with_leaving': bool((inside[:, -1] == 0).any()),
        'clips_with_moving_camera': sample.camera_moves,
    }
