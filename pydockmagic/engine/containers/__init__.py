"""The container service: life cycle, specs, logs, attach, exec; processes are the runtime's business."""
