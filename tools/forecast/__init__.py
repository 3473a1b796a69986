"""The evaluation of forecasts and of what the balancer makes of them: `python -m tools.forecast`."""
