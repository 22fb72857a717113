"""Any folder here with a `defs.yaml` is a dataflow; a Python file holds assets of your own."""
