"""Training on an idle and on a busy machine, with OpenMP's own waiting and with ours.

    python benchmarks/busy.py [--seconds 10] [--runs 3] [--spinners 1]

The quick recipe's backbone, batches of 64 at 96 px. `spinners` are processes that keep a core each.
Torch's threads wait for one another by spinning; beside other work a thread that spins holds the
core that the awaited one needs. GOMP_SPINCOUNT says how long they spin before they sleep; the
commands set it to what `stages.__main__` says. Each setting is timed in processes of its own, in
turn; quoted are medians.
"""

import argparse
import os
import statistics
import subprocess
import sys

from stages.__main__ import SPINS

STEPS = """
import sys, time
import timm, torch
torch.manual_seed(0)
model = timm.create_model("efficientformerv2_s0", img_size=96, num_classes=40)
model = model.train().to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(model.parameters())
images = torch.rand(64, 3, 96, 96).contiguous(memory_format=torch.channels_last)
labels = (torch.rand(64, 40) > 0.5).float()
def step():
    optimizer.zero_grad()
    torch.nn.functional.binary_cross_entropy_with_logits(model(images), labels).backward()
    optimizer.step()
step()
start, steps = time.perf_counter(), 0
while time.perf_counter() - start < float(sys.argv[1]):
    step()
    steps += 1
print(64 * steps / (time.perf_counter() - start))
"""


def rate(seconds: float, **variables: str) -> float:
    """Images a second in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    command = [sys.executable, "-c", STEPS, str(seconds)]
    done = subprocess.run(
        command, env=kept | variables, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Time both settings, idle and busy, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--spinners", type=int, default=1)
    options = parser.parse_args()
    print(f"{'':8} OpenMP's own  {SPINS} spins  ratio   (images/s)")
    for name, count in {"idle": 0, "busy": options.spinners}.items():
        spinning = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)
        ]
        try:
            pairs = [
                (rate(options.seconds), rate(options.seconds, GOMP_SPINCOUNT=SPINS))
                for _ in range(options.runs)
            ]
        finally:
            for process in spinning:
                process.kill()
                process.wait()
        theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name:8} {theirs:12.1f}  {ours:10.1f}  {ratio:5.2f}", flush=True)


if __name__ == "__main__":
    main()
