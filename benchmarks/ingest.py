"""C-STORE throughput: this listener beside Orthanc, DCMTK and a plain pynetdicom handler.

All servers are started once, each on an empty folder and an empty database, and take turns: a few
objects to warm one up, then DCMTK's storescu (Nagle off) with the rest, spread over the
associations. A turn takes seconds, so that a slow moment of the machine hits all of them; each
round sends new objects, to the servers in another order. Compared are medians, and of ratios the
median of the rounds.
"""

import argparse
import signal
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import loads
from benchmarks.receivers import Cluster, Server, servers
from benchmarks.sending import WARM_UP, compare, make_images, ratio


def other_loads(found: list[Server], home: Path, images: list[Path], full: bool) -> str:
    """Return the figures of what is no series of slices, a line each."""
    return "\n".join(
        [
            loads.report_tiny(found, home, 5000 if full else 500, 3 if full else 2),
            loads.report_huge(found, home, images, 1024 if full else 256, 3 if full else 2),
            loads.report_stalled(found, home, images),
        ]
    )


def report(
    found: list[Server], rates: Mapping[tuple[str, int], list[float]], associations: list[int]
) -> str:
    """Return the medians, and the ratios of ours to the others', as a Markdown table."""
    heads = "".join(f" {n} assoc. |" for n in associations)
    lines = [f"| receiver |{heads} Success means |", "|---|" + "---|" * (len(associations) + 1)]
    for server in found:
        cells = "".join(f" {_shown(rates[server.name, n])} |" for n in associations)
        lines.append(f"| {server.name} |{cells} {server.means} |")
    names = {server.name for server in found}
    for ours, other in (
        ("ours, SQLite", "Orthanc, SQLite"),
        ("ours, 2 processes, SQLite", "Orthanc, SQLite"),
        ("ours, PostgreSQL", "Orthanc, PostgreSQL"),
        ("ours, 2 processes, PostgreSQL", "Orthanc, PostgreSQL"),
        ("ours, SQLite", "DCMTK storescp"),
        ("ours, SQLite", "pynetdicom, plain handler"),
    ):
        if ours in names and other in names:
            ratios = "".join(
                f" {ratio(rates[ours, n], rates[other, n]):.2f}x |" for n in associations
            )
            lines.append(f"| *{ours} / {other}* |{ratios} |")
    return "\n".join(lines)


def _shown(rates: list[float]) -> str:
    return f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="1000 images, 5 repetitions, 5000 tiny objects, 1 GB"
    )
    parser.add_argument("--images", type=int, help="how many objects a run sends")
    parser.add_argument("--edge", type=int, default=512, help="rows and columns of an object")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--loads", choices=["all", "only", "none"], default="all")
    parser.add_argument("--only", nargs="+", help="names of receivers must contain one of these")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    count = options.images or (1000 if options.full else 300)
    repetitions = options.repetitions or (5 if options.full else 2)
    with tempfile.TemporaryDirectory(prefix="clinic-bench-") as name:
        home = Path(name)
        home.chmod(0o755)  # the user postgres has to pass
        cluster = Cluster(home / "postgres") if Path("/usr/lib/postgresql").exists() else None
        try:
            found = [
                server
                for server in servers(cluster)
                if not options.only or any(word in server.name for word in options.only)
            ]
            images = make_images(home / "images", count + WARM_UP, options.edge)
            others = (
                "" if options.loads == "none" else other_loads(found, home, images, options.full)
            )
            rates = compare(
                found,
                home,
                images,
                options.associations,
                0 if options.loads == "only" else repetitions,
            )
        finally:
            if cluster:
                cluster.stop()
        print(f"\n{others}")
        if options.loads == "only":
            return
        print(f"\n{count} CT slices of {images[0].stat().st_size // 1000} kB, instances a second:")
        print("median (least-most) of", repetitions, "interleaved runs\n")
        print(report(found, rates, options.associations))


if __name__ == "__main__":
    main()
