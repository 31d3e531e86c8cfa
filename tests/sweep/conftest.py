# Scripts that find each other in their own folder, not modules with doctests.
collect_ignore = ["methods.py", "sweep.py", "tiny.py", "trial.py"]
