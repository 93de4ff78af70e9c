"""A backbone with its tuners and a head: what is trained, exported and loaded."""

from torch import Tensor, nn

from utsearch.backbones import Backbone
from utsearch.tuning.attach import Tuned


class Classifier(nn.Module):
    """A frozen backbone with its tuners and a linear head; only tuners and head learn or ever leave eval mode."""

    def __init__(self, backbone: Backbone, head: nn.Linear, tuned: Tuned | None = None) -> None:
        super().__init__()
        self.backbone = backbone.model
        self.head = head
        self._tuned = tuned

    @property
    def tuned(self) -> Tuned | None:
        """The tuners on the backbone; None where it was made without any."""
        return self._tuned

    def forward(self, images: Tensor) -> Tensor:
        """(images, 3, h, w) to logits (images, classes)."""
        return self.head(self.backbone(images))

    def train(self, mode: bool = True) -> "Classifier":
        """Put tuners and head in training mode; the frozen part stays in eval mode."""
        self.training = mode
        self.head.train(mode)
        if self._tuned is not None:
            self._tuned.train(mode)
        return self

    def tuner_parameters(self) -> dict[float, list[nn.Parameter]]:
        """What the tuners learn, by their learning rate relative to the recipe's; the head is apart."""
        return {} if self._tuned is None else self._tuned.by_rate()

    def learnt(self) -> dict[str, Tensor]:
        """A copy of tuner and head tensors on the CPU, `tuner.…` and `head.…`."""
        tuner = {} if self._tuned is None else self._tuned.state_dict()
        named = {f"tuner.{key}": value for key, value in tuner.items()}
        named |= {f"head.{key}": value for key, value in self.head.state_dict().items()}
        return {name: value.detach().cpu().clone().contiguous() for name, value in named.items()}
