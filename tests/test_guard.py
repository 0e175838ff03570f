"""The tests cannot leave the machine, and neither can what they start."""

import socket
import subprocess
import sys

import pytest
from only_loopback import LeftTheMachine


@pytest.mark.parametrize("address", [("192.0.2.1", 443), ("2001:db8::1", 443)], ids=["IPv4", "IPv6"])
def test_a_connection_to_elsewhere_is_refused(address: tuple[str, int]) -> None:
    """Without it a test could pass here and hang, or cost money, on a machine with a network."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as sock, pytest.raises(LeftTheMachine):
        sock.connect(address)


def test_a_name_is_not_looked_up() -> None:
    """Without it a look-up would tell a name server what the tests do."""
    with pytest.raises(LeftTheMachine):
        socket.getaddrinfo("bedrock-runtime.us-west-2.amazonaws.com", 443)


def test_a_process_that_a_test_starts_is_guarded_too() -> None:
    """Without it a kernel or a command under test could do what the test itself may not."""
    script = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=1)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "LeftTheMachine: a test tried to reach 192.0.2.1" in done.stderr
