import pytest
import torch

from genimage_core.mixing import EMPTY, amplitude_ratio, partners


@pytest.mark.parametrize("n", [0, 1, 2, 3, 40])
def test_partners_are_one_cycle_in_each_class(n):
    generator = torch.Generator().manual_seed(n)
    order = torch.rand(n, generator=generator)
    labels = torch.randint(0, 3, (n,), generator=generator)
    partner = partners(order, labels)
    assert torch.equal(labels[partner], labels)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0].tolist()
        walked, at = [], members[0]
        while at not in walked:
            walked.append(at)
            at = int(partner[at])
        assert sorted(walked) == members


def test_partners_follow_the_order():
    assert partners(torch.tensor([0.3, 0.1, 0.2]), torch.zeros(3)).tolist() == [1, 2, 0]


def test_the_ratio_makes_the_mixed_amplitude():
    own, other = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([3.0, 0.0, 4.0])
    ratio = amplitude_ratio(own.clone(), other.clone(), torch.tensor(0.25), (8, 8))
    torch.testing.assert_close(ratio * own, 0.75 * own + 0.25 * other)
    assert torch.equal(amplitude_ratio(own.clone(), other.clone(), torch.tensor(0.0), (8, 8)), torch.ones(3))


def test_what_is_empty_or_rounding_is_left_alone():
    own = torch.tensor([0.0, 0.5, 2.0]) * EMPTY * 8
    ratio = amplitude_ratio(own.clone(), torch.ones(3), torch.tensor(1.0), (8, 8))
    assert ratio[:2].tolist() == [1, 1]
    assert float(ratio[2] * own[2]) == pytest.approx(1)
