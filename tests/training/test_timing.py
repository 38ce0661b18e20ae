"""How long the loop waits for data."""

import pytest

from pipeline.training import timing
from pipeline.training.timing import TimedBatches


def test_only_the_time_in_the_loader_is_waiting(monkeypatch):
    """With a clock of the test's own: the loader takes 1 s and then 2 s, a step 4 s."""
    now = [100.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def loader():
        for seconds, batch in ((1, "a"), (2, "b")):
            now[0] += seconds
            yield batch

    batches = TimedBatches(loader())
    seen = []
    for batch in batches:
        seen.append(batch)
        now[0] += 4
    assert seen == ["a", "b"]
    assert batches.waiting() == pytest.approx(3 / 11)
    assert batches.speed(2, 22) == {
        "epoch": 2,
        "images_per_second": pytest.approx(2.0),
        "waiting_for_data": pytest.approx(3 / 11),
    }
