"""Resizing by fixed products is PyTorch's own, and leaves nothing that deterministic mode refuses."""

import pytest
import torch
from stores import make_store, study_of
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from hnscc.study.trials import Trial
from hnscc.study.variant_schema import Network
from hnscc.training.boundary import begin
from hnscc.training.fit import Fit
from hnscc.training.network import build_network
from hnscc.training.resizing import resize_by_products

ARCHITECTURES = {
    "unet": "resnet18",
    "unetplusplus": "resnet18",
    "manet": "resnet18",
    "linknet": "resnet18",
    "fpn": "resnet18",
    "pspnet": "resnet18",
    "deeplabv3": "resnet18",
    "deeplabv3plus": "resnet18",
    "pan": "resnet18",
    "upernet": "resnet18",
    "segformer": "resnet18",
    "dpt": "tu-vit_tiny_patch16_224",
}
# aten's names of what torch.use_deterministic_algorithms refuses on CUDA (its documentation, and the names in
# libtorch_cuda.so), and of the bilinear resizing that it replaces by gathers.
REFUSED = (
    "_adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d",
    "adaptive_max_pool2d",
    "avg_pool3d_backward",
    "bincount",
    "cummax",
    "cumsum",
    "embedding_bag",
    "fractional_max_pool",
    "grid_sampler",
    "histc",
    "index_add",
    "index_put",
    "kthvalue",
    "max_pool3d",
    "max_unpool",
    "median",
    "nll_loss2d",
    "put_",
    "reflection_pad",
    "replication_pad",
    "resize_",
    "scatter",
    "_upsample_bilinear2d_aa",
    "upsample_bicubic2d",
    "upsample_bilinear2d",
    "upsample_linear1d",
    "upsample_trilinear3d",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


class Called(nn.Module):
    """A network of one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


FUNCTIONS = {
    "twice, corners aligned": lambda x: functional.interpolate(
        x, scale_factor=2, mode="bilinear", align_corners=True
    ),
    "twice": lambda x: functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False),
    "by the default of the corners": lambda x: functional.interpolate(x, scale_factor=4.0, mode="bilinear"),
    "by broken factors": lambda x: functional.interpolate(x, scale_factor=(1.7, 2.3), mode="bilinear"),
    "by a broken factor, computed again": lambda x: functional.interpolate(
        x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True
    ),
    "to a size, corners aligned": lambda x: functional.interpolate(x, (17, 5), None, "bilinear", True),
    "to that size, corners not aligned": lambda x: functional.interpolate(
        x, (17, 5), None, "bilinear", False
    ),
    "to a size": lambda x: functional.interpolate(x, size=x.new_empty(20, 3).shape, mode="bilinear"),
    "smaller, smoothed": lambda x: functional.interpolate(x, (4, 3), mode="bilinear", antialias=True),
    "by a module": nn.UpsamplingBilinear2d(scale_factor=8),
    "by another module": nn.Upsample(size=11, mode="bilinear"),
    "pooled to 1": nn.AdaptiveAvgPool2d(1),
    "pooled to 2": nn.AdaptiveAvgPool2d(2),
    "pooled to 3": nn.AdaptiveAvgPool2d((3, 3)),
    "pooled to 6": nn.AdaptiveAvgPool2d(6),
    "pooled along one axis": nn.AdaptiveAvgPool2d((None, 4)),
    "nearest": lambda x: functional.interpolate(x, scale_factor=2, mode="nearest"),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_outputs_and_gradients_are_pytorchs_own(function):
    torch.manual_seed(0)
    images = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    found = []
    for network in (Called(function), resize_by_products(Called(function))):
        given = images.clone().requires_grad_()
        out = network(given)
        torch.manual_seed(1)
        (out * torch.randn_like(out)).sum().backward()
        found.append((out.detach(), given.grad))
    (theirs, their_gradient), (ours, our_gradient) = found
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    assert (ours - theirs).abs().max().item() < 1e-14
    assert (our_gradient - their_gradient).abs().max().item() < 5e-14


def test_each_of_many_calls_is_by_its_own_matrices():
    """All in one network, which meets slices of other sides, and numbers of another precision, later on."""
    network = Called(lambda x: [each(x) for each in FUNCTIONS.values()])
    ours = resize_by_products(Called(network.function))
    for sides in ((9, 7), (8, 8), (7, 9), (9, 7)):
        for dtype in (torch.float64, torch.float32):
            images = torch.rand(1, 2, *sides, dtype=dtype)
            for name, found, expected in zip(FUNCTIONS, ours(images), network(images), strict=True):
                torch.testing.assert_close(found, expected, msg=f"{name}, {sides}, {dtype}")
            assert "forward" in vars(ours), "it goes on by products"


@pytest.mark.parametrize("name", ["twice, corners aligned", "by a module", "pooled to 3"])
def test_half_precision_is_summed_in_single(name):
    """As PyTorch's own function does: one rounding, at the end."""
    torch.manual_seed(0)
    images = torch.randn(2, 3, 9, 7).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = resize_by_products(Called(FUNCTIONS[name]))(images)
    exact = FUNCTIONS[name](images.double())
    assert out.dtype == torch.bfloat16
    assert ((out.double() - exact).abs() <= exact.abs() * 2.0**-8 + 1e-6).all()


def operations(model, size):
    """The names of what one forward and backward pass on the device without data calls, aten's own."""
    names = set()

    class _Listing(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            tensors = [each for each in torch.utils._pytree.tree_leaves((args, out)) if torch.is_tensor(each)]
            if any(each.device.type == "meta" for each in tensors):  # others make the fixed matrices
                names.add(func.overloadpacket._qualified_op_name.removeprefix("aten::"))
            return out

    with _Listing():
        model(torch.empty(2, 2, size, size, device="meta")).sum().backward()
    return names


def refused(names):
    return sorted(name for name in names if name.startswith(REFUSED))


@pytest.mark.quick(3)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_architecture_calls_what_deterministic_mode_refuses(architecture):
    network = Network(architecture=architecture, encoder=ARCHITECTURES[architecture])
    size = {"dpt": 224, "pan": 128}.get(architecture, 64)
    model = build_network(network, 2, seed=0).to("meta").train()
    before = refused(operations(model, size))
    clean = architecture in ("unet", "unetplusplus", "manet", "linknet")
    assert clean == (before == []), "the scan sees what there is"
    names = operations(resize_by_products(model), size)
    assert "convolution" in names and "convolution_backward" in names
    assert refused(names) == []


def test_a_network_that_resizes_nothing_so_is_left_as_it_was():
    model = resize_by_products(
        build_network(Network(architecture="unet", encoder="resnet18"), 2, seed=0).eval()
    )
    assert "forward" in vars(model)
    model(torch.zeros(1, 2, 32, 32))
    assert "forward" not in vars(model)
    pooled = resize_by_products(Called(FUNCTIONS["pooled to 1"]))
    pooled(torch.zeros(1, 2, 32, 32))
    assert "forward" not in vars(pooled)


@pytest.mark.quick(2)
@pytest.mark.parametrize("architecture", ["fpn", "pspnet", "unet"])
def test_training_on_a_gpu_resizes_by_products(small, architecture):
    """On tensors that claim to lie on a GPU and hold no data; the flag of deterministic mode is on."""
    study = study_of(
        small.location, training={"network": {"architecture": architecture, "encoder": "resnet18"}}
    )
    began = begin(study, Trial("pet_mri", 0, 0), "d", device="cuda", precision="fp32")
    model = build_network(study.training.network, 2, seed=0)
    names = []

    class _Listing(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            names.append(func.overloadpacket._qualified_op_name.removeprefix("aten::"))
            return func(*args, **(kwargs or {}))

    torch.set_deterministic_debug_mode("error")
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            fit = Fit.start(model, study.training, began)
            with _Listing():
                out = fit.network(torch.empty(2, 2, 64, 64, device="cuda"))
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)
        torch.set_deterministic_debug_mode("default")
    assert out.device.type == "cuda" and out.shape == (2, 1, 64, 64)
    assert "_unsafe_index" not in names and "index" not in names  # the decomposition, whose gradient sorts
    assert ("mm" in names or "bmm" in names) is (architecture != "unet")


def test_names_of_weights_stay():
    network = Network(architecture="fpn", encoder="resnet18")
    model = build_network(network, 2, seed=0)
    names = list(model.state_dict())
    assert list(resize_by_products(model).state_dict()) == names
