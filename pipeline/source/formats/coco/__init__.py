"""Read COCO JSON: boxes, polygons, RLE masks, keypoints."""
