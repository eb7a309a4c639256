"""New classes for a trained network, learned on the device from a few pictures: its features stay as they are."""
