"""What starts the annotation page."""

import argparse
import importlib.util
import re
import subprocess
import sys
import time
import urllib.request

import pytest

from seg.utils.checks import UserError


@pytest.fixture(scope='module')
def annotate():
    from pathlib import Path

    path = Path(__file__).resolve().parents[2] / 'demo/annotate.py'
    spec = importlib.util.spec_from_file_location('demo_annotate', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(annotate, tmp_path, *flags):
    pytest.importorskip('starlette', reason="the extra webui: pip install 'rapsam[webui]'")
    return annotate.make_settings(
        annotate.parse_arguments(['--work-dir', str(tmp_path / 'work'), *flags])
    )


def test_only_this_machine_without_a_token(annotate, tmp_path, monkeypatch):
    monkeypatch.delenv('RAPSAM_ANNOTATE_TOKEN', raising=False)
    made = settings(annotate, tmp_path)
    assert (made.host, made.token) == ('127.0.0.1', None)
    assert next(iter(made.models)) == 'rap_sam_nano_shapes'
    assert made.roots == {}


def test_other_addresses_get_a_token(annotate, tmp_path, monkeypatch):
    monkeypatch.delenv('RAPSAM_ANNOTATE_TOKEN', raising=False)
    tokens = {settings(annotate, tmp_path, '--host', '0.0.0.0').token for _ in range(3)}
    assert len(tokens) == 3
    assert min(map(len, tokens)) >= 20
    monkeypatch.setenv('RAPSAM_ANNOTATE_TOKEN', 'from the environment')
    assert settings(annotate, tmp_path, '--host', '0.0.0.0').token == 'from the environment'


def test_folders_get_names_of_their_own(annotate, tmp_path):
    for name in ('a/shots', 'b/shots'):
        (tmp_path / name).mkdir(parents=True)
    flags = [f'--folder={tmp_path / name}' for name in ('a/shots', 'b/shots')]
    assert list(settings(annotate, tmp_path, *flags).roots) == ['shots', "shots'"]


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--folder', 'nowhere'], 'expected a folder'),
        (['--model', 'rap_sam_nano_shape'], 'Did you mean'),
        (['--model', 'mine=config.py'], 'NAME=CONFIG,CHECKPOINT'),
        (['--model', 'rap_sam_nano_shapes', '--model', 'rap_sam_nano_shapes'], 'twice'),
        (['--max-upload', '0'], '--max-upload'),
        (['--idle', 'nan'], '--idle'),
        (['--idle', 'inf'], '--idle'),
        (['--token', 'short'], 'at least 8'),
    ],
)
def test_wrong_settings_are_named(annotate, tmp_path, flags, message):
    with pytest.raises(UserError, match=re.escape(message)):
        settings(annotate, tmp_path, *flags)


def test_a_taken_port_is_one_line(annotate, tmp_path):
    import socket

    taken = socket.create_server(('127.0.0.1', 0))
    with taken, pytest.raises(UserError, match='cannot listen'):
        annotate.serve(settings(annotate, tmp_path), taken.getsockname()[1])


def test_help_answers_without_heavy_imports(annotate):
    assert isinstance(annotate.parse_arguments([]), argparse.Namespace)
    code = (
        'import runpy, sys; sys.argv = ["annotate.py", "--help"]\n'
        'try:\n    runpy.run_path("demo/annotate.py", run_name="__main__")\n'
        'except SystemExit:\n    assert "torch" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)


@pytest.mark.slow
def test_the_program_serves_the_page(tmp_path):
    pytest.importorskip('uvicorn', reason="the extra webui: pip install 'rapsam[webui]'")
    command = [sys.executable, 'demo/annotate.py', '--port', '0', '--work-dir', str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            address = re.search(r'http://127\.0\.0\.1:\d+/', program.stdout.readline())[0]
            for _ in range(100):
                try:
                    text = urllib.request.urlopen(address).read().decode()
                    break
                except OSError:
                    time.sleep(0.1)
            assert 'id="canvas"' in text
        finally:
            program.terminate()
