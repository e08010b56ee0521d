"""What stands between the network and Django: the server's command, and limits on whatever a client may send."""
