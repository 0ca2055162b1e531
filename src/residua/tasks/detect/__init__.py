"""Finding boxes: sets of marked images, detectors on any backbone, their loss, and the official metrics."""
