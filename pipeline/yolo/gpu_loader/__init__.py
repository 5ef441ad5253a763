"""Keep train images on the GPU and augment them there in batches."""
