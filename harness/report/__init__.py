"""What a run leaves behind, for people and for other tools: summary, verdict, pictures, pages, terminal.

Everything here is derived from the files of a run's folder and from nothing else, so that a report can be
made again at any time, on another machine, and of a run that was killed.
"""
