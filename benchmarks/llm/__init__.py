"""The language model engine beside llama-server and beside the server that comes with the bindings."""
