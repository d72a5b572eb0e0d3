"""Trained models in formats that hold no code: skops, safetensors, and the boosters' own."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..nodes import Encoder, expect, name_of, take, unstorable

if TYPE_CHECKING:
    from collections.abc import Callable


#: Classes of scikit-learn itself that hold fitted state and that skops leaves to its user to trust.
#: Rebuilding one reads arrays and numbers; it calls nothing that the file names.
_TRUSTED: Final = frozenset(
    {
        "numpy.dtype",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.cluster._bisect_k_means._BisectingTree",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
    }
)


def encode(w: Encoder, value: Any) -> dict[str, Any] | None:
    """Return the node of a model or its state; None if it is nothing that is known here.

    Raises:
        NotSerializableError: its library's format cannot hold it, or is not installed.
    """
    if type(value) is OrderedDict:
        return _encode_state(w, value)
    encoder = _ENCODERS.get(type(value).__module__.partition(".")[0])
    return None if encoder is None else encoder(w, value)


def _encode_sklearn(w: Encoder, value: Any) -> dict[str, Any]:
    try:
        import skops.io  # noqa: PLC0415
    except ImportError:
        raise unstorable(
            f"{name_of(type(value))} is stored with skops: pip install 'stepbook[ml]'"
        ) from None
    try:
        data = skops.io.dumps(value)
        untrusted = set(skops.io.get_untrusted_types(data=data)) - _TRUSTED
    except Exception as error:
        raise unstorable(f"{name_of(type(value))} cannot be written by skops: {error}") from error
    if untrusted:
        raise unstorable(
            f"{name_of(type(value))} holds {', '.join(sorted(untrusted))}, which skops does not "
            "trust; write it with ctx.file(name) in a format of your choice"
        )
    return w.blob(
        "sklearn",
        "skops",
        lambda file: file.write(data),
        size=len(data),
        facts={"class": name_of(type(value))},
        preview=lambda: repr(value)[:400],
        always_file=True,
    )


def _decode_sklearn(node: dict[str, Any], data: bytes) -> Any:
    import skops.io  # noqa: PLC0415

    (name,) = take(node, "class")
    value = skops.io.loads(data, trusted=sorted(_TRUSTED))
    if name_of(type(value)) != name:
        raise ValueError(f"the file holds a {name_of(type(value))}")
    return value


def _encode_torch(w: Encoder, value: Any) -> dict[str, Any] | None:
    import torch  # noqa: PLC0415

    if isinstance(value, torch.nn.Module):
        raise unstorable("a torch module is code as much as data; return its state_dict()")
    if isinstance(value, torch.dtype | torch.device | torch.Size):
        raise unstorable(f"{name_of(type(value))}; return its str or a tuple")
    if type(value) not in (torch.Tensor, torch.nn.Parameter):
        return None
    facts = {"requires_grad": value.requires_grad, "parameter": type(value) is torch.nn.Parameter}
    return _encode_tensors(
        w,
        "torch.Tensor",
        {"value": value},
        {"shape": list(value.shape), "dtype": str(value.dtype), **facts},
        lambda: [str(item) for item in value.detach().flatten()[:10].tolist()],
    )


def _encode_state(w: Encoder, value: OrderedDict[str, Any]) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    if not all(type(k) is str and type(v) is torch.Tensor for k, v in value.items()):
        raise unstorable("an OrderedDict of which only some values are tensors; make it a dict")
    if any(tensor.requires_grad for tensor in value.values()):
        raise unstorable("tensors that require a gradient; return what state_dict() gives")
    shapes = {
        name[:60]: [str(tensor.dtype), *tensor.shape] for name, tensor in list(value.items())[:20]
    }
    # torch keeps the versions of the layers' states in an attribute.
    facts = {"names": list(value), "attributes": w.field("attributes", dict(vars(value)))}
    return _encode_tensors(w, "torch.state_dict", dict(value), facts, lambda: shapes)


def _encode_tensors(
    w: Encoder,
    kind: str,
    tensors: dict[str, Any],
    facts: dict[str, Any],
    preview: Callable[[], Any],
) -> dict[str, Any]:
    try:
        from safetensors.torch import save  # noqa: PLC0415
    except ImportError:
        raise unstorable(
            "tensors are stored with safetensors: pip install 'stepbook[ml]'"
        ) from None
    for tensor in tensors.values():
        if tensor.device.type != "cpu":
            raise unstorable(f"a tensor on {tensor.device}; bring it to the CPU with .cpu()")
        if tensor.grad_fn is not None:
            raise unstorable("a tensor with its history; take that off with .detach()")
    try:
        # Each on memory of its own: tied weights share theirs, which the format refuses.
        data = save({name: item.detach().clone().contiguous() for name, item in tensors.items()})
    except Exception as error:
        raise unstorable(f"a tensor that safetensors cannot hold: {error}") from error
    return w.blob(
        kind,
        "safetensors",
        lambda file: file.write(data),
        size=len(data),
        facts=facts,
        preview=preview,
    )


def _decode_tensor(node: dict[str, Any], data: bytes) -> Any:
    import torch  # noqa: PLC0415
    from safetensors.torch import load  # noqa: PLC0415

    shape, dtype, needs_grad, parameter = take(node, "shape", "dtype", "requires_grad", "parameter")
    value = load(data)["value"]
    if list(value.shape) != shape or str(value.dtype) != dtype:
        raise ValueError("the file holds another tensor")
    if parameter:
        return torch.nn.Parameter(value, requires_grad=expect(needs_grad, bool))
    return value.requires_grad_(requires_grad=True) if expect(needs_grad, bool) else value


def _decode_state(node: dict[str, Any], data: bytes) -> OrderedDict[str, Any]:
    from safetensors.torch import load  # noqa: PLC0415

    names, attributes = take(node, "names", "attributes")
    tensors = load(data)
    if sorted(names) != sorted(tensors):
        raise ValueError("the file holds other tensors")
    value = OrderedDict((name, tensors[name]) for name in names)
    vars(value).update(attributes)
    return value


def _encode_xgboost(w: Encoder, value: Any) -> dict[str, Any] | None:
    import xgboost  # noqa: PLC0415

    cls = type(value)
    if cls is xgboost.Booster:
        data, params = bytes(value.save_raw("ubj")), None
    elif issubclass(cls, xgboost.XGBModel) and getattr(xgboost, cls.__name__, None) is cls:
        params = w.field("params", value.get_params(deep=False))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.ubj")
            value.save_model(path)
            data = path.read_bytes()
    else:
        return None
    return w.blob(
        "xgboost",
        "ubj",
        lambda file: file.write(data),
        size=len(data),
        facts={"class": cls.__name__, "params": params},
        preview=lambda: name_of(cls),
        always_file=True,
    )


def _decode_xgboost(node: dict[str, Any], data: bytes) -> Any:
    import xgboost  # noqa: PLC0415

    name, params = take(node, "class", "params")
    cls = getattr(xgboost, name)
    if not issubclass(cls, xgboost.Booster | xgboost.XGBModel):
        raise ValueError(f"{name} is no model")  # noqa: TRY004 - the record is wrong, not a type
    value = cls(**(params or {}))
    value.load_model(bytearray(data))
    if params is not None:
        value.set_params(**params)  # loading has filled in what was left to the library
    return value


def _encode_lightgbm(w: Encoder, value: Any) -> dict[str, Any] | None:
    import lightgbm  # noqa: PLC0415

    if isinstance(value, lightgbm.LGBMModel):
        raise unstorable(
            f"{name_of(type(value))} cannot be rebuilt from LightGBM's own format; return its "
            "booster_, which predicts the same"
        )
    if type(value) is not lightgbm.Booster:
        return None
    data = value.model_to_string(num_iteration=-1).encode()
    return w.blob(
        "lightgbm",
        "txt",
        lambda file: file.write(data),
        size=len(data),
        facts={"best_iteration": value.best_iteration},
        preview=lambda: {"trees": value.num_trees(), "features": value.num_feature()},
        always_file=True,
    )


def _decode_lightgbm(node: dict[str, Any], data: bytes) -> Any:
    import lightgbm  # noqa: PLC0415

    (best,) = take(node, "best_iteration")
    value = lightgbm.Booster(model_str=data.decode())
    value.best_iteration = expect(best, int)
    return value


_ENCODERS: Final[dict[str, Callable[[Encoder, Any], dict[str, Any] | None]]] = {
    "sklearn": _encode_sklearn,
    "torch": _encode_torch,
    "xgboost": _encode_xgboost,
    "lightgbm": _encode_lightgbm,
}

_DECODERS: Final[dict[str, Callable[[dict[str, Any], bytes], Any]]] = {
    "sklearn": _decode_sklearn,
    "torch.Tensor": _decode_tensor,
    "torch.state_dict": _decode_state,
    "xgboost": _decode_xgboost,
    "lightgbm": _decode_lightgbm,
}

KINDS: Final = frozenset(_DECODERS)


def decode(
    kind: str, node: dict[str, Any], content: Callable[[Callable[[int], Any]], memoryview]
) -> Any:
    """Return the model or state that *node* stands for.

    Args:
        kind: one of :data:`KINDS`.
        node: with everything inside rebuilt already; fields that say where its bytes are taken
            out.
        content: reads the bytes into a buffer made by the function that it is given.
    """
    return _DECODERS[kind](node, bytes(content(bytearray)))
