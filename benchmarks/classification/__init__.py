"""Image classification: linear evaluation, SVM and nearest neighbours."""
