"""Starts, watches and restarts worker processes, and speaks to them.

The worker process imports ``messages`` and ``child`` from here and must not load the gateway's half, so the
public names stay in their modules: ``worker.Worker``, ``worker.State``, ``stream.EventStream``.
"""
