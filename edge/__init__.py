"""The runtime on the device: measure, choose and run MobileNet v1 variants.

Needs numpy, OpenCV, psutil and one inference backend; never torch.
"""
