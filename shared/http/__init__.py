"""HTTP plumbing of both services: connections, JSON and pure-ASGI middleware."""
