"""Answer HTTP requests with a model's predictions: FastAPI, one model thread, and a page to try it."""
