"""The LiteLLM proxy from PyPI, with one key and no database.

Keys of its own need a database client whose engine its package fetches from a host that not every network
reaches; without them it has less to do for a request.
"""

from pathlib import Path

import yaml

from benchmarks.processes import BenchmarkError
from nearedge.console import load_settings

MASTER_KEY = "sk-benchmark"
ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_DOCS": "True"}


def program() -> Path:
    """Return LiteLLM's command, in an environment of its own beside the models.

    Raises:
        BenchmarkError: it is not there; the message has the command that makes it.
    """
    venv = load_settings().cache / "benchmarks" / "litellm" / "venv"
    found = venv / "bin" / "litellm"
    if not found.is_file():
        raise BenchmarkError(
            f"this needs LiteLLM: run `python -m venv {venv} && {venv}/bin/pip install 'litellm[proxy]'`"
        )
    return found


def write_config(file: Path, model: str, stub_port: int) -> None:
    """Write the configuration of a proxy for *model* in front of the stub."""
    backend = {"model": "openai/stub", "api_base": f"http://127.0.0.1:{stub_port}/v1", "api_key": "none"}
    content = {
        "model_list": [{"model_name": model, "litellm_params": backend}],
        "general_settings": {"master_key": MASTER_KEY},
        "litellm_settings": {"telemetry": False},
    }
    file.write_text(yaml.safe_dump(content), "utf-8")
