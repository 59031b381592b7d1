"""Check this project on a GPU, and time it there: python -m bench.gpu, behind `dvc repro`."""

import io

import torch
from torch.profiler import profile

from bench import loops
from bench.loops import Labelled, settings, started
from bench.machine import ROOT
from cifar2 import models
from cifar2.params import Params
from cifar2.training import loop


def main() -> None:
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    names = models.list_models()
    train, val = loops.load(ROOT / "data/cifar2", "cuda")
    check(names, train, val)
    loops.beside_the_chapter(names, 3, train, val)


def check(names: list[str], train: Labelled, val: Labelled) -> None:
    print("\nsame bytes twice, and after a stop; copies between host and device in an epoch")
    print("network      float32     tf32 bfloat16  resumed   copies")
    for name in names:
        same = []
        for precision in ("float32", "tf32", "bfloat16"):
            run = settings(name, epochs=2, precision=precision)
            same.append(trained(run, train, val) == trained(run, train, val))
        run = settings(name, epochs=2)
        same.append(trained(run, train, val) == trained(run, train, val, stop=True))
        cells = " ".join(f"{'same' if each else 'DIFFER':>8}" for each in same)
        print(f"{name:<11} {cells} {copies(settings(name, epochs=1), train, val):>8}")


def trained(run: Params, train: Labelled, val: Labelled, stop: bool = False) -> bytes:
    """Return the bytes of a network's weights; stopped after its first epoch, and resumed."""
    state = started(run, train)
    if stop:
        next(loop.fit(state, train, val, run))
        saved = io.BytesIO()
        torch.save(state.state_dict(), saved)
        saved.seek(0)
        state = started(run, train)
        torch.manual_seed(0)  # whatever another process did
        state.load_state_dict(torch.load(saved, map_location="cpu", weights_only=True))
    list(loop.fit(state, train, val, run))
    weights = state.model.state_dict().values()
    return b"".join(each.cpu().contiguous().numpy().tobytes() for each in weights)


def copies(run: Params, train: Labelled, val: Labelled) -> int:
    """Return how often an epoch copies between host and device."""
    state = started(run, train)
    with profile() as profiled:  # of the CPU, and of CUDA where it is
        list(loop.fit(state, train, val, run))
    found = [each for each in profiled.key_averages() if each.key.startswith("Memcpy")]
    return sum(each.count for each in found if "HtoD" in each.key or "DtoH" in each.key)


if __name__ == "__main__":
    main()
