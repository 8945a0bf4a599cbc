"""Trying other weight layouts of a GGUF model: how they read a fixed text, and how fast they are here.

``python -m edge.engines.repack`` does the work, in a process of its own that a crash or a hang of native
code may cost. ``edge.models.repack`` starts it when a model is pulled.
"""
