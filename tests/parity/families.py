"""The tutorials' systems, as their traces describe them: which model, and what each name means.

Everything is read from a trace's `meta`: the names of its variables tell the family, `hyper` the
sizes, `losses` the objective, `update_order` the step, `x_rule` the range of the pixels.
"""

from typing import Any, NamedTuple

from minigan.gan import GAN, dcgan, dcgan_conditional, dcgan_images, dcgan_pooling, mlp_gan


class Family(NamedTuple):
    """What the variables of one kind of trace are called in minigan."""

    layers: dict[str, str]
    parameters: dict[str, str]

    def translated(self, name: str) -> str:
        """A variable's name in minigan: `generator/g_h0_lin/Matrix`, `generator.project.kernel`."""
        layer, _, parameter = name.rpartition("/")
        if not layer:  # G_W1
            layer, parameter = name[:-2] + name[-1], name[-2]
        return f"{self.layers[layer]}.{self.parameters.get(parameter, parameter)}"


MLP = Family(
    layers={"G_1": "generator.hidden", "G_2": "generator.output",
            "D_1": "discriminator.hidden", "D_2": "discriminator.output"},
    parameters={"W": "kernel", "b": "bias"},
)  # fmt: skip

CARPEDM20 = {"Matrix": "kernel", "w": "kernel", "biases": "bias"}

IMAGES = Family(
    layers={
        "generator/g_h0_lin": "generator.project",
        **{f"generator/g_h{i}": f"generator.deconv{i}" for i in (1, 2, 3, 4)},
        **{f"generator/g_bn{i}": f"generator.norm{i}" for i in (0, 1, 2, 3)},
        **{f"discriminator/d_h{i}_conv": f"discriminator.conv{i}" for i in (0, 1, 2, 3)},
        **{f"discriminator/d_bn{i}": f"discriminator.norm{i}" for i in (1, 2, 3)},
        "discriminator/d_h4_lin": "discriminator.output",
    },
    parameters=CARPEDM20,
)

CONDITIONAL = Family(
    layers={
        **{f"generator/g_h{i}_lin": f"generator.project{i}" for i in (0, 1)},
        **{f"generator/g_h{i}": f"generator.deconv{i}" for i in (2, 3)},
        **{f"generator/g_bn{i}": f"generator.norm{i}" for i in (0, 1, 2)},
        **{f"discriminator/d_h{i}_conv": f"discriminator.conv{i}" for i in (0, 1)},
        **{f"discriminator/d_bn{i}": f"discriminator.norm{i}" for i in (1, 2)},
        "discriminator/d_h2_lin": "discriminator.hidden2",
        "discriminator/d_h3_lin": "discriminator.output",
    },
    parameters=CARPEDM20,
)

TF_LAYERS = Family(
    layers={
        "Generator/dense": "generator.project",
        "Generator/batch_normalization": "generator.norm0",
        "Generator/conv2d_transpose": "generator.deconv1",
        "Generator/batch_normalization_1": "generator.norm1",
        "Generator/conv2d_transpose_1": "generator.deconv2",
        "Discriminator/conv2d": "discriminator.conv1",
        "Discriminator/batch_normalization": "discriminator.norm1",
        "Discriminator/conv2d_1": "discriminator.conv2",
        "Discriminator/batch_normalization_1": "discriminator.norm2",
        "Discriminator/dense": "discriminator.hidden",
        "Discriminator/batch_normalization_2": "discriminator.norm3",
        "Discriminator/dense_1": "discriminator.scores",
    },
    parameters={},
)


def family_of(meta: dict[str, Any]) -> Family:
    """The family of a trace, by the names of its variables."""
    names = meta["variables"]
    if "G_W1" in names:
        return MLP
    if "generator/g_h0_lin/Matrix" in names:
        return CONDITIONAL if "generator/g_h1_lin/Matrix" in names else IMAGES
    if "Generator/dense/kernel" in names:
        return TF_LAYERS
    raise SystemExit(f"{meta['name']}: no family of the tutorials has {sorted(names)[:3]}")


def gan_of(meta: dict[str, Any], dtype: str) -> GAN:
    """A model with the trace's sizes; its weights are still to be loaded."""
    family, hyper, names = family_of(meta), meta["hyper"], meta["variables"]
    if family is MLP:
        return mlp_gan(hyper["hidden"], hyper["z_dim"], shape_of(names["D_W1"])[0], dtype=dtype)
    if family is TF_LAYERS:
        model = dcgan if "Generator/batch_normalization/gamma" in names else dcgan_pooling
        filters = (hyper["g0"], hyper["g1"]), (hyper["f1"], hyper["f2"])
        return model(hyper["z_dim"], *filters, hyper["fc"], dtype=dtype)
    sizes = {
        "output_height": hyper["oh"], "output_width": hyper["ow"], "c_dim": hyper["c_dim"],
        "z_dim": hyper["z_dim"], "gf_dim": hyper["gf"], "df_dim": hyper["df"],
    }  # fmt: skip
    if family is IMAGES:
        return dcgan_images(**sizes, dtype=dtype)
    return dcgan_conditional(
        **sizes, y_dim=hyper["y_dim"], gfc_dim=hyper["gfc"], dfc_dim=hyper["dfc"], dtype=dtype
    )


def shape_of(variable: Any) -> tuple[int, ...]:
    """A variable's shape; traces give it alone or in a table with more about the variable."""
    return tuple(variable["shape"] if isinstance(variable, dict) else variable)


def objective_of(meta: dict[str, Any]) -> str:
    """The key of OBJECTIVES that the trace's losses stand for."""
    formulas = " ".join([*meta["losses"], *meta["losses"].values()])
    if "softmax-CE(concat" in formulas:
        return "mean-cross-entropy"
    return "cross-entropy" if "sigmoid_ce" in formulas or "softmax-CE" in formulas else "log"


def order_of(meta: dict[str, Any]) -> str:
    """How the players take turns."""
    order = meta["update_order"]
    if order.startswith("ONE"):
        return "simultaneous"
    return "d-once-g-twice" if "d_run" in order else "alternating"
