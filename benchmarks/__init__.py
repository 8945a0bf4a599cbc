"""Every number that the README claims, each measured beside a peer in the same run."""
