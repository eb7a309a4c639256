"""Makes the bundle ``demo``: digits on cards, drawn, learned by the two smallest widths, and shown in a clip."""
