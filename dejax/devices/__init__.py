"""Where nodes stand on devices, and how arrays get there."""
