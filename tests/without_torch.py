"""Code for a process in which torch and transformers do not exist."""

BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "transformers"): raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
"""
# The command, in such a process.
COMMAND = f"{BLOCKED}from bertune.cli import main\nmain()\n"
