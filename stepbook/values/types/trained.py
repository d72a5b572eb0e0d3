"""Trained models in formats that hold no code: skops, safetensors, and the boosters' own."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...errors import ArtifactError
from ..nodes import Encoder, expect, name_of, take, unstorable
from .living import keeps_pickles
from .npy import from_npy

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..budget import Budget
    from ..parts import Content


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
#: Parameters of XGBoost and LightGBM by which these open, write or load files.
_FILES: Final = frozenset(
    """
    cache cache_prefix config config_file convert_model convert_model_file data data_filename
    dump_path external_memory forcedbins_filename forcedsplits_filename fs input_model
    initscore_filename machine_list_file machine_list_filename machines mlist model_file
    model_dir model_in model_input model_out model_output output_model output_result test test_data
    train train_data valid valid_data valid_data_initscores
    """.split()
)
#: Deflate makes of one byte at most that many.
_MOST_DEFLATED: Final = 1100


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
    if _cache_of(value):
        raise unstorable(
            f"{name_of(type(value))} keeps pickles in a folder, which a replay would trust; set "
            "memory=None before you return it"
        )
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


def _decode_sklearn(node: dict[str, Any], data: bytes, budget: Budget) -> Any:
    import skops.io  # noqa: PLC0415

    (name,) = take(node, "class")
    _check_zip(data, budget)
    value = skops.io.loads(data, trusted=sorted(_TRUSTED))
    if name_of(type(value)) != name:
        raise ValueError(f"the file holds a {name_of(type(value))}")
    if folder := _cache_of(value):
        raise ArtifactError(
            f"it is a model that keeps pickles in the folder {folder!r}, and would load what "
            "somebody has put there"
        )
    return value


def _check_zip(data: bytes, budget: Budget) -> None:
    """Ask for what the members of a zip file are unpacked, and arrays in them declare."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for member in file.infolist():
            if member.file_size > max(member.compress_size, 1) * _MOST_DEFLATED:
                raise ValueError("a member of the file that cannot have what it declares")
            budget.allocate(member.file_size)
            content = file.read(member)
            if member.filename.endswith(".npy"):
                from_npy(memoryview(content))
            elif member.filename.endswith(".npz"):  # a sparse array
                _check_zip(content, budget)


def _cache_of(value: Any) -> Any:
    """Return the folder in which a part of a model keeps results of fits; None if none does."""
    waiting, seen = [value], {id(value)}
    while waiting:
        part = waiting.pop()
        inner: Any = ()
        if isinstance(part, dict):
            inner = part.values()
        elif isinstance(part, list | tuple):
            inner = part
        elif type(part).__module__.startswith("sklearn."):
            inner = getattr(part, "__dict__", {})
            if keeps_pickles(inner):
                return inner["memory"]
            inner = inner.values()
        for item in inner:
            if id(item) not in seen:
                seen.add(id(item))
                waiting.append(item)
    return None


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


def _decode_tensor(node: dict[str, Any], data: bytes, _: Budget) -> Any:
    import torch  # noqa: PLC0415
    from safetensors.torch import load  # noqa: PLC0415

    shape, dtype, needs_grad, parameter = take(node, "shape", "dtype", "requires_grad", "parameter")
    value = load(data)["value"]
    if list(value.shape) != shape or str(value.dtype) != dtype:
        raise ValueError("the file holds another tensor")
    if parameter:
        return torch.nn.Parameter(value, requires_grad=expect(needs_grad, bool))
    return value.requires_grad_(requires_grad=True) if expect(needs_grad, bool) else value


def _decode_state(node: dict[str, Any], data: bytes, _: Budget) -> OrderedDict[str, Any]:
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


def _decode_xgboost(node: dict[str, Any], data: bytes, _: Budget) -> Any:
    import xgboost  # noqa: PLC0415

    name, params = take(node, "class", "params")
    cls = vars(xgboost)[expect(name, str)]
    if not issubclass(cls, xgboost.Booster | xgboost.XGBModel):
        raise ValueError(f"{name} is no model")  # noqa: TRY004 - the record is wrong, not a type
    if cls is xgboost.Booster and params is not None:
        raise ValueError("a booster has no parameters of its own")
    if not _FILES.isdisjoint(expect(params, dict, type(None)) or ()):
        raise ArtifactError("its parameters name files that the library would open")
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


def _decode_lightgbm(node: dict[str, Any], data: bytes, _: Budget) -> Any:
    import lightgbm  # noqa: PLC0415

    (best,) = take(node, "best_iteration")
    value = lightgbm.Booster(model_str=data.decode())
    value.best_iteration = expect(best, int)
    for name in _FILES & value.params.keys():  # what it predicts does not depend on them
        del value.params[name]
    return value


_ENCODERS: Final[dict[str, Callable[[Encoder, Any], dict[str, Any] | None]]] = {
    "sklearn": _encode_sklearn,
    "torch": _encode_torch,
    "xgboost": _encode_xgboost,
    "lightgbm": _encode_lightgbm,
}

_DECODERS: Final[dict[str, Callable[[dict[str, Any], bytes, Budget], Any]]] = {
    "sklearn": _decode_sklearn,
    "torch.Tensor": _decode_tensor,
    "torch.state_dict": _decode_state,
    "xgboost": _decode_xgboost,
    "lightgbm": _decode_lightgbm,
}

KINDS: Final = frozenset(_DECODERS)


def decode(kind: str, node: dict[str, Any], content: Content) -> Any:
    """Return the model or state that *node* stands for.

    Args:
        kind: one of :data:`KINDS`.
        node: with everything inside rebuilt already; fields that say where its bytes are taken
            out.
        content: its bytes.
    """
    return _DECODERS[kind](node, bytes(content(bytearray)), content.budget)
