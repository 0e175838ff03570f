"""What the larger subcommands of `workshop` do, one module each; the command line itself is in `cli`."""
