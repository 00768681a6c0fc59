"""Training-ready pictures: cropped to buckets, augmented, and split so that nothing leaks."""
