"""The benchmark tool on small frames."""

import json

import pytest

NANO = 'configs/rap_sam/rap_sam_nano_quick_shapes.py'
VIDEO = 'configs/rap_sam/rap_sam_nano_shapes.py'


@pytest.fixture
def run(run_tool, repository):
    def run_on(config, *arguments):
        return run_tool('analysis_tools/benchmark', repository / config, *arguments)

    return run_on


def test_a_report_of_two_numbers_of_segments(run, tmp_path):
    small = ('--size', '40x70', '--frames', '1', '--threads', '1', '--json')
    code, out, err = run(NANO, *small, '--objects', '2', '5', '--out', tmp_path)

    assert code == 0, err
    report = json.loads(out.splitlines()[-1])
    assert [row['name'] for row in report['results']] == [
        'RapSAM, 2 segments',
        'RapSAM, 5 segments',
    ]
    assert report['fused']
    assert not report['compiled']
    assert (tmp_path / 'report.png').stat().st_size > 1000


def test_objects_can_be_followed_in_16_bits(run):
    small = ('--size', '64x96', '--frames', '1', '--threads', '1', '--json')
    settings = ('--task', 'vos', '--dtype', 'bf16', '--objects', '1', '--compare', 'panoptic')
    always_sure = ('--cfg-options', 'model.head.dual_path.certain=1e-9')
    code, out, err = run(VIDEO, *small, *settings, *always_sure)

    assert code == 0, err
    report = json.loads(out.splitlines()[-1])
    followed, again, panoptic = report['results']
    assert followed['name'] == 'RapSAM, 1 objects'
    assert again['name'] == 'RapSAM, 1 objects, all found anew'
    assert again['gflops'] > followed['gflops']
    assert followed['found'] <= 1
    names = [row['name'] for row in report['results']]
    assert [row['name'] for row in report['in_turns']] == names
    assert all(row['cpu_seconds'] > 0 for row in report['in_turns'])
    assert '| in turns |' in out
    assert followed['gflops'] > 0
    assert panoptic['name'] == 'RapSAM, 16 segments'


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('--task', 'vos'), 'streaming memory'),
        (('--task', 'vos', '--batch', '2'), '--batch: expected 1'),
        (('--dtype', 'fp16'), 'use bf16'),
        (('--allow-fallback',), '--compile'),
        (('--batch', '2', '--compare', 'sam2_tiny'), '--batch: expected 1 beside --compare'),
        (('--int8', '--dtype', 'bf16'), '--int8: expected --dtype fp32 on a CPU, got bf16'),
        (('--int8', '--device', 'cuda:0'), '--int8: expected --dtype fp32 on a CPU'),
        (('--int8', '--compile'), '--int8: expected it without --compile'),
        (('--objects', '500'), '--objects: expected at most'),
        (('--graph',), '--graph: expected --device cuda:0 beside it, got cpu'),
        (('--graph', '--compile', '--device', 'cuda:0'), '--graph: expected it without --compile'),
        (('--size', '40'), 'HxW'),
        (('--size', '1x1'), 'expected at least 32x32, got 1x1'),
        (('--threads', '100000'), 'threads on this CPU, got 100000'),
        (('--cfg-options', 'model.head.num_queries=-4'), 'look at --cfg-options'),
        (('--out', '/proc/x'), 'may not be'),
        (('--size', '²x32'), 'HxW'),
        (('--out', __file__), 'is no folder'),
        (('--objects', '0'), '>= 1'),
        (
            ('--size', '33x65', '--task', 'interactive_image', '--objects', '300'),
            'objects: expected at most 121 on frames of 33x65, got 300',
        ),
        (('--compare', 'reference'), 'published parts'),
        (('--device', 'nowhere'), 'device'),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(run, arguments, said):
    code, _, err = run(NANO, '--frames', '1', *arguments)

    assert code == 2
    assert said in err.splitlines()[-1]


def test_the_config_of_another_model(run):
    code, _, err = run('configs/sam/sam_tiny_shapes.py')

    assert code == 2
    assert 'expected the config of a RapSAM' in err
