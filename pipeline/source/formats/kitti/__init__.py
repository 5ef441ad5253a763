"""Read KITTI label files."""
