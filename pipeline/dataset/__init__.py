"""What the stages hand on: manifest, labels, augmentation records, versions."""
