"""Sine codes and pixel coordinates."""

import math

import torch

from seg.models.prompts.positional import sine_encoding, sine_grid


def test_sine_code_equals_the_formula_channel_by_channel():
    coords = torch.tensor([0.25, 0.8])
    code = sine_encoding(coords, num_feats=6)

    assert code.shape == (12,)
    for d, value in enumerate(coords.tolist()):
        for i in range(6):
            phase = 2 * math.pi * value / 10000 ** (2 * (i // 2) / 6)
            expected = math.cos(phase) if i % 2 else math.sin(phase)
            torch.testing.assert_close(code[6 * d + i], torch.tensor(expected))


def test_sine_code_keeps_leading_axes():
    assert sine_encoding(torch.rand(2, 3, 4), num_feats=8).shape == (2, 3, 32)


def test_sine_grid_codes_pixel_centres_row_by_row():
    grid = sine_grid(2, 3, 8, torch.device('cpu'))

    torch.testing.assert_close(grid[4], sine_encoding(torch.tensor([0.75, 0.5]), 4))
