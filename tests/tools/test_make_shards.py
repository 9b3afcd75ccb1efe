import json

import numpy as np
from PIL import Image

from seg.datasets import ShardDataset


def write_folder(folder, num=3):
    folder.mkdir()
    for index in range(num):
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(folder / f'sa_{index}.jpg')
        image = {'image_id': index, 'height': 8, 'width': 9}
        text = json.dumps({'image': image, 'annotations': []})
        (folder / f'sa_{index}.json').write_text(text)


def test_folder_to_shards_and_index(run_tool, tmp_path):
    write_folder(tmp_path / 'in')
    out = tmp_path / 'out'
    code, text, _ = run_tool('dataset_converters/make_shards', tmp_path / 'in', '--out', out)
    made = json.loads(text.splitlines()[-1])
    assert (code, made['samples'], made['shards']) == (0, 3, 1)
    (out / 'shards.index').unlink()
    code, text, _ = run_tool('dataset_converters/index_shards', out)
    assert (code, json.loads(text.splitlines()[-1])['samples']) == (0, 3)
    assert (out / 'shards.index').is_file()
    assert len(ShardDataset(out, 'interactive_image', [])) == 3


def test_mistakes_are_one_line(run_tool, tmp_path):
    code, text, error = run_tool(
        'dataset_converters/make_shards', tmp_path / 'no', '--out', tmp_path / 'out'
    )
    assert (code, text) == (2, '')
    assert error.startswith(f'error: {tmp_path / "no"}: expected')
    assert error.count('\n') == 1
    assert not (tmp_path / 'out').exists()
