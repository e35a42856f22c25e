"""Workers: fold the events of one partition into sessions; rows, state and offsets in one transaction."""
