import importlib.util
import json
import sys

import pytest

from seg.datasets.converters import WRITERS, ShapesWriter, write_shapes
from seg.datasets.converters.base import stand_ins
from seg.datasets.metainfo import BDD100K, COCO_PANOPTIC
from seg.utils.checks import UserError

TOOL = 'tools/dataset_converters/shapes_to.py'


@pytest.fixture
def tool(repository):
    spec = importlib.util.spec_from_file_location('shapes_to', repository / TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tool_offers_every_layout(tool):
    assert set(tool.FORMATS) == {*WRITERS, 'mixture'}


def test_both_splits_are_written(tool, tmp_path, monkeypatch):
    out = tmp_path / 'new'
    arguments = f'--format davis --out {out} --num 1 --num-frames 2 --size 64 80'
    monkeypatch.setattr(sys, 'argv', ['shapes_to.py', *arguments.split()])
    tool.main()
    for split in ('train', 'val'):
        (video,) = (out / f'ImageSets/2017/{split}.txt').read_text().split()
        assert len(list((out / 'JPEGImages/480p' / video).iterdir())) == 2


def test_a_folder_with_files_is_refused(tool, tmp_path, monkeypatch):
    (tmp_path / 'old.txt').write_text('')
    arguments = f'--format davis --out {tmp_path} --num 1'
    monkeypatch.setattr(sys, 'argv', ['shapes_to.py', *arguments.split()])
    with pytest.raises(UserError, match=f'out {tmp_path}: expected a new or an empty folder'):
        tool.main()


def test_the_classes_of_a_fixed_list_are_told(tool, tmp_path, monkeypatch, capsys):
    arguments = f'--format bdd100k --out {tmp_path} --num 1 --size 48 64'
    monkeypatch.setattr(sys, 'argv', ['shapes_to.py', *arguments.split()])
    tool.main()
    told = capsys.readouterr().err
    assert all(name in told for name in WRITERS['bdd100k'].classes)


def test_files_name_the_classes_asked_for(tool, tmp_path, monkeypatch, capsys):
    arguments = f'--format coco_panoptic --out {tmp_path} --num 1 --size 48 64'
    extra = ['--label-space', 'coco_panoptic']
    monkeypatch.setattr(sys, 'argv', ['shapes_to.py', *arguments.split(), *extra])
    tool.main()
    assert 'disc is person' in capsys.readouterr().err
    content = json.loads((tmp_path / 'annotations/panoptic_val2017.json').read_text())
    names = {entry['id']: entry['name'] for entry in content['categories']}
    used = {info['category_id'] for entry in content['annotations']
            for info in entry['segments_info']}  # fmt: skip
    assert len(names) == 133
    assert used <= {info.category_id for info in stand_ins(COCO_PANOPTIC)}


def test_layouts_without_a_choice_of_classes_say_so(tool, tmp_path, monkeypatch):
    arguments = f'--format vipseg --out {tmp_path} --num 1 --label-space coco_panoptic'
    monkeypatch.setattr(sys, 'argv', ['shapes_to.py', *arguments.split()])
    with pytest.raises(UserError, match='got VIPSegWriter, which has none or fixed ones'):
        tool.main()
    with pytest.raises(UserError, match='expected at least 8 things and 3 or no stuff'):
        stand_ins(BDD100K)


def test_the_mixture_takes_no_classes(tool, tmp_path, monkeypatch):
    arguments = f'--format mixture --out {tmp_path} --num 1 --seed 3'
    monkeypatch.setattr(sys, 'argv', ['shapes_to.py', *arguments.split()])
    with pytest.raises(UserError, match='expected no --label-space and no --seed'):
        tool.main()


def test_a_number_below_one_is_refused(tmp_path):
    with pytest.raises(UserError, match='num: expected 1 sample or more, got 0'):
        write_shapes(ShapesWriter, tmp_path, 0)
    with pytest.raises(UserError, match='num_frames: expected 1 frame or more, got 0'):
        write_shapes(ShapesWriter, tmp_path, 1, num_frames=0)


def test_a_mixture_with_a_mistake_leaves_nothing(tool, tmp_path, monkeypatch):
    arguments = f'--format mixture --out {tmp_path / "data"} --num 1 --num-frames 0'
    monkeypatch.setattr(sys, 'argv', ['shapes_to.py', *arguments.split()])
    with pytest.raises(UserError, match='num_frames: expected 1 frame or more'):
        tool.main()
    assert not any(path.is_file() for path in tmp_path.rglob('*'))
