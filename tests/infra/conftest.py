"""What the tests of images, manifests and the local stack share."""

from tests.serving.conftest import promoted_bundle

__all__ = ["promoted_bundle"]
