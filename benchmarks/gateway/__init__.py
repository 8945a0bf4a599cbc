"""The gateway: what keys, limits and metering cost, beside the LiteLLM proxy."""
