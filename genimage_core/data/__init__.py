"""Finding, making and decoding images."""
