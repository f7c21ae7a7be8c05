"""What tests of minigan and of its users need: a stand-in for a GPU's arrays."""
