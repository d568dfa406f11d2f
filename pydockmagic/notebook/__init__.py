"""The notebook's face of the commands: magics, capture, display and widgets."""
