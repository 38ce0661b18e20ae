"""Command `profile`: what the network costs, beside ResNet-50 and Swin-T."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import EXPORT, PARAMS, ParamsFile

PROFILE = Path("data/profile")


def profile(
    params: ParamsFile = PARAMS,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each network.")] = 30,
) -> None:
    """Count and time the network that the params describe. Writes data/profile.

    parts.csv: parameters and multiply-adds by part. profile.csv and profile.png: time of one image
    on one CPU thread, in ONNX Runtime and PyTorch, beside ResNet-50 and Swin-T.
    Weights are random, which changes no time; nothing needs to be trained. Sizes of the files in
    data/export are printed where there are any.
    """
    from pipeline.attributes import load_set
    from pipeline.export import profile as profiling
    from pipeline.files import is_junk, new_directory, write_csv
    from pipeline.network.model import architecture_of
    from pipeline.params import load_params
    from pipeline.report.plots import draw_latency

    settings = load_params(params)
    with new_directory(PROFILE) as partial:
        regions = load_set(settings.data.attributes).regions
        architecture = architecture_of(settings, settings.shards.size)
        networks = profiling.contenders(architecture, regions)
        parts = profiling.count_parts(networks["ours"])
        for part in parts:
            print(
                f"{part['part']:24} {part['parameters']:12,} parameters"
                f" {part['multiply_adds'] / 1e6:9.1f} million multiply-adds"
            )
        rows = profiling.measure(networks, runs)
        write_csv(partial / "parts.csv", parts)
        write_csv(partial / "profile.csv", rows)
        draw_latency(rows, partial / "profile.png")
    for row in rows:
        print(
            f"{row['network']:15} {row['size']} px {row['parameters'] / 1e6:6.1f} M parameters"
            f" {row['multiply_adds'] / 1e9:5.2f} G multiply-adds  {row['runtime']:12}"
            f" {row['median_ms']:7.1f} ms, {row['ratio']:.2f} times ours"
        )
    for file in sorted(EXPORT.glob("**/*")):
        if file.suffix in (".onnx", ".mlpackage") and not is_junk(file.name):
            inside = [file, *file.rglob("*")]
            size = sum(path.stat().st_size for path in inside if path.is_file())
            print(f"{file}: {size / 1e6:.1f} MB")
    print(f"{PROFILE}: parts.csv, profile.csv, profile.png")
