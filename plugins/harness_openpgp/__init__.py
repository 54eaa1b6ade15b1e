"""The OpenPGP card application (specification 3.4): client, items, operations, and the twin's side."""
