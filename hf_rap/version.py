"""The one place that holds the version of hf_rap."""

VERSION = "0.1.0"
