"""The nets of model files written out as their authors describe them, in tiny: what ours are compared with.

Each has the state dict of its layout; weights are random. No code of theirs: layers in a row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name it has wherever torch is read

VGG = "3:3 3:4 r 4:4 r p 4:6 r 6:6 r p 6:8 r 8:8 r 8:8 r 8:8 r p 8:10 r"
DECODER = "10:8 r u 8:8 r 8:8 r 8:8 r 8:6 r u 6:6 r 6:4 r u 4:4 r 4:3"


class Padded(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, upsample: int = 0) -> None:
        super().__init__()
        self.upsample = upsample
        self.reflection_pad = nn.ReflectionPad2d(kernel // 2)
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample:
            x = F.interpolate(x, mode="nearest", scale_factor=self.upsample)
        return self.conv2d(self.reflection_pad(x))


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Padded(channels, channels, 3), Padded(channels, channels, 3)
        self.in1, self.in2 = nn.InstanceNorm2d(channels, affine=True), nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.in2(self.conv2(torch.relu(self.in1(self.conv1(x)))))


class TransformerNet(nn.Module):
    """Fast-neural-style, 0..255 in and out."""

    def __init__(self, first: int = 4, second: int = 6, third: int = 8, blocks: int = 5) -> None:
        super().__init__()
        self.conv1, self.in1 = Padded(3, first, 9), nn.InstanceNorm2d(first, affine=True)
        self.conv2, self.in2 = Padded(first, second, 3, 2), nn.InstanceNorm2d(second, affine=True)
        self.conv3, self.in3 = Padded(second, third, 3, 2), nn.InstanceNorm2d(third, affine=True)
        self.blocks = blocks
        for i in range(blocks):
            setattr(self, f"res{i + 1}", Residual(third))
        self.deconv1, self.in4 = Padded(third, second, 3, upsample=2), nn.InstanceNorm2d(second, affine=True)
        self.deconv2, self.in5 = Padded(second, first, 3, upsample=2), nn.InstanceNorm2d(first, affine=True)
        self.deconv3 = Padded(first, 3, 9)
        with torch.no_grad():  # a picture of 0..255 comes out, not one that is black
            self.deconv3.conv2d.weight *= 120
            self.deconv3.conv2d.bias.fill_(110)

    def forward(self, x: Tensor) -> Tensor:
        for i in (1, 2, 3):
            x = torch.relu(getattr(self, f"in{i}")(getattr(self, f"conv{i}")(x)))
        for i in range(self.blocks):
            x = getattr(self, f"res{i + 1}")(x)
        x = torch.relu(self.in4(self.deconv1(x)))
        x = torch.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)


class ManyStyles(nn.Module):
    """Conditional instance norm: convolutions without bias, a row of scales and shifts per style, a sigmoid."""

    def __init__(self, styles: int = 3) -> None:
        super().__init__()
        shapes = {"contract.0": (3, 4, 9), "contract.1": (4, 6, 3), "contract.2": (6, 8, 3)}
        shapes |= {f"res.{i}.{half}": (8, 8, 3) for i in range(5) for half in range(2)}
        shapes |= {"expand.0": (8, 6, 3), "expand.1": (6, 4, 3), "expand.2": (4, 3, 9)}
        self.tensors: dict[str, Tensor] = {}
        for name, (inputs, outputs, kernel) in shapes.items():
            self.tensors[f"{name}.w"] = torch.randn(outputs, inputs, kernel, kernel) * 0.1
            self.tensors[f"{name}.norm.gamma"] = torch.randn(styles, outputs)
            self.tensors[f"{name}.norm.beta"] = torch.randn(styles, outputs)

    def state_dict(self) -> dict[str, Tensor]:
        return self.tensors

    def _stage(self, name: str, x: Tensor, style: int, stride: int = 1) -> Tensor:
        weight = self.tensors[f"{name}.w"]
        half = weight.shape[-1] // 2
        x = F.conv2d(F.pad(x, (half,) * 4, mode="reflect"), weight, stride=stride)
        gamma, beta = self.tensors[f"{name}.norm.gamma"][style], self.tensors[f"{name}.norm.beta"][style]
        return F.instance_norm(x, weight=gamma, bias=beta, eps=1e-3)

    def forward(self, x: Tensor, style: int) -> Tensor:
        for i in range(3):
            x = torch.relu(self._stage(f"contract.{i}", x, style, 2 if i else 1))
        for i in range(5):
            x = x + self._stage(f"res.{i}.1", torch.relu(self._stage(f"res.{i}.0", x, style)), style)
        for i in range(2):
            x = torch.relu(self._stage(f"expand.{i}", F.interpolate(x, scale_factor=2, mode="nearest"), style))
        return torch.sigmoid(self._stage("expand.2", x, style))


def _in_a_row(plan: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for word in plan.split():
        if word == "r":
            layers.append(nn.ReLU())
        elif word == "p":
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        elif word == "u":
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        else:
            inputs, outputs = map(int, word.split(":"))
            if word == "3:3":
                layers.append(nn.Conv2d(3, 3, 1))
            else:
                layers.extend((nn.ReflectionPad2d(1), nn.Conv2d(inputs, outputs, 3)))
    return nn.Sequential(*layers)


class Adaptive(nn.Module):
    """AdaIN: `encoder` and `decoder` as the lists of layers their files were made of."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = _in_a_row(VGG), _in_a_row(DECODER)
        for layer in (*self.encoder, *self.decoder):
            if isinstance(layer, nn.Conv2d):  # torch's own start would lose the picture on the way
                nn.init.kaiming_normal_(layer.weight)
        with torch.no_grad():
            self.decoder[-1].weight *= 0.3
            self.decoder[-1].bias.fill_(0.5)

    def forward(self, content: Tensor, reference: Tensor) -> Tensor:
        x, y = self.encoder(content), self.encoder(reference)
        mean, mean_to = x.mean((2, 3), keepdim=True), y.mean((2, 3), keepdim=True)
        deviation, deviation_to = (torch.sqrt(f.var((2, 3), keepdim=True) + 1e-5) for f in (x, y))
        return self.decoder((x - mean) / deviation * deviation_to + mean_to)


def shaken(net: nn.Module) -> nn.Module:
    """Norms that do something: torch makes them with scale 1 and shift 0."""
    for name, value in net.named_parameters():
        if ".in" in f".{name}":
            nn.init.uniform_(value, 0.5, 1.5)
    return net.eval()
