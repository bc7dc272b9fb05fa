"""The metadata service of an ECS instance: the temporary credentials of its role."""
