"""Linear SVMs on frozen features: the VOC07 protocols, an exact solver of all their problems, and liblinear."""
