"""The worker: tasks by name, who listens to which event, the timetable, and the processing of the inbox."""
