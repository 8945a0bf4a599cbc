"""The entry points of llama.cpp that are called often and end soon, and its log.

The bindings call through ``ctypes.CDLL``, which gives the interpreter lock away and takes it back around
every call: beside another busy thread eight calls then take 41 ms. Through ``ctypes.PyDLL`` they take 0.55 ms
(measured on 2 cores). ``llama_decode`` and whatever else runs long must go through the bindings.
"""

import ctypes
import logging

import llama_cpp as c
from llama_cpp.llama_cpp import _lib

log = logging.getLogger(__name__)

_GGML_LOG_LEVEL_WARN = 3
_GGML_LOG_LEVEL_ERROR = 4


class LlamaError(Exception):
    """llama.cpp refused or failed; the message says in what."""


_short = ctypes.PyDLL(_lib._name)

get_logits = _short.llama_get_logits
get_logits.argtypes = [ctypes.c_void_p]
get_logits.restype = ctypes.c_void_p

memory_seq_rm = _short.llama_memory_seq_rm
memory_seq_rm.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]
memory_seq_rm.restype = ctypes.c_bool

memory_seq_cp = _short.llama_memory_seq_cp
memory_seq_cp.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]
memory_seq_cp.restype = None

memory_seq_pos_max = _short.llama_memory_seq_pos_max
memory_seq_pos_max.argtypes = [ctypes.c_void_p, ctypes.c_int32]
memory_seq_pos_max.restype = ctypes.c_int32


@c.llama_log_callback  # type: ignore[untyped-decorator]
def log_callback(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    """Write a line of llama.cpp's log to ours."""
    if level in (_GGML_LOG_LEVEL_WARN, _GGML_LOG_LEVEL_ERROR):
        line = text.decode("utf-8", "replace").rstrip()
        if line:
            log.log(logging.ERROR if level == _GGML_LOG_LEVEL_ERROR else logging.DEBUG, "llama.cpp: %s", line)


def start() -> None:
    """Have llama.cpp's log written to ours and its backends made ready. May be called again."""
    c.llama_log_set(log_callback, ctypes.c_void_p(0))
    c.llama_backend_init()
