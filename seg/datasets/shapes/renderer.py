"""From a scene and its motion to layers of coverage, and from layers to pixels."""

from __future__ import annotations

import cv2
import numpy as np

from seg.datasets.shapes.motion import Play
from seg.datasets.shapes.outlines import OUTLINES, Coverage, cover
from seg.datasets.shapes.palette import COLOR_NAMES
from seg.datasets.shapes.scene import STILL_CAMERA, Form, Layers, Scene, rotation
from seg.datasets.shapes.textures import expose, paint

EDGE_SHADE = 0.5
"""How much darker a thing is at its very edge, so that twins that overlap can be told apart."""

EDGE_LIGHT = 1.2
"""How much lighter a black thing is there instead."""


def lay_out(scene: Scene, play: Play, frame_index: int) -> Layers:
    """Rasterise all regions and things of one frame."""
    size = scene.size
    camera = play.camera.at(frame_index, size) if play.camera else STILL_CAMERA
    owner = np.full(size, len(play.things), np.int32)
    stuff: list[Coverage | None] = []
    for index, region in enumerate(scene.stuff):
        covered = None
        if region.border is not None:
            covered = cover(_seen(region.border, camera), (), size)
            if covered is not None:
                covered.window(owner)[covered.mask] = len(play.things) + index
        stuff.append(covered)
    forms, things = [], []
    for index, (thing, motion) in enumerate(zip(play.things, play.motions, strict=True)):
        form = motion.at(thing.form, frame_index)
        covered = cover(_seen(form.points(), camera), OUTLINES[form.label].splits, size)
        if covered is not None:
            covered.window(owner)[covered.mask] = index
        forms.append(form)
        things.append(covered)
    return Layers(camera, forms, stuff, things, owner)


def paint_frame(scene: Scene, play: Play, layers: Layers, frame_index: int) -> np.ndarray:
    """Paint one frame back to front, (H, W, 3), uint8."""
    height, width = scene.size
    to_world = cv2.invertAffineTransform(layers.camera)
    canvas = np.empty((3, height, width), np.float32)
    for region, covered in zip(scene.stuff, layers.stuff, strict=True):
        if region.border is None:
            canvas[:] = paint(region.fill, to_world, 0, 0, scene.size)
        elif covered is not None:
            colors = paint(region.fill, to_world, covered.top, covered.left, covered.alpha.shape)
            _blend(canvas, covered, colors)
    for thing, form, covered in zip(play.things, layers.forms, layers.things, strict=True):
        if covered is None:
            continue
        carrier = _to_carrier(form, thing.form.radius, to_world)
        colors = paint(thing.fill, carrier, covered.top, covered.left, covered.alpha.shape)
        strength = -EDGE_LIGHT if COLOR_NAMES[thing.fill.color] == 'black' else EDGE_SHADE
        _blend(canvas, covered, colors * _edge_shade(covered.alpha, strength))
    return expose(canvas, scene.look, frame_index)


def _seen(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    return points if camera is STILL_CAMERA else points @ camera[:, :2].T + camera[:, 2]


def _to_carrier(form: Form, first_radius: float, to_world: np.ndarray) -> np.ndarray:
    """Map of frame coordinates to those of a thing, which turn and grow with it, (2, 3)."""
    linear = rotation(-form.angle) * (first_radius / form.radius)
    matrix = linear @ to_world
    matrix[:, 2] -= linear @ form.center
    return matrix


def _edge_shade(alpha: np.ndarray, strength: float) -> np.ndarray:
    """Factor of a thing's colours, 1 less ``strength`` at its edge and 1 inside, (h, w)."""
    inner = cv2.blur(alpha, (3, 3), borderType=cv2.BORDER_REPLICATE).astype(np.float32)
    inner -= 127.5
    shade = np.maximum(inner, 0, out=inner)
    shade *= strength / 127.5
    shade += 1 - strength
    return shade


def _blend(canvas: np.ndarray, covered: Coverage, colors: np.ndarray) -> None:
    height, width = covered.alpha.shape
    window = canvas[:, covered.top : covered.top + height, covered.left : covered.left + width]
    share = covered.alpha * np.float32(1 / 255)
    window += (colors - window) * share
