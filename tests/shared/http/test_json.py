import json

import numpy as np
import pytest

from shared.http.json import JsonResponse, encode


def test_text_stays_utf8_and_arrays_become_lists() -> None:
    value = {"text": "déjà vu 🚀", "vector": np.array([0.5, 1.0], np.float32), "count": np.int64(3)}
    written = encode(value)
    assert "déjà vu 🚀".encode() in written
    assert json.loads(written) == {"text": "déjà vu 🚀", "vector": [0.5, 1.0], "count": 3}


def test_what_is_no_json_is_refused_and_not_guessed() -> None:
    with pytest.raises(TypeError):
        encode({"key": object()})


def test_response_names_its_type() -> None:
    assert JsonResponse([1]).headers["content-type"] == "application/json"
