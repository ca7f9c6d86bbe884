"""What runs in production: numpy and ONNX Runtime, nothing heavier."""
