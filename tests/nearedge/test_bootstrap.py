"""``scripts/bootstrap.py`` on a small project of its own, which needs no index and compiles nothing."""

import ensurepip
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bootstrap.py"

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "nearedge"
version = "0"
"""

BACKEND = """
import pathlib, zipfile

METADATA = "Metadata-Version: 2.1\\nName: nearedge\\nVersion: 0\\n" + "".join(
    f"Provides-Extra: {extra}\\n" for extra in ("autorouter", "edge", "dev")
)

def prepare_metadata_for_build_editable(directory, config_settings=None):
    info = pathlib.Path(directory) / "nearedge-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    return info.name

def build_editable(directory, config_settings=None, metadata_directory=None):
    pathlib.Path("built").open("a").write("once\\n")
    name = "nearedge-0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / name, "w") as wheel:
        wheel.writestr("nearedge-0.dist-info/METADATA", METADATA)
        wheel.writestr("nearedge-0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("nearedge-0.dist-info/RECORD", "")
    return name
"""


GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Disks:
    """The script, and how many bytes are free in each directory that it looks at."""

    script: Any
    free: dict[Path, int]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a project"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "scripts")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "constraints.txt").write_text(f"pip=={ensurepip.version()}\n")
    (root / "backend.py").write_text(BACKEND)
    return root


def bootstrap(
    root: Path, *arguments: str, python: str = sys.executable, **environ: str
) -> subprocess.CompletedProcess[str]:
    command = [python, str(root / "scripts" / "bootstrap.py"), *arguments]
    return subprocess.run(
        command, env=closed(environ), capture_output=True, text=True, timeout=100, check=False
    )


def closed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables with which pip reaches no index, and installs nowhere but into an environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    index = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    return {**kept, **index, "PIP_CONFIG_FILE": "/dev/null", "PIP_REQUIRE_VIRTUALENV": "1", **environ}


def built(root: Path) -> int:
    return len((root / "built").read_text().splitlines()) if (root / "built").exists() else 0


def test_an_environment_is_made_once_and_again_when_its_inputs_change(project: Path) -> None:
    first = bootstrap(project)
    assert first.returncode == 0, first.stderr
    assert "is compiled for this machine" in first.stderr
    assert f"the environment {project}/.venv is ready" in first.stderr
    stamp = json.loads((project / ".venv" / "nearedge-install.json").read_text())
    assert stamp["extras"] == ["autorouter", "edge"]

    started = time.monotonic()
    second = bootstrap(project)
    assert (second.returncode, second.stderr) == (0, "")
    assert time.monotonic() - started < 1

    assert bootstrap(project, "--dev").returncode == 0
    stamp = json.loads((project / ".venv" / "nearedge-install.json").read_text())
    assert stamp["extras"] == ["autorouter", "dev", "edge"]
    assert bootstrap(project).stderr == ""
    assert built(project) == 2

    (project / "constraints.txt").write_text(f"pip=={ensurepip.version()}\nsomething==1\n")
    assert bootstrap(project).returncode == 0
    stamp = json.loads((project / ".venv" / "nearedge-install.json").read_text())
    assert stamp["extras"] == ["autorouter", "dev", "edge"]
    assert built(project) == 3


def test_half_an_environment_is_made_whole(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to(
        sys.executable
    )  # A Python, but not of this environment.
    done = bootstrap(project)
    assert done.returncode == 0, done.stderr
    assert "making the environment" in done.stderr


def test_an_interrupted_installation_is_gone_on_with(project: Path) -> None:
    slow = BACKEND.replace("pathlib, zipfile", "pathlib, zipfile, time").replace(
        "    name =", "    time.sleep(60)\n    name ="
    )
    (project / "backend.py").write_text(slow)
    command = [sys.executable, str(project / "scripts" / "bootstrap.py")]
    environ = os.environ | {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1"}
    with subprocess.Popen(
        command, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        deadline = time.monotonic() + 60
        while not built(project) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(child.pid, signal.SIGINT)
        _, told = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "the same command goes on where this one stopped" in told
    (project / "backend.py").write_text(BACKEND)
    done = bootstrap(project)
    assert done.returncode == 0, done.stderr
    assert "making the environment" not in done.stderr


def bare_path(tmp_path: Path, *tools: str) -> str:
    """Make a directory with nothing on it but Python and *tools*."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in ("python3", *tools):
        found = sys.executable if tool == "python3" else shutil.which(tool)
        assert found is not None
        (directory / tool).symlink_to(found)
    return str(directory)


def test_a_missing_c_compiler_is_named(project: Path, tmp_path: Path) -> None:
    done = bootstrap(project, PATH=bare_path(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: a C compiler is needed")
    assert "apt install build-essential" in done.stderr
    assert not (project / ".venv").exists()


def test_a_missing_cpp_compiler_is_named(project: Path, tmp_path: Path) -> None:
    done = bootstrap(project, PATH=bare_path(tmp_path, "gcc", "as", "ld"))
    assert done.returncode == 1
    assert "a C++ compiler is needed" in done.stderr


def test_a_compiler_that_cannot_compile_is_named(project: Path, tmp_path: Path) -> None:
    done = bootstrap(project, CC="false", CXX="false")
    assert done.returncode == 1
    assert "false cannot compile a small C program" in done.stderr


def test_compilers_are_not_asked_for_when_llama_is_there(project: Path, tmp_path: Path) -> None:
    (project / "pyproject.toml").write_text(PYPROJECT + "# llama-cpp-python==1.2.3\n")
    assert bootstrap(project).returncode == 0
    site = next((project / ".venv" / "lib").glob("python3*/site-packages"))
    (site / "llama_cpp_python-1.2.3.dist-info").mkdir()
    (site / "llama_cpp_python-1.2.3.dist-info" / "RECORD").touch()
    (project / "constraints.txt").write_text(f"pip=={ensurepip.version()}\nsomething==1\n")
    assert bootstrap(project, CC="false").returncode == 0
    (project / "pyproject.toml").write_text(PYPROJECT + "# llama-cpp-python==1.2.4\n")
    assert bootstrap(project, CC="false").returncode == 1


def test_an_index_that_does_not_answer_is_told(project: Path) -> None:
    (project / "constraints.txt").write_text("pip==99\n")
    done = bootstrap(project)
    assert done.returncode == 1
    assert "the package index does not answer; is there a network?" in done.stderr
    assert "  | ERROR: Cannot install pip" in done.stderr
    assert not (project / ".venv" / "nearedge-install.json").exists()


def test_a_package_that_does_not_compile_is_told(project: Path) -> None:
    (project / "backend.py").write_text(BACKEND.replace("    name =", "    raise SystemExit(3)\n    name ="))
    done = bootstrap(project)
    assert done.returncode == 1
    assert "a package could not be compiled" in done.stderr
    assert "nearedge-install.log" in done.stderr


def test_too_little_space_is_told(project: Path) -> None:
    script = project / "scripts" / "bootstrap.py"
    script.write_text(script.read_text().replace("NEEDED_GIB = 4", "NEEDED_GIB = 4_000_000"))
    done = bootstrap(project)
    assert done.returncode == 1
    assert "4000000 GiB of free disk space are needed" in done.stderr


@pytest.fixture
def disks(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    """The script as a module, on a machine where temporary files have a disk of their own."""
    spec = importlib.util.spec_from_file_location("bootstrap", project / "scripts" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    free = {project: 100 * GIB, Path("/dev"): 100 * GIB}
    monkeypatch.setattr(module.tempfile, "tempdir", "/dev")  # a file system that every machine has
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    return Disks(module, free)


def test_too_little_space_for_temporary_files_is_told(disks: Disks, project: Path) -> None:
    disks.script.check_disk(4)
    disks.free[Path("/dev")] = GIB // 2
    with pytest.raises(disks.script.Missing, match=r"^1 GiB .* needed in /dev; there are 0\.5 GiB; set"):
        disks.script.check_disk(4)
    disks.free[project] = GIB
    with pytest.raises(disks.script.Missing, match=f"^4 GiB of free disk space are needed in {project}; "):
        disks.script.check_disk(4)


FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    ("free_project", "free_temporary", "output", "full"),
    [
        (50, 0, FULL, "/dev"),
        (0, 50, FULL, "project"),
        # pip has taken its temporary files away again: what it named counts.
        (50, 90, f"{FULL}: '/dev/pip-unpack-x/y.whl'", "/dev"),
        (90, 50, f"{FULL}: 'PROJECT/.venv/lib/y.so'", "project"),
        (90, 0, "killed", "/dev"),
    ],
)
def test_the_disk_that_is_full_is_named(
    disks: Disks, project: Path, free_project: int, free_temporary: int, output: str, full: str
) -> None:
    disks.free.update({project: free_project * GIB, Path("/dev"): free_temporary * GIB})
    told = disks.script.why(output.replace("PROJECT", str(project)))
    directory = project if full == "project" else full
    assert told.startswith("the disk is full: ")
    assert f" GiB are free in {directory}" in told
    assert ("TMPDIR" in told) is (full == "/dev")


def test_an_old_python_without_a_newer_one_is_told(project: Path, tmp_path: Path) -> None:
    script = project / "scripts" / "bootstrap.py"
    script.write_text(script.read_text().replace("OLDEST_PYTHON = (3, 11)", "OLDEST_PYTHON = (3, 99)"))
    done = bootstrap(project, PATH=bare_path(tmp_path))
    assert done.returncode == 1
    assert "Python 3.99 or newer is needed; this is 3." in done.stderr


def test_make_without_python_says_so(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    command = [make, "run", "PYTHON=python-that-is-not-there"]
    done = subprocess.run(
        command, cwd=SCRIPT.parents[1], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed, and there is no python-that-is-not-there" in done.stderr
