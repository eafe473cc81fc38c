"""The table: medians of per-round ratios, since only what ran side by side on a busy machine can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Slot:
    """One slice of one workload on one server. `other`: share of the machine taken by processes that are none of the bench's."""

    server: str
    workload: str
    rate: float
    server_cpu_us: float
    postgres_cpu_us: float
    p50_ms: float
    p99_ms: float
    other: float
    requests: int
    errors: int


def table(slots: Sequence[Slot], memory_mib: dict[str, float], slice_s: float) -> str:
    """Ratios ours/raw per workload, then what they come from, then memory and how busy the machine was."""
    lines = [
        "",
        "ours / raw, median [min-max] of the per-round ratios",
        "| | rate | server CPU per request | PostgreSQL CPU per request | p50 | p99 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    workloads = list(dict.fromkeys(slot.workload for slot in slots))
    for workload in workloads:
        ours, raw = (
            [slot for slot in slots if (slot.workload, slot.server) == (workload, name)] for name in ("ours", "raw")
        )
        ratios = [
            _spread([getattr(a, field) / (getattr(b, field) or 1e-9) for a, b in zip(ours, raw, strict=True)])
            for field in ("rate", "server_cpu_us", "postgres_cpu_us", "p50_ms", "p99_ms")
        ]
        lines.append(f"| {workload} | " + " | ".join(ratios) + " |")
    lines += [
        "",
        "| | server | req/s | p50 ms | p99 ms | server CPU us | PostgreSQL CPU us | requests | errors | other load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for workload in workloads:
        for name in ("ours", "raw"):
            mine = [slot for slot in slots if (slot.workload, slot.server) == (workload, name)]
            cells = [f"{median(getattr(slot, field) for slot in mine):.{digits}f}" for field, digits in _CELLS]
            lines.append(
                f"| {workload} | {name} | " + " | ".join(cells)
                + f" | {sum(s.requests for s in mine)} | {sum(s.errors for s in mine)} | {_spread([s.other for s in mine])} |"
            )  # fmt: skip
    lines += [
        "",
        f"{len(slots) // (2 * len(workloads))} rounds of {slice_s:g} s slices. Memory per API process: "
        + ", ".join(f"{name} {mib:.0f} MiB" for name, mib in memory_mib.items()),
    ]
    return "\n".join(lines)


_CELLS = (("rate", 0), ("p50_ms", 1), ("p99_ms", 1), ("server_cpu_us", 0), ("postgres_cpu_us", 0))


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"
