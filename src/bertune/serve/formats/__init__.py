"""The wire formats of the service, a module each, with the function `router` and the bodies `ERRORS`."""
