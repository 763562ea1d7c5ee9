"""Publishers' layouts of a ResNet-50 checkpoint: one small class each."""
