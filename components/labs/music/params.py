"""The music lab's parameters: the types of its sections in params.yaml."""

from components.params import Section
