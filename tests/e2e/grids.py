"""The local grid that most end-to-end tests talk to."""

import json
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.services import Service, workers

CHAT_MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True)
class Grid:
    """What ``nearedge up --json`` printed, and the processes behind it. ``edges`` maps regions to URLs."""

    autorouter: str
    edges: dict[str, str]
    inference_key: str
    operator_key: str
    home: Path
    service: Service

    @classmethod
    def parse(cls, line: str, home: Path, service: Service) -> "Grid":
        fields = json.loads(line)
        assert fields.keys() == {"autorouter", "edges", "inference_key", "operator_key"}
        assert all(edge.keys() == {"region", "url"} for edge in fields["edges"])
        edges = {edge["region"]: edge["url"] for edge in fields.pop("edges")}
        return cls(edges=edges, home=home, service=service, **fields)

    def edge_pid(self, region: str) -> int:
        """Return the process id of the edge of *region*."""
        (edge,) = [
            child
            for child in psutil.Process(self.service.pid).children()
            if {"edge", "--region", region} <= set(child.cmdline())
        ]
        return edge.pid

    def worker(self, region: str, model: str = CHAT_MODEL) -> psutil.Process:
        """Return the process that runs *model* at the edge of *region*, as the log tells."""
        lines = [
            json.loads(line) for line in self.service.log.read_text("utf-8").splitlines() if line[0] == "{"
        ]
        loaded = {line["pid"] for line in lines if line["event"] == "model loaded" and line["model"] == model}
        (found,) = [worker for worker in workers(self.edge_pid(region)) if worker.pid in loaded]
        return found
