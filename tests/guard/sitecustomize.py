"""Python runs this at start where this folder is on PYTHONPATH: kernels, servers and commands that a test starts are guarded too."""

import sys

import only_loopback

only_loopback.install()
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # jsonschema's check of IRIs, which nothing here asks for, takes a second to import
