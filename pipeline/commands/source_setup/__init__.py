"""What `inspect` tells of a source of images, and what `use` writes into conf/ for it."""
