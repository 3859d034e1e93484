"""The recording format, its reader and recorder, playback and foreign formats."""
