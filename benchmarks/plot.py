"""The picture beside the table: how near to the limit, and how far from the baseline."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def plot(rows: list[tuple[str, str, str, str, str]], path: Path) -> None:
    """Write a PNG: shares of the limit on the left, rows a second against the baseline on the right."""
    shares = {row[0][0]: float(row[3].rstrip("%")) for row in rows if row[0][0] in "bcd" and row[3].endswith("%")}
    [(_, ours, theirs, *_)] = [row for row in rows if row[0] == "a: rows/s"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.barh(list(shares), list(shares.values()), color="#635bff")
    left.axvline(100, color="black", linewidth=1)
    left.set_xlim(0, 105)
    left.set_xlabel("requests sent, % of what the limits allow")
    left.set_yticks(list(shares), ["one table, 25/s", "ten tables, 100/s", "test mode, 25/s"])
    values = [float(text.replace(",", "")) for text in (theirs, ours)]
    right.barh(["SDK + pandas", "stripe_dataflow"], values, color=["#a3acb9", "#635bff"])
    right.set_xlabel("charges a second, no limit, no latency")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
