"""`python -m workshop_lib.sandbox.stand_ins.triage`: train the stand-ins for triage and keep them for the next start of a sandbox."""

from workshop_lib.sandbox import prepare_process

if __name__ == "__main__":
    prepare_process()
    from workshop_lib.sandbox.stand_ins import triage  # after the line above: numerical libraries read it when they are loaded

    triage.learn()
