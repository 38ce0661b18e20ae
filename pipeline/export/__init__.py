"""From the network to Core ML and ONNX: convert, run both again, prove and profile them."""
