"""Read projects and exports of the VGG Image Annotator."""
