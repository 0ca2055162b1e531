"""The training loop without the edge: every update is seen by a plain for-loop."""

import torch

from residua.data.batches import training
from residua.data.sources.table import open_dataset
from residua.recipes import recipe
from residua.spec import change, zoo
from residua.spec.preprocess import Preprocess
from residua.training import optim
from residua.training.initial import initial
from residua.training.loop import train
from residua.training.losses import make_loss_fn

digits = open_dataset("digits", holdout=0.2)
grey = Preprocess(8, 8, mean=(0.31,), std=(0.38,), colour="grey")
arch = change.with_preprocess(zoo.arch("cifar_resnet20"), grey)
chosen = recipe("quick.digits", arch, "digits")
network = initial(chosen, digits.train.classes)
batches = training(
    digits.train,
    grey,
    chosen.augment,
    seed=0,
    batch=32,
    first=0,
    steps=20,
    workers=0,
    resident_bytes=1 << 20,
    device=torch.device("cpu"),
)
judge = make_loss_fn(grey, chosen.plan, smoothing=0.0)
sgd = optim.make(network, chosen.optim)
for moment in train(network, batches, judge, optimizer=sgd, lr_at=lambda _: 0.05, seed=0):
    print(moment.step, round(float(moment.loss), 3), f"{int(moment.wrong)} of {moment.images} wrong")
