"""The built-in trackers, one file each. A file exports TRACKER, a subclass of `tracking.tracker.Tracker`."""
