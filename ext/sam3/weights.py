"""Files that weights of SAM 3 come in."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from seg.utils.checks import UserError

WHERE = (
    'for the published weights ask for access at https://huggingface.co/facebook/sam3 (SAM '
    'License) and give the path of model.safetensors'
)
"""How to get the published weights, which nobody else may hand out under other terms."""

_DETECTOR = 'detector_model.'
_TRACKER = ('tracker_model.', 'tracker_neck.')
_ORIGINAL = ('detector.', 'backbone.vision_backbone.', 'tracker.')


def image_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The weights of the image model from a file of it, or of the video model around it.

    The published file holds the video model: the image model under ``detector_model.`` and a
    tracker, which is left out.

    Args:
        state: Tensors by name.
        source: What to call the file in errors.

    Raises:
        UserError: If it holds a tracker alone, or has the names of the original program.
    """
    detector = {
        name.removeprefix(_DETECTOR): value
        for name, value in state.items()
        if name.startswith(_DETECTOR)
    }
    if detector:
        return detector
    if any(name.startswith(_TRACKER) for name in state):
        raise UserError(
            f'{source}: expected the image model of SAM 3, got the tracker of the video model '
            f'alone; {WHERE}'
        )
    if any(name.startswith(_ORIGINAL) for name in state):
        raise UserError(
            f"{source}: expected the names of transformers' Sam3Model, got those of the original "
            f'sam3.pt (video or image model); use the converted file instead: {WHERE}'
        )
    return dict(state)
