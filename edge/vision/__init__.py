"""From a picture to the input tensor: reading, resizing, and the tensor's form."""
