"""Does a replayed notebook hold what an undisturbed one holds?

A case is a list of cells and of expressions to look at afterwards. It is executed plain, recorded,
replayed, killed and repaired, each time in a process of its own, and all must look the same.
`python -m fidelity --help` tells how to run it; docs/fidelity.md what is compared.
"""
