"""How good the network is: metrics, intervals, slices, thresholds and published results."""
