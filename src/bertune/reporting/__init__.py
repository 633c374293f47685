"""The report of a run: one self-contained HTML page and PNG figures. Reads recorded scores, computes none."""
