"""The autorouter beside a bare app, nginx and PowerDNS."""
