"""The front door: judge a request, stamp it, append it to the log, answer 2xx once it is durable."""
