"""The report of a run, for people and for other tools: summary, verdict, pictures, pages, terminal.

It is derived only from the files of the run's folder. So a report can be made again at any time and on another
machine, also for a run that was killed.
"""
