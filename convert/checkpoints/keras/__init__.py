"""Networks of Keras 2 and 3: ``.keras``, ``.h5`` and ``.weights.h5``, read with h5py and zipfile alone.

Nothing in them is run. With a configuration the network is what that says, whatever its layers are named; a file of
weights alone is recognised by the shapes of its arrays, in the order in which they were made.
"""

from convert.checkpoints.keras.reading import read_archive, read_h5

__all__ = ["read_archive", "read_h5"]
