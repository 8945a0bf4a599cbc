"""What a person, or a script, is told once the grid runs."""

import json

import typer
from rich import box
from rich.table import Table

from nearedge.console import out, show
from nearedge.grid import Plan
from nearedge.grid_keys import GridKeys

_ENDPOINT = "python3 -c 'import json,sys; print(json.load(sys.stdin)[\"endpoint\"])'"


def print_json(plan: Plan, keys: GridKeys) -> None:
    """Print the one line that ``nearedge up --json`` promises."""
    line = {
        "autorouter": plan.autorouter.url,
        "edges": [{"region": edge.name, "url": edge.url} for edge in plan.edges],
        "inference_key": keys.inference,
        "operator_key": keys.operator,
    }
    typer.echo(json.dumps(line))


def print_table(plan: Plan, keys: GridKeys) -> None:
    """Print where everything is, and two commands to paste."""
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_row("autorouter", plan.autorouter.url)
    for edge in plan.edges:
        table.add_row(f"edge {edge.name}", f"{edge.url}   (its API: {edge.url}/docs)")
    table.add_row("inference key", keys.inference)
    table.add_row("operator key", keys.operator)
    if plan.autorouter.log is not None:
        table.add_row("logs", str(plan.autorouter.log.parent))
    show(table)
    for intention, command in (
        ("Ask the autorouter, and chat with the edge that it names:", chat_command(plan, keys)),
        ("Speak a sentence to hello.wav:", speech_command(plan, keys)),
    ):
        out.print(f"[bold]{intention}[/]\n")
        out.print(f"{command}\n", markup=False)
    out.print("Both keys end with this grid; `nearedge keys create` makes lasting ones. Ctrl-C stops it all.")


def chat_command(plan: Plan, keys: GridKeys) -> str:
    """Return a shell command that finds the nearest edge and chats with it."""
    question = [{"role": "user", "content": "What is the capital of Canada?"}]
    body = json.dumps({"model": "smollm2-135m-instruct", "messages": question, "temperature": 0})
    edge = f"$(curl -s {plan.autorouter.url}/v1/route | {_ENDPOINT})"
    return f"curl -s \"{edge}/v1/chat/completions\" {_headers(keys)} \\\n  -d '{body}'"


def speech_command(plan: Plan, keys: GridKeys) -> str:
    """Return a shell command that speaks a sentence to a file."""
    body = json.dumps(
        {
            "model": "kokoro-82m",
            "voice": "af_bella",
            "input": "Hello from the edge, spoken on your own machine.",
            "response_format": "wav",
        }
    )
    return f"curl -s {plan.edges[0].url}/v1/audio/speech {_headers(keys)} \\\n  -d '{body}' -o hello.wav"


def _headers(keys: GridKeys) -> str:
    return f'-H "Authorization: Bearer {keys.inference}" -H "Content-Type: application/json"'
