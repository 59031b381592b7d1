"""Answers about pictures."""

import torch

from cifar2.data import dataset
from cifar2.deployment.prediction import predict
from cifar2.inference import evaluation
from cifar2.inference.checkpoint import Description
from tests.unit.settings import build

OWN = dataset.Preparation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
DESCRIPTION = Description("netdropout", {}, ["airplane", "bird", "cat"], "mine", OWN)


def test_answers_are_those_of_an_evaluation_with_the_network_s_own_preparation() -> None:
    network = build("netdropout", 3)
    images = torch.randint(256, (101, 3, 32, 32), dtype=torch.uint8)
    for mirror in (False, True):
        answers = list(predict(images, network, DESCRIPTION, mirror=mirror))
        normalized = dataset.normalize(images, OWN)
        logits = evaluation.compute_logits(network, normalized, mirror=mirror)
        expected = logits.softmax(dim=1).tolist()
        assert [list(each.probabilities.values()) for each in answers] == expected
