"""Applications over the engine: service discovery and Zinc. They speak to World, Host and Socket and know no more."""
