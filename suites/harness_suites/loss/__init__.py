"""Loss and restore of an OpenPGP card: the questions of a thread of owners, each answered by cases."""
