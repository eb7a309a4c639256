"""The workstation's room: from a trained MobileNet v1 to int8 models and bundles."""
