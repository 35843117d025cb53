#!/usr/bin/env python3
"""Measures LangGraph on three shapes and prints it beside what criterion measured of Kennel; see README.md.

Started with any Python, it makes a virtual environment with the pinned versions and goes on in there. It refuses to measure Kennel.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PINNED = {"langgraph": "1.2.22", "langgraph-checkpoint-sqlite": "3.1.2"}
ROOT = Path(__file__).resolve().parents[3]
SHAPES = [("seq-4", "sequence"), ("fan-out-100", "fan-out"), ("pipeline 3×100", "pipeline")]
TEXT = "Kennel runs each task in an instance of its own. " * 21


def main():
    args = arguments()
    inside(Path(args.venv))
    target = Path(args.criterion)
    lines = ["| shape | store | Kennel | LangGraph | LangGraph, CPU |", "|---|---|---|---|---|"]
    for (name, row), graph in zip(SHAPES, graphs()):
        for store in ("memory", "sqlite"):
            wall, cpu = measure(graph, store)
            kennel = median(target / "flow" / f"{row}-{store}")
            lines.append(f"| {name} | {store} | {ms(kennel)} | {ms(wall)} | {ms(cpu)} |")
    print("\n".join(lines))
    versions = ", ".join(f"{name} {version}" for name, version in PINNED.items())
    print(f"\nMedian time of a run. Python {platform.python_version()}, {versions}; Kennel built with {args.profile}.")
    print(f"{cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--criterion", default=target / "criterion", help="where criterion keeps what it measured")
    parser.add_argument("--venv", default=target / "peers-venv", help="where the virtual environment is kept")
    parser.add_argument("--profile", default="the bench profile", help="the profile that Kennel was built with, to be printed")
    return parser.parse_args()


def inside(where):
    """Goes on in the virtual environment, which is made first when it is not there or holds other versions."""
    if Path(sys.prefix).resolve() == where.resolve():
        return
    python = where / "bin" / "python"
    if not python.exists():
        venv.create(where, with_pip=True)
    wanted = [f"{name}=={version}" for name, version in PINNED.items()]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    os.execv(python, [str(python), *sys.argv])


def graphs():
    """The shapes as graphs that have still to be compiled, each with its input and how to tell that nothing was lost."""
    import operator
    from typing import Annotated, TypedDict

    from langgraph.graph import END, START, StateGraph

    class One(TypedDict):
        text: str

    class Many(TypedDict):
        items: Annotated[list, operator.add]

    sequence = StateGraph(One)
    for n in range(4):
        sequence.add_node(f"s{n}", lambda state: {"text": state["text"]})
        sequence.add_edge(f"s{n - 1}" if n else START, f"s{n}")
    sequence.add_edge("s3", END)

    fan_out = StateGraph(Many)
    for n in range(100):
        fan_out.add_node(f"s{n}", lambda state, n=n: {"items": [(n, TEXT)]})
        fan_out.add_edge(START, f"s{n}")
        fan_out.add_edge(f"s{n}", END)

    # A chain of three for each item, all hundred beside each other.
    pipeline = StateGraph(Many)
    for n in range(100):
        for stage in range(3):
            last = stage == 2
            pipeline.add_node(f"s{n}.{stage}", lambda state, n=n, last=last: {"items": [(n, TEXT)] if last else []})
            pipeline.add_edge(f"s{n}.{stage - 1}" if stage else START, f"s{n}.{stage}")
        pipeline.add_edge(f"s{n}.2", END)

    hundred = lambda state: len({n for n, _ in state["items"]}) == 100
    return [
        (sequence, {"text": TEXT}, lambda state: state["text"] == TEXT),
        (fan_out, {"items": []}, hundred),
        (pipeline, {"items": []}, hundred),
    ]


def measure(graph, store):
    """The median seconds of wall time and of CPU time for one run, over a few seconds."""
    graph, given, right = graph
    with tempfile.TemporaryDirectory() as directory:
        if store == "sqlite":
            from langgraph.checkpoint.sqlite import SqliteSaver

            with SqliteSaver.from_conn_string(str(Path(directory) / "checkpoints.db")) as saver:
                return repeat(graph.compile(checkpointer=saver), given, right)
        from langgraph.checkpoint.memory import InMemorySaver

        return repeat(graph.compile(checkpointer=InMemorySaver()), given, right)


def repeat(compiled, given, right):
    walls, cpus, thread = [], [], 0
    until = time.monotonic() + 4
    while time.monotonic() < until or thread < 7:
        thread += 1
        config = {"configurable": {"thread_id": str(thread)}, "max_concurrency": 100}
        wall, cpu = time.perf_counter(), time.process_time()
        state = compiled.invoke(given, config)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if not right(state):
            sys.exit("LangGraph lost something; its figures would mean nothing")
        if thread > 2:  # the first ones are warm-up
            walls.append(wall)
            cpus.append(cpu)
    return statistics.median(walls), statistics.median(cpus)


def median(row):
    """Seconds, as criterion measured them; None when the row was not measured."""
    try:
        estimates = json.loads((row / "new" / "estimates.json").read_text())
    except FileNotFoundError:
        return None
    return estimates["median"]["point_estimate"] / 1e9


def ms(seconds):
    return "not measured" if seconds is None else f"{seconds * 1e3:.2f} ms"


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
