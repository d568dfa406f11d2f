"""A pytest plugin for docker-py 5.0.3 on a Python of today; it stands in no package, docker-py's venv imports it."""

import docker.utils.utils
from packaging.version import Version

# docker-py's tests turn warnings into errors, and distutils warns that it is going.
docker.utils.utils.StrictVersion = Version
