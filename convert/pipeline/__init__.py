"""From a checkpoint and pictures to model files and bundles that were run and compared with float."""
