"""The example site: settings, addresses, and two things that a web server does in production."""
