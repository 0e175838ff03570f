"""The cascade as deployed: Lambda handlers over the same walk, the state machine's parts, and an emulator of it for this machine."""
