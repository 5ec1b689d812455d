"""The main job shown on a real cluster: a good release is promoted, a bad one is rolled back."""
