"""What a network and a training run are: plain frozen values, standard library only; never imports torch."""
