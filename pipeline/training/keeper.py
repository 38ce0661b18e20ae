"""What keeps a run: it goes on from its checkpoint, writes new ones, and stops between two steps.

All processes of a run call the same methods at the same steps; the first one reads and writes.
"""

from lightning_fabric import Fabric

from pipeline.errors import PipelineError
from pipeline.training import processes
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.state import TrainingState
from pipeline.training.stopping import StopSignal

STEPS_BETWEEN_QUESTIONS = 10
"""Many processes ask each other every so many steps whether one of them received a signal."""


class Keeper:
    """Keeps the state of one run; while open, no other run can use its checkpoints.

    A checkpoint is due every `steps` steps.
    """

    def __init__(
        self, fabric: Fabric, checkpoints: Checkpoints, stop: StopSignal, steps: int
    ) -> None:
        self.fabric, self.checkpoints, self.stop, self.steps = fabric, checkpoints, stop, steps

    def __enter__(self) -> "Keeper":
        if self.fabric.is_global_zero:
            self.checkpoints.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self.fabric.is_global_zero:
            self.checkpoints.__exit__(*error)

    def restore(self, state: TrainingState) -> None:
        """Give `state` what the last checkpoint holds; without one it stays at the beginning."""
        first = self.fabric.is_global_zero
        snapshot = self.fabric.broadcast(self.checkpoints.load() if first else None)
        if snapshot is None:
            return
        state.restore(snapshot)
        if first:
            print(f"Going on from the checkpoint of step {state.step:,}.", flush=True)

    def save_if_due(self, state: TrainingState) -> None:
        """After a step: save where a checkpoint is due, or where the run was told to stop.

        Raises PipelineError in the second case.
        """
        due = state.step % self.steps == 0
        # One process can stop at once. Many must ask each other, at the same steps.
        alone = self.fabric.world_size == 1
        may_stop = alone or due or state.step % STEPS_BETWEEN_QUESTIONS == 0
        stops = may_stop and processes.any_of(self.fabric, self.stop.received)
        if due or stops:
            self._write(state, stops)

    def save(self, state: TrainingState) -> None:
        """At the end of an epoch: save.

        Raises PipelineError where the run was told to stop and has epochs to go.
        """
        self._write(state, processes.any_of(self.fabric, self.stop.received))

    def _write(self, state: TrainingState, stops: bool) -> None:
        snapshot = state.dump()
        if self.fabric.is_global_zero:
            self.checkpoints.save(snapshot)
        if stops and not state.finished:
            raise PipelineError(
                f"Told to stop after step {state.step:,}; the same command goes on from there."
            )
