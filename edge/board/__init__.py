"""What this board is and how it fares: device, sensors, power, processor load, memory, health."""
