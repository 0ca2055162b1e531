"""The training loop without the edge: every update is seen by a plain for-loop."""

import torch

from residua.data.batches import training_batches
from residua.data.open import open_dataset
from residua.recipes import recipe
from residua.spec import change, zoo
from residua.spec.preprocess import Preprocess
from residua.training import optim
from residua.training.loop import train
from residua.training.losses import make_loss_fn
from residua.training.network import initial_network

digits = open_dataset("digits", val_fraction=0.2)
grey = Preprocess(8, 8, mean=(0.31,), std=(0.38,), colour="grey")
arch = change.with_preprocess(zoo.arch("cifar_resnet20"), grey)
chosen = recipe("quick.digits", arch, "digits")
network = initial_network(chosen, digits.train.classes)
batches = training_batches(
    digits.train,
    grey,
    chosen.augment,
    seed=0,
    batch_size=32,
    first=0,
    steps=20,
    workers=0,
    resident_bytes=1 << 20,
    device=torch.device("cpu"),
)
loss_fn = make_loss_fn(grey, chosen.plan, label_smoothing=0.0)
sgd = optim.make_optimizer(network, chosen.optim)
for moment in train(network, batches, loss_fn, optimizer=sgd, lr_at=lambda _: 0.05, seed=0):
    print(moment.step, round(float(moment.loss), 3), f"{int(moment.num_wrong)} of {moment.num_images} wrong")
