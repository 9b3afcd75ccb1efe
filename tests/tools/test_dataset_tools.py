import json

import cv2
import numpy as np
import pytest
from PIL import Image

CONFIG = """
from mmengine.dataset import DefaultSampler

from seg.datasets import CocoPanopticDataset, MixedDataset, ShapesDataset
from seg.datasets.transforms import ClipFlip, InteriorClickPrompts, PackClip

coco = dict(
    type=CocoPanopticDataset,
    ann_file={root!r} + '/ann.json',
    img_dir={root!r},
    seg_dir={root!r},
    task='panoptic',
    pipeline=[dict(type=ClipFlip), dict(type=PackClip)],
)
shapes = dict(
    type=ShapesDataset,
    task='interactive_image',
    num_samples=3,
    pipeline=[dict(type=InteriorClickPrompts), dict(type=PackClip)],
)
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(type=MixedDataset, sources=dict(shapes=shapes)),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=coco,
)
test_dataloader = val_dataloader
"""


@pytest.fixture
def config(tmp_path):
    """Config of Shapes and of a data set of one image, whose PNG has an id that is not listed."""
    pixels = np.full((40, 50, 3), 90, np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'one.jpg')
    pixels[..., 1:] = 0
    pixels[:5, :, 0] = 91
    Image.fromarray(pixels).save(tmp_path / 'one.png')
    content = {
        'images': [{'id': 1, 'file_name': 'one.jpg', 'height': 40, 'width': 50}],
        'annotations': [
            {
                'image_id': 1,
                'file_name': 'one.png',
                'segments_info': [{'id': 90, 'category_id': 7}],
            }
        ],
        'categories': [{'id': 7, 'name': 'lawn', 'isthing': 0}],
    }
    (tmp_path / 'ann.json').write_text(json.dumps(content))
    (tmp_path / 'config.py').write_text(CONFIG.format(root=str(tmp_path)))
    return tmp_path / 'config.py'


def test_faults_are_printed_and_written(run_tool, config, tmp_path):
    out = tmp_path / 'report.json'
    arguments = (config, '--json', '--out', out, '--workers', 1)
    code, text, _ = run_tool('analysis_tools/check_dataset', *arguments)
    assert code == 1
    lines = text.splitlines()
    report = json.loads(lines[-1])
    assert lines[0].startswith(f'[val] unlisted_id: {tmp_path / "one.png"}: expected')
    assert report['counts'] == {'unlisted_id': 1}
    assert report['samples'] == {'train/shapes': 3, 'val': 1}  # test has the files of val
    assert report['faults'][0]['file'] == str(tmp_path / 'one.png')
    assert json.loads(out.read_text()) == report


def test_a_whole_split_has_no_fault(run_tool, config):
    arguments = (config, '--split', 'train', '--workers', 0, '--max-samples', 2)
    code, text, errors = run_tool('analysis_tools/check_dataset', *arguments)
    assert (code, text) == (0, '')
    assert '0 faults (none) in 2 of train/shapes' in errors


def test_samples_are_drawn_with_a_sheet(run_tool, config, tmp_path):
    out = tmp_path / 'pictures'
    arguments = (config, '--num', 2, '--out-dir', out, '--shuffle', '--seed', 3)
    assert run_tool('analysis_tools/browse_dataset', *arguments)[0] == 0
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 3
    assert names[0] == 'sheet.jpg'
    sheet, picture = (cv2.imread(str(out / name)) for name in names[:2])
    assert sheet.shape[1] > 2 * picture.shape[1] > 600


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('check_dataset', ['no.py', '--workers', '-1']),
        ('browse_dataset', ['no.py', '--num', '0']),
    ],
)
def test_mistakes_of_dataset_tools_are_one_line(run_tool, tool, arguments):
    code, _, errors = run_tool(f'analysis_tools/{tool}', *arguments)
    assert code == 2
    assert errors.startswith('error: ')
    assert errors.count('\n') == 1
