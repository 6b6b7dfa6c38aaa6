"""Open Clip Art's drawings beside Tux Paint's stamps: a stage 1 that other examples stand on."""
