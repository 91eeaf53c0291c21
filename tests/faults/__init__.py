"""Real workers, killed, stopped and robbed of their Redis: nothing is lost, and nothing is paid for twice."""
