"""The outline of a mask, seen through a window of its own."""

import torch

from seg.models.decoders import MaskShapeEncoder

BIG = 20.0


def _encoder() -> MaskShapeEncoder:
    """An encoder whose last layer says something."""
    encoder = MaskShapeEncoder(8, window=6)
    torch.nn.init.normal_(encoder.out_proj.weight)
    return encoder


def _boxes(*boxes: tuple[int, int, int, int], size: int = 32) -> torch.Tensor:
    """Mask logits (1, Q, 1, size, size) of rectangles xyxy."""
    logits = torch.full((1, len(boxes), 1, size, size), -BIG)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        logits[0, i, 0, y1:y2, x1:x2] = BIG
    return logits


def test_a_new_encoder_adds_nothing() -> None:
    assert not MaskShapeEncoder(8)(_boxes((4, 4, 12, 10))).any()


def test_place_does_not_matter() -> None:
    here, there = _encoder()(_boxes((4, 6, 12, 10), (14, 20, 22, 24)))[0]

    torch.testing.assert_close(here, there)


def test_size_hardly_matters() -> None:
    small, large = _encoder()(_boxes((4, 4, 12, 8), (4, 4, 28, 16)))[0]

    assert (small - large).norm() < 0.25 * large.norm()


def test_outline_matters() -> None:
    square, bar = _encoder()(_boxes((4, 4, 16, 16), (4, 4, 16, 7)))[0]

    assert (square - bar).norm() > 0.25 * square.norm()


def test_a_window_shows_the_mask_in_its_middle() -> None:
    encoder = MaskShapeEncoder(8, window=4)
    crops, visible = encoder._crop((_boxes((8, 8, 24, 24))[:, 0, 0] > 0).float())
    expected = torch.zeros(4, 4)
    expected[1:3, 1:3] = 1

    assert visible.tolist() == [1]
    torch.testing.assert_close(crops[0], expected)


def test_an_empty_mask_says_nothing() -> None:
    assert not _encoder()(torch.full((1, 2, 1, 8, 8), -BIG)).any()


def test_frames_without_the_object_do_not_count() -> None:
    encoder = _encoder()
    seen = _boxes((4, 4, 16, 12))
    clip = torch.cat([seen, torch.full_like(seen, -BIG)], dim=2)

    torch.testing.assert_close(encoder(clip), encoder(seen))


def test_masks_get_no_gradient_and_parameters_do() -> None:
    encoder, logits = _encoder(), _boxes((4, 4, 16, 12)).requires_grad_()
    encoder(logits).square().sum().backward()

    assert logits.grad is None
    assert all(p.grad.any() for p in encoder.parameters())
