"""Average the weights of the best epochs at the end of a training."""
