"""Costs of SAM 3's sizes, the tables made of them, and one measured run."""

import importlib.util

import pytest

from ext.sam3 import SAM3_VARIANTS
from seg.benchmark.sam3_costs import Sam3Costs, costs_of
from seg.benchmark.sam3_tables import claim_table, replace_tables, size_table
from seg.utils.checks import UserError

needs_host = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)
STANDARD = Sam3Costs(840_376_374, 486_651_702, 5611.0, 247.0, 19.4)
LITE = Sam3Costs(573_763_062, 220_038_390, 2642.0, 212.0, 19.4)


@needs_host
def test_counts_of_a_small_size():
    costs = costs_of('tiny')
    variant = SAM3_VARIANTS['tiny']

    patches = 2 * variant.grid**2 * 3 * variant.patch_size**2 * variant.vit_dim
    assert costs.parameters == 3_940_132
    assert costs.vision_gflop * 1e9 > patches
    assert costs.phrase_gflop > 0
    assert costs.without_text < costs.parameters


def test_sizes_follow_from_parameters():
    assert round(LITE.half_gb, 2) == 1.15
    assert round(LITE.half_gb_without_text, 2) == 0.44
    assert round(LITE.state_gb, 1) == 9.2
    assert round(LITE.state_gb_without_text, 1) == 3.5
    assert round(STANDARD.checkpoint_gb, 1) == 10.1
    assert STANDARD.gflop(20) == 5611 + 20 * 247


def test_tables_hold_the_figures():
    table = size_table({'lite': LITE})
    claims = claim_table(dict(standard=STANDARD, lite=LITE, smaller=LITE, larger=STANDARD))

    assert '| `lite` | 573,763,062 | 2.30 / 1.15 | 0.88 / 0.44 | 9.2 / 4.9 | 6.9 |' in table
    assert '32 % smaller' in claims.replace('32%', '32 %')
    assert '2.05 times fewer operations with one phrase' in claims


def test_the_page_has_the_tables_of_these_sizes(repository):
    """Parameters, bytes and claims of the page, which counting writes."""
    page = (repository / 'docs/sam3.md').read_text()

    assert '| `standard` | 840,376,374 | 3.36 / 1.68 |' in page
    for line in size_table({'lite': LITE}).splitlines()[2:]:
        assert line.rsplit('|', 3)[0] in page


def test_tables_are_replaced_in_place(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('before\n<!-- sizes -->\nold\n<!-- end -->\nafter\n<!-- end -->\n')
    replace_tables(page, {'sizes': 'new'})

    assert page.read_text() == 'before\n<!-- sizes -->\nnew\n<!-- end -->\nafter\n<!-- end -->\n'
    with pytest.raises(UserError, match='expected <!-- claims -->'):
        replace_tables(page, {'claims': 'new'})


@needs_host
def test_a_size_is_timed():
    from seg.benchmark.sam3_timing import time_sam3

    found = time_sam3('tiny', dtype='bfloat16', phrases=[1, 3], drop_text_encoder=True)
    assert set(found['seconds']) == {'image', 'phrases_1', 'phrases_3'}
    assert found['peak_gb'] > 0
    assert found['parameters'] < 3_940_132
    with pytest.raises(UserError, match='--phrases: expected whole numbers'):
        time_sam3('tiny', phrases=[0])
    with pytest.raises(UserError, match="device 'cuda:99': expected one that this machine has"):
        time_sam3('tiny', device='cuda:99')
