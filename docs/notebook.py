# %% [markdown]
# # Chapter 8 in a notebook
# This follows chapter 8 of *Deep Learning with PyTorch*. Run the cells from top to bottom. It takes
# less than two minutes and needs no network connection. The library that it uses is `src/cifar2/`.
# %%
import os
import sys
from pathlib import Path

HERE = Path(globals().get("__file__", "")).resolve()  # Jupyter starts in docs/, without __file__
os.chdir(next(each for each in (HERE, *HERE.parents) if (each / "src" / "cifar2").is_dir()))
sys.path.insert(0, str(Path("src").resolve()))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # leaves time for the browser (bench/README.md)
try:
    import dvc.api
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from torch import Tensor, nn

    from cifar2 import models, params
    from cifar2.data import dataset, pictures, synthetic
    from cifar2.deployment import prediction, sheet
    from cifar2.inference import checkpoint, device, evaluation
    from cifar2.report import experiments, plotting
    from cifar2.training import loop
except ModuleNotFoundError as error:
    sys.exit(f"No {error.name} here: type `make setup EXTRAS=notebook`, and choose .venv as kernel")


def show(png: bytes) -> None:
    """Show a picture in the place of what the cell showed before. A script shows none."""
    if "get_ipython" in globals():
        from IPython import display

        display.clear_output(wait=True)
        display.display(display.Image(png))


# %% [markdown]
# ## The data (section 7.2)
# CIFAR-2 is the airplanes and birds of CIFAR-10. The command `dvc repro filter` downloads them to
# `data/cifar2/`. Until you have typed it in a terminal, this notebook draws a stand-in.
# %%
def load(part: str, per_class: int, seed: int) -> dataset.Dataset:
    if (path := Path(f"data/cifar2/{part}.pt")).exists():
        return dataset.load(path)
    images, labels = map(torch.from_numpy, synthetic.draw(per_class, seed))
    return dataset.Dataset(images, labels, list(synthetic.CLASSES), "synthetic")


train = load("train", synthetic.TRAIN_PER_CLASS, synthetic.SEED)
val = load("val", synthetic.VAL_PER_CLASS, synthetic.SEED + 1)
classes = train.classes
numbers = range(len(classes))  # the labels
for name, part in (("train", train), ("val", val)):
    counts = [f"{sum(part.labels == i)} {classes[i]}" for i in numbers]
    print(f"{name} images, {part.source}: {', '.join(counts)}")
# %%
show(plotting.samples(train.images.numpy(), train.labels.numpy(), classes, train.source))


# %% [markdown]
# ## The network (section 8.3)
# The chapter's first network in plain PyTorch. The library calls it `net`. The names of the weights
# are the same there, so each of the two loads what the other has learned.
# %%
class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 8, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(8 * 8 * 8, 32)
        self.fc2 = nn.Linear(32, len(classes))

    def forward(self, x: Tensor) -> Tensor:
        out = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
        out = F.max_pool2d(torch.tanh(self.conv2(out)), 2)
        return self.fc2(torch.tanh(self.fc1(out.flatten(1))))


net = models.get_model("net", len(classes), kernel_size=3)
for each in (Net(), net):
    print(f"{sum(p.numel() for p in each.parameters()):,} parameters")
print(net.load_state_dict(Net().state_dict()))
# %% [markdown]
# ## Training (section 8.4)
# `params.yaml` has all settings. It has 100 epochs; with momentum, ten show how a network learns.
# `loop.fit` is the chapter's loop. It takes any network, and yields the values of each epoch.
# %%
settings = params.load(Path("params.yaml")).model_dump()
settings["train"] |= {"epochs": 10, "momentum": 0.9}
run = params.validate(params.Params, settings, "this cell")
place = device.prepare(run.train.device, threads=run.train.threads)
ready = [(dataset.normalize(part.images.to(place)), part.labels.to(place)) for part in (train, val)]
torch.manual_seed(run.train.seed)
network: nn.Module = Net().to(place)
state = loop.start(network, run, len(train.labels))
epochs = []
for epoch in loop.fit(state, ready[0], ready[1], run):
    epochs.append(epoch)
    accuracies = [e.train_accuracy for e in epochs], [e.val_accuracy for e in epochs]
    show(plotting.curves(*accuracies, "accuracy", f"Epoch {epoch.epoch} of {run.train.epochs}"))
    print(f"epoch {epoch.epoch}: loss {epoch.train_loss:.2f} (train), {epoch.val_loss:.2f} (val)")


# %% [markdown]
# ## Measuring accuracy (section 8.4.1)
# For each class, the shares of its val images that the network calls an airplane and a bird.
# %%
def measure(network: nn.Module) -> None:
    for part, (images, labels) in zip(("train", "val"), ready, strict=True):
        guesses = evaluation.compute_logits(network, images, mirror=False).argmax(dim=1)
        print(f"accuracy on {part}: {(guesses == labels).double().mean():.2f}")
    for i in numbers:
        shares = guesses[labels == i].bincount(minlength=len(classes)) / sum(labels == i)
        called = [f"{share:.0%} {name}" for share, name in zip(shares, classes, strict=True)]
        print(f"images of {classes[i]}, called: {', '.join(called)}")


measure(network)
# %% [markdown]
# ## The network that DVC trained (section 8.4.2)
# `dvc repro` trains the network of `params.yaml` by the same loop, and keeps what it has learned.
# %%
trained, description = network, checkpoint.Description("net", {}, classes, train.source)
if Path("models/model.pt").exists():
    trained, description = checkpoint.load("models/model.pt")
    print(f"{description.name}, trained on {description.source}")
    measure(trained.to(place))
else:
    print("Type `dvc repro` in a terminal to train it. Until then, your network answers below.")
# %% [markdown]
# ## Comparing the designs (section 8.5.4)
# DVC keeps the settings and results of each experiment. Type
# `dvc exp run --name notebook-width -S model.name=netwidth` in a terminal, and run this cell again.
# %%
print(experiments.table(dvc.api.exp_show(), images="data/cifar2"))
# %% [markdown]
# ## Asking about a picture
# These are two new drawings. For your own picture, use `asked = [pictures.read("photo.jpg", 32)]`.
# A relative path starts at the project's folder.
# %%
asked = [Image.fromarray(each.transpose(1, 2, 0)) for each in synthetic.draw(1, seed=8)[0]]
seen = [(each, pictures.resize(each, "crop", 32)) for each in asked]
answers = list(prediction.predict(asked, trained, description))
show(sheet.contact_sheet(["first", "second"], seen, answers))
# %% [markdown]
# ## Change this and run again
# 1. In `settings`, change `lr` or `optimizer` of `train`, or `l2` of `regularization` (8.5.2).
# 2. Give `Net` twice the channels (8.5.1), a third convolution (8.5.3), or kernels of 5×5 (8.8).
# 3. Ask about a picture that shows neither an airplane nor a bird (8.8).
#
# [docs/chapter.md](chapter.md) has DVC's commands for each section of the chapter.
