"""Type aliases for numpy arrays; docstrings state the shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
Int32Array = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
ImageArray = NDArray[np.uint8]
"""An image: (height, width, 3) in BGR order, or (height, width) in gray."""
