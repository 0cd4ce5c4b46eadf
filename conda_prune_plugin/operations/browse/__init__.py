"""Browse environments and packages: what there is, what marks free together, what is below a row."""
