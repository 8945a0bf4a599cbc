"""Speech in both directions, measured beside the raw engines and other servers."""
