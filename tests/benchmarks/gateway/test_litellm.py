from pathlib import Path

import pytest
import yaml

from benchmarks.gateway import litellm
from benchmarks.processes import BenchmarkError


def test_the_proxy_asks_the_stub(tmp_path: Path) -> None:
    litellm.write_config(tmp_path / "config.yaml", "a-model", 1234)
    (model,) = yaml.safe_load((tmp_path / "config.yaml").read_text())["model_list"]
    assert model["model_name"] == "a-model"
    assert model["litellm_params"]["api_base"] == "http://127.0.0.1:1234/v1"


def test_where_it_is_missing_the_command_that_brings_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAREDGE_CACHE", str(tmp_path))
    with pytest.raises(BenchmarkError, match=r"pip install 'litellm\[proxy\]'"):
        litellm.program()
