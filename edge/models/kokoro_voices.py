"""Kokoro's voices, one file each where they come from, joined in one."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SHAPE = (510, 256)
"""A style vector of 256 numbers for each length of a phoneme sequence, from 1 to 510."""


def convert(inputs: Mapping[str, Path], output: Path) -> None:
    """Write an uncompressed ``.npz`` of float32 arrays of :data:`SHAPE`, by voice name.

    The same voices always give the same bytes.
    """
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(inputs):
            style = np.fromfile(inputs[name], dtype="<f4").reshape(SHAPE)
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, style, allow_pickle=False)
