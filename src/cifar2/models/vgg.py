"""A small VGG."""

from torch import Tensor, nn


class VGG(nn.Module):
    """Seven 3×3 convolutions in three stages and two linear layers; 3,834,178 parameters.

    Source: the scheme of Simonyan, Zisserman, *Very Deep Convolutional Networks for Large-Scale
    Image Recognition* (2014), section 2.1, cut to 32×32 images. The
    weights are drawn as in He et al., *Delving Deep into Rectifiers* (2015), section 2.2, and the
    biases are 0: with PyTorch's own, narrower distribution the signal fades through nine layers,
    and plain SGD hardly learns.

    Shapes: [N, 3, 32, 32] → 2 convs, pool [N, 64, 16, 16] → 2 convs, pool [N, 128, 8, 8]
    → 3 convs, pool [N, 256, 4, 4] → linear [N, 512] → linear [N, num_classes].
    """

    def __init__(self, num_classes: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 3
        for widths in ((64, 64), (128, 128), (256, 256, 256)):
            for n_out in widths:
                layers += [nn.Conv2d(n_in, n_out, kernel_size=3, padding=1), nn.ReLU()]
                n_in = n_out
            layers.insert(-1, nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.fc1 = nn.Linear(256 * (size // 8) ** 2, 512)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(512, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = self.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)
