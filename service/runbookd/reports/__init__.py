"""Documents made from what is loaded and what is recorded, for people and for other programs."""
