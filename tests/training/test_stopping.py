"""Signals to stop."""

import signal
import threading

import pytest

from pipeline.training.stopping import StopSignal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_has_its_usual_effect(number):
    usual = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop.received and signal.getsignal(number) != usual
        signal.raise_signal(number)
        assert stop.received
        assert signal.getsignal(number) == usual
    assert signal.getsignal(number) == usual


def test_without_a_signal_the_handlers_come_back():
    usual = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignal() as stop:
        pass
    assert not stop.received
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == usual


def test_in_a_thread_that_cannot_handle_signals_it_does_nothing():
    found = []

    def open_it() -> None:
        with StopSignal() as stop:
            found.append((stop.received, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=open_it)
    thread.start()
    thread.join()
    assert found == [(False, signal.getsignal(signal.SIGTERM))]
