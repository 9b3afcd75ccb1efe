import json

import numpy as np
import pytest
import torch

from seg.utils.json_text import json_text


def test_numbers_that_json_does_not_have_are_null():
    value = {'a': float('nan'), 'b': [float('inf'), 1.5], 'c': {'d': np.float32('nan')}}
    assert json.loads(json_text(value)) == {'a': None, 'b': [None, 1.5], 'c': {'d': None}}
    assert 'NaN' not in json_text(value) and 'Infinity' not in json_text(value)


def test_numbers_of_numpy_and_torch_are_plain():
    value = {'a': np.int64(3), 'b': torch.tensor(0.5), 'c': np.arange(2), 4: None, 'e': 'text'}
    assert json_text(value) == '{"a": 3, "b": 0.5, "c": [0, 1], "4": null, "e": "text"}'


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match='object'):
        json_text({'a': object()})
