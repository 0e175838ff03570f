"""Python runs this at start where this folder is on PYTHONPATH: kernels, servers and commands that a test starts are guarded too."""

import only_loopback

only_loopback.install()
