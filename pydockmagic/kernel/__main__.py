"""``python -m pydockmagic.kernel -f CONNECTION_FILE``: what the kernelspec starts."""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp

from .kernel import DockerKernel

if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=DockerKernel)
