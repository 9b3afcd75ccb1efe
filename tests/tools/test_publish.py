"""The publishing tool writes a folder that loads, and says in a line what it lacks."""

import json

TOOL = 'model_converters/publish'
SAID = ['--name', 'Nano', '--data', 'Shapes', '--licence', 'Apache-2.0']


def test_a_model_of_the_package_is_published(run_tool, tmp_path):
    figures = tmp_path / 'metrics.json'
    figures.write_text('{"coco/PQ": 66.8}')
    out = tmp_path / 'nano'
    code, output, errors = run_tool(
        TOOL, 'rap_sam_nano_shapes', out, *SAID, '--half', '--figures', figures, '--figures-of', 'x'
    )

    assert code == 0, errors
    sizes = json.loads(output.splitlines()[-1])
    assert set(sizes) == {'README.md', 'config.json', 'model.safetensors'}
    assert sizes['model.safetensors'] == (out / 'model.safetensors').stat().st_size
    assert '| coco/PQ | 66.8 |' in (out / 'README.md').read_text()


def test_figures_that_are_none_are_refused(run_tool, tmp_path):
    figures = tmp_path / 'metrics.json'
    figures.write_text('[]')
    code, _, errors = run_tool(
        TOOL, 'rap_sam_nano_shapes', tmp_path / 'nano', *SAID, '--figures', figures
    )

    assert code == 2 and 'expected names of metrics with values' in errors
    assert not (tmp_path / 'nano').exists()


def test_an_unknown_model_is_one_line(run_tool, tmp_path):
    code, _, errors = run_tool(TOOL, 'rap_sam_mega', tmp_path / 'nano', *SAID)

    assert code == 2
    assert errors.startswith('error: unknown model') and len(errors.splitlines()) == 1
