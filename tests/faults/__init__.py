"""Real processes over one book, under everything that can go wrong; see ``__main__``.

What a module does:

- ``plan``: which job comes next, with what goes wrong in it; the same seed gives the same jobs.
- ``pool``: starts a process for each job, and attacks it from outside.
- ``jobs``: what the process of a job does with the book.
- ``injuries``: what goes wrong inside of such a process.
- ``damage``: books of their own, of which journals are cut and flipped and folders vanish.
- ``witness``: the file in which each process says what it was told, without stepbook.
- ``story``: what the witness says, and what in it contradicts itself.
- ``checks``: compares the story with the book.
- ``campaign``: rounds of jobs, each with a check behind it.
"""
