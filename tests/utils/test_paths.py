import pytest

from seg.utils import paths


def test_config_dir_of_this_installation_has_the_parts():
    assert (paths.config_dir() / '_base_').is_dir()


def test_wheel_layout_is_found_before_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, '_PACKAGE', tmp_path / 'seg')
    (tmp_path / 'configs/_base_').mkdir(parents=True)
    assert paths.config_dir() == tmp_path / 'configs'
    (tmp_path / 'seg/configs/_base_').mkdir(parents=True)
    assert paths.config_dir() == tmp_path / 'seg/configs'


def test_foreign_configs_folder_beside_the_package_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, '_PACKAGE', tmp_path / 'seg')
    (tmp_path / 'configs').mkdir()
    with pytest.raises(FileNotFoundError, match=r'configurations: expected .*Reinstall'):
        paths.config_dir()


def test_missing_asset_lists_those_that_exist(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, '_PACKAGE', tmp_path)
    (tmp_path / 'assets').mkdir()
    (tmp_path / 'assets/a.safetensors').write_bytes(b'')
    assert paths.asset('a.safetensors').is_file()
    with pytest.raises(FileNotFoundError, match=r"'b'.*has a\.safetensors"):
        paths.asset('b')
