import importlib.metadata
import re

import pytest

from seg.utils.checks import UserError
from seg.utils.host_versions import HOSTS, check_host_versions

GOOD = {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmdetection': '3.5.1'}


def pretend_installed(monkeypatch, versions):
    def version(name):
        if name in versions:
            return versions[name]
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, 'version', version)


def test_this_environment_passes():
    check_host_versions()


def test_tested_versions_pass(monkeypatch):
    pretend_installed(monkeypatch, GOOD)
    check_host_versions()


@pytest.mark.parametrize('original', ['mmdet', 'mmcv', 'mmcv-full', 'mmengine'])
def test_original_distribution_is_named_with_the_fix(monkeypatch, original):
    pretend_installed(monkeypatch, {**GOOD, original: '1.2.3'})
    with pytest.raises(UserError, match=rf'{original} 1\.2\.3 .*pip uninstall -y {original} '):
        check_host_versions()


@pytest.mark.parametrize('version', ['3.4.0', '3.6.0', '4.0'])
def test_version_outside_the_window_is_named_with_the_fix(monkeypatch, version):
    pretend_installed(monkeypatch, {**GOOD, 'onedl-mmdetection': version})
    expected = rf'>=3\.5\.1,<3\.6, found {re.escape(version)}.*pip install'
    with pytest.raises(UserError, match=expected):
        check_host_versions()


def test_missing_host_is_named_with_the_fix(monkeypatch):
    pretend_installed(monkeypatch, {'onedl-mmengine': '0.10.12', 'onedl-mmdetection': '3.5.1'})
    with pytest.raises(UserError, match=r"found none installed.*pip install 'onedl-mmcv"):
        check_host_versions()


def test_windows_are_those_of_the_requirements(repository):
    lines = (repository / 'requirements/runtime.txt').read_text().splitlines()
    assert {host.distribution + host.window for host in HOSTS} <= set(lines)
