"""SmartCard-HSM: client, items, operations, and the twin's card side. Needs a key that offers a card."""
