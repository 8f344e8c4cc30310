"""The hospital information system behind `his.port`."""
