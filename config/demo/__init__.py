"""The main job driven from the command line, over the same HTTP that people and platforms use."""
