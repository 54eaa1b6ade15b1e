"""The words: keys, rigs as interfaces, worlds, laws, the judge, marks on a transport."""
