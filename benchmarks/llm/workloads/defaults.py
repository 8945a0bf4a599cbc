"""What a user gets out of the box: both servers without a setting, each on the model as it installs it."""

from benchmarks.figures import ratio
from benchmarks.grid import Point, grid
from benchmarks.llm.bench import Bench
from benchmarks.llm.burst import Burst, burst, burst_prompts, size_of
from benchmarks.llm.servers import LLAMA_SERVER, NEAREDGE, Server
from benchmarks.report import Section, Sense, Target

STREAMS = (1, 4, 8)
GOAL = 1.7


def run(bench: Bench) -> Section:
    """Measure. The edge loads all its default models; ``llama-server`` has the model's published file."""
    size = size_of(bench)
    specs = [bench.default_edge(), bench.default_llama_server()]

    async def load(server: Server, *, point: Point, number: int) -> Burst:
        return await burst(server, burst_prompts(bench, int(point), number), size.new_tokens)

    with bench.servers(specs) as servers:
        results = bench.interleave(servers, STREAMS, load)
    speeds = grid(results, lambda found: found.tokens_per_second)
    firsts = grid(results, lambda found: found.first_ms)
    return Section(
        workload="defaults",
        reproduce=bench.reproduce("defaults"),
        tables=(
            speeds.table("Tokens/s of all streams together", "streams"),
            firsts.table("Median time to first token, ms", "streams"),
        ),
        targets=tuple(
            Target(
                f"{point} stream{'s' if point != 1 else ''}, tokens/s over llama-server's",
                ratio(speeds.at(point, NEAREDGE), speeds.at(point, LLAMA_SERVER)),
                Sense.AT_LEAST,
                GOAL,
            )
            for point in STREAMS
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=(f"{size}; the edge runs {bench.served.name}, llama-server {bench.published.name}."),
        conditions=bench.conditions,
        figures={"tokens_per_second": speeds.values(), "first_token_ms": firsts.values()},
    )
