"""The machinery, which knows no model, reader or metric, and the programs users run beside the three scripts."""
