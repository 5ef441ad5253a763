"""The learning curve: score over number of train images, and a forecast for more of them."""
