"""The known mistakes: a name, a sentence, and the recipes that make them. The more usual of two comes first."""

from __future__ import annotations

from dataclasses import dataclass

from refimpl.activations import BUILTIN
from refimpl.conformance.mistakes.functions import VARIANTS
from refimpl.conformance.mistakes.recipe import LimitRecipe, Recipe


@dataclass(frozen=True)
class Known:
    """A mistake that authors make.

    Parameters
    ----------
    name, explanation : str
    recipes : tuple of Recipe or LimitRecipe
        The ways to make it; each is compared with the answers by itself.
    quantities : tuple of str
        What it concerns; empty: all that its recipes change.
    """

    name: str
    explanation: str
    recipes: tuple[Recipe | LimitRecipe, ...]
    quantities: tuple[str, ...] = ()


def _known(name: str, explanation: str, *recipes: Recipe | LimitRecipe, only: tuple[str, ...] = ()) -> Known:
    return Known(name, explanation, recipes, only)


F, G = Recipe, LimitRecipe
KERNELS = ("ntk", "resnet_ntk")
GRADIENTS = ("gradient", "resnet_gradient")

_SCALES = (
    _known("sigma_u-missing", "h_0 = U x has no σ_u.", F(sigma_u=0), F(sigma_u=0, factor_u="sigma"), G(sigma_u=0)),
    _known("sigma_w-missing", "W φ(h)/√n has no σ_w.", F(sigma_w=0), F(sigma_w=0, adjoint_sigma_w=1), G(sigma_w=0)),
    # Before the next, which has the same gradients if λ_T is right; but it has wrong outputs too.
    _known("sigma_v-missing-in-gradient", "∂f/∂v has no σ_v.", F(factor_v="root"), only=GRADIENTS + KERNELS),
    _known("sigma_v-missing", "f = vᵀφ(h_T)/√n has no σ_v.",
           F(sigma_v=0), F(sigma_v=0, terminal_sigma_v=1), G(sigma_v=0)),
    _known("sigma_u-squared", "h_0 has σ_u², or q has σ_u where it has σ_u².",
           F(sigma_u=2), G(sigma_u=4), G(sigma_u=1)),
    _known("sigma_w-squared", "W has σ_w², or the limit σ_w where it has σ_w².",
           F(sigma_w=2), G(sigma_w=4), G(sigma_w=1)),
    _known("sigma_v-squared", "v has σ_v², or the limit σ_v where it has σ_v².",
           F(sigma_v=2), G(sigma_v=4), G(sigma_v=1)),
    _known("sigmas-missing", "No σ is used at all.",
           F(sigma_u=0, sigma_w=0, sigma_v=0), G(sigma_u=0, sigma_w=0, sigma_v=0)),
    _known("sqrt-n-missing", "W, v or both are not divided by √n.",
           F(root_w=0, root_v=0), F(root_w=0), F(root_v=0)),
    _known("1/n-scaling", "W, v or both are divided by n, not by √n: a mean over neurons.",
           F(root_w=1, root_v=1), F(root_v=1), F(root_w=1)),
    _known("sqrt-d-scaling", "h_0 = σ_u U x is divided by √d, or by d: a convention of other papers.",
           F(root_d=0.5), F(root_d=1), G(root_d=1), G(root_d=2)),
    _known("inputs-normalised", "Inputs are scaled to norm 1, somewhere or everywhere.",
           F(unit_inputs=True), G(normalised="inputs")),
)  # fmt: skip

_FORWARD = (
    _known("W-transposed-forward", "The forward pass has Wᵀ for W, as h @ W has for rows h.",
           F(transposed=True), F(transposed=True, adjoint_w="plain"),
           F(transposed=True, pairing="transposed"), F(transposed=True, adjoint_w="plain", pairing="transposed")),
    _known("horizon-ignored", "T = 1 whatever the horizon.", F(horizon="one"), G(horizon="one")),
    _known("horizon-squared", "T² for T.", F(horizon="squared"), G(horizon="squared")),
    _known("horizon-halved", "T/2 for T.", F(horizon="half"), G(horizon="half")),
    _known("horizon-doubled", "2T for T.", F(horizon="double"), G(horizon="double")),
    _known("step-1/L-for-T/L", "A layer has the step 1/L, not T/L: the horizon is ignored.",
           F(step="1/L"), G(step="1/L")),
    _known("step-missing", "A layer has the step 1, or T: it is not divided by L.",
           F(step="1"), F(step="T"), G(step="1")),
    _known("one-layer-too-many", "L + 1 layers for L.", F(extra_layers=1), F(extra_layers=1, step="fitting"),
           G(extra_layers=1), G(extra_layers=1, step="fitting")),
    _known("one-layer-too-few", "L − 1 layers for L.", F(extra_layers=-1), F(extra_layers=-1, step="fitting"),
           G(extra_layers=-1), G(extra_layers=-1, step="fitting")),
    _known("ode-for-resnet", "The Neural ODE is solved where the residual network is asked for.",
           F(step="ode"), G(step="ode")),
    _known("skip-connection-missing", "A layer replaces h and does not add to it.", F(skip=False)),
    _known("phi-after-W", "φ(W h) for W φ(h): the activation comes after the weights.", F(outside=True)),
    _known("phi-missing-at-readout", "f = vᵀh_T has no φ.", F(phi_output=False), G(first="S"), G(returned="state")),
    _known("phi-of-input", "φ is applied to h_0.", F(phi_input=True)),
    _known("initial-for-terminal-state", "h_0 is handed out for h_T.", F(returned="initial"), only=("terminal_state",)),
    _known("phi-of-terminal-state", "φ(h_T) is handed out for h_T.", F(returned="phi"), only=("terminal_state",)),
    _known("sign-of-output", "f has the wrong sign.", F(returned="negative"), only=("predict", "resnet_predict")),
)  # fmt: skip

_ADJOINT = (
    _known("adjoint-sign", "The adjoint equation has the wrong sign: λ is integrated as if it were a state.",
           F(sign=-1), F(returned="negative")),
    _known("adjoint-factor-lambda-missing", "The right-hand side of the adjoint equation has no λ.",
           F(factor_lambda=False), F(factor_lambda=False, slope_inside=True)),
    _known("W-for-W-transposed", "The adjoint equation has W for Wᵀ.", F(adjoint_w="plain"),
           F(adjoint_w="plain", slope_inside=True)),
    _known("phi'-inside", "The adjoint equation has Wᵀ(φ' ⊙ λ) for φ' ⊙ (Wᵀλ).", F(slope_inside=True)),
    _known("phi'-at-time-0", "φ' is taken at t = 0 throughout the adjoint equation.", F(slope_at="start")),
    _known("phi'-at-time-T", "φ' is taken at t = T throughout the adjoint equation.", F(slope_at="end")),
    _known("phi'-of-next-layer", "Backpropagation takes φ' at the end of a layer, not at its start.",
           F(slope_at="next")),
    _known("phi'-of-previous-layer", "Backpropagation takes φ' one layer too early.", F(slope_at="previous")),
    _known("phi'-reversed-in-time", "The adjoint equation takes φ' at T − t: the path is not reversed.",
           F(slope_at="reversed")),
    _known("phi'-missing", "The adjoint equation has no φ'.", F(slope_at="never"), F(slope="one")),
    _known("phi'-missing-at-readout", "λ_T has no φ'(h_T).", F(terminal_slope="none")),
    _known("phi-for-phi'", "φ is used for φ'.", F(slope="phi"), F(terminal_slope="phi")),
    _known("derivative-of-phi-at-phi", "φ' is taken at φ(h): the formula for it by the output was given the wrong one.",
           F(slope="of-phi")),
    _known("one-sided-kink", "φ'(0) at a kink has another convention, 1/2 or the slope on the other side.",
           F(slope="one-at-zero"), F(slope="half-at-zero"), F(slope="zero-at-zero"),
           F(terminal_slope="one-at-zero"), F(terminal_slope="half-at-zero")),
    _known("sigma_w-missing-in-adjoint", "The adjoint equation has no σ_w.", F(adjoint_sigma_w=0)),
    _known("sigma_w-squared-in-adjoint", "The adjoint equation has σ_w².", F(adjoint_sigma_w=2)),
    _known("sqrt-n-missing-in-adjoint", "The adjoint equation has no 1/√n.", F(adjoint_root=0)),
    _known("sigma_v-missing-in-adjoint", "λ_T has no σ_v.", F(terminal_sigma_v=0)),
    _known("sqrt-n-missing-in-terminal-adjoint", "λ_T has no 1/√n.", F(terminal_root=0)),
    _known("terminal-for-initial-adjoint", "λ_T is handed out for λ_0.",
           F(returned="terminal"), F(adjoint_w="none", sign=0),
           only=("initial_adjoint",)),
    _known("sigma_u-in-initial-adjoint", "σ_u λ_0 for λ_0: a derivative by U x, not by h_0.", F(returned="unscaled"),
           only=("initial_adjoint",)),
    _known("adjoint-not-integrated", "λ = λ_T throughout.", F(sign=0)),
)  # fmt: skip

_GRADIENT = (
    _known("rescaled-parameters", "The gradient is by rescaled U, W, v, as W/√n: the standard parameterisation.",
           F(factor_u="none", factor_w="none", factor_v="none"), F(factor_w="sigma", factor_v="sigma"),
           F(factor_w="none", factor_v="none"), F(factor_u="none", factor_w="root", factor_v="root")),
    _known("U-block-forgotten", "∂f/∂U is left out, in K_∞ the last term, q P_00.", F(blocks="Wv"), G(last="none")),
    _known("W-block-forgotten", "∂f/∂W is left out, in K_∞ the double integral in the middle.",
           F(blocks="Uv"), G(middle="none")),
    _known("v-block-forgotten", "∂f/∂v is left out, in K_∞ the first term, σ_v² Σ_TT.",
           F(blocks="UW"), G(first="none")),
    _known("W-block-only", "The blocks of U and v are left out.", F(blocks="W")),
    _known("v-block-only", "The blocks of U and W are left out: the kernel of a linear readout.", F(blocks="v")),
    _known("U-block-only", "The blocks of W and v are left out.", F(blocks="U")),
    _known("sigma_u-missing-in-gradient", "∂f/∂U has no σ_u.", F(factor_u="none"), only=GRADIENTS + KERNELS),
    _known("sigma_w-missing-in-gradient", "∂f/∂W has no σ_w.", F(factor_w="root"), only=GRADIENTS + KERNELS),
    _known("sqrt-n-missing-in-gradient", "∂f/∂W, or ∂f/∂v, has no 1/√n.", F(factor_w="sigma"), F(factor_v="sigma"),
           F(factor_w="none"), F(factor_v="none"), only=GRADIENTS + KERNELS),
    _known("sigma_w-for-its-square-in-kernel", "The block of W in K_θ has σ_w for σ_w².",
           F(factor_w="half"), only=KERNELS),
    _known("terminal-adjoint-in-U-gradient", "∂f/∂U is made of λ_T, which did not pass through the network.",
           F(through=False)),
    _known("phi-missing-in-W-gradient", "∂f/∂W = ∫ λhᵀ has h for φ(h).", F(pairing="state")),
    _known("W-gradient-transposed", "∂f/∂W is transposed: φλᵀ for λφᵀ.", F(pairing="transposed")),
    _known("right-riemann-sum", "∂f/∂W takes λ and φ at the right end of a step: a right Riemann sum.",
           F(pairing="right"),
           F(pairing="both")),
    _known("left-riemann-sum", "∂f/∂W takes λ and φ at the left end of a step: a left Riemann sum.", F(pairing="left")),
    _known("riemann-sum-shifted", "∂f/∂W pairs λ at the start of a layer with φ at its end.", F(pairing="both")),
    _known("lambda-reversed-in-time", "∂f/∂W pairs λ at T − t with φ at t: one of them is not reversed.",
           F(pairing="reversed")),
    _known("quadrature-weight-dropped", "∂f/∂W is a sum, or a mean, over times: the weight T/L, or dt, is missing.",
           F(weight="none"), F(weight="one")),
    _known("last-layer-only", "∂f/∂W has the last layer, or t = T, only.", F(pairing="last")),
    _known("first-layer-only", "∂f/∂W has the first layer, or t = 0, only.", F(pairing="first")),
    _known("first-node-dropped", "∂f/∂W leaves out the first layer: a node of the quadrature is dropped.",
           F(pairing="no-first")),
    _known("last-node-dropped", "∂f/∂W leaves out the last layer: a node of the quadrature is dropped.",
           F(pairing="no-last")),
    _known("mean-for-sum", "The gradient is that of the mean over the inputs, not of the sum.", F(batch="mean"),
           only=GRADIENTS),
    _known("gradient-of-squared-loss", "The gradient is that of a squared loss, not of the sum of outputs.",
           F(batch="loss"), F(batch="squares"), only=GRADIENTS),
    _known("one-sample-only", "The gradient is that of one output, the first or the last, not of the sum.",
           F(batch="first"), F(batch="last"), only=GRADIENTS),
)  # fmt: skip


def _gram(name: str, explanation: str, *kinds: str) -> Known:
    finite = tuple(Recipe(gram=kind) for kind in kinds)
    return Known(name, explanation, (*finite, *(LimitRecipe(gram=kind) for kind in kinds)))


_KERNEL = (
    _gram("kernel-symmetrised-by-sum", "The kernel is K + Kᵀ without the half: it is symmetrised wrongly.",
          "doubled", "double-off-diagonal", "double-diagonal", "half-diagonal"),
    _gram("kernel-symmetrised-off-diagonal", "Off the diagonal the kernel is halved: it is symmetrised wrongly.",
           "triangles"),
    _gram("kernel-triangle-only", "One triangle of the kernel is zero: it is not symmetrised.", "upper", "lower"),
    _gram("kernel-diagonal-only", "The kernel has its diagonal only.", "diagonal"),
    _gram("kernel-without-diagonal", "The kernel has no diagonal.", "no-diagonal"),
    _gram("correlation-for-covariance", "The kernel is divided by the roots of its diagonal.", "correlation"),
    _gram("kernel-mean-for-sum", "The kernel is divided by the number of neurons or of inputs.",
           "by-width", "by-inputs"),
    _gram("kernel-halved", "The kernel is half of what it is.", "half"),
    _gram("kernel-absolute", "The kernel has no negative entries.", "absolute"),
    _gram("kernel-sign", "The kernel has the wrong sign.", "negative"),
)  # fmt: skip

_LIMIT = (
    _known("Sigma_00-in-last-term", "The last term of K_∞ has Σ_00 for q = S_00.", G(last="Sigma")),
    _known("last-term-without-P", "The last term of K_∞ has P_T for P_00.", G(last="terminal")),
    _known("S_TT-in-last-term", "The last term of K_∞ has S_TT for S_00.", G(last="S")),
    _known("sigma_u-missing-in-last-term", "The last term of K_∞ has x·x̄ without σ_u².", G(last="unscaled")),
    _known("sigma_w-missing-in-middle-term", "The double integral of K_∞ has no σ_w², or σ_w only.",
           G(middle="no-sigma"),
           G(middle="root-sigma")),
    _known("quadrature-weight-dropped-in-limit", "The double integral of K_∞ is a sum, or a mean, over times.",
           G(middle="unweighted"), G(middle="once")),
    _known("S-in-middle-term", "The double integral of K_∞ has S for Σ.", G(middle="S")),
    _known("middle-term-at-terminal-time", "The double integral of K_∞ is taken as T² times its value at (T, T).",
           G(middle="terminal")),
    _known("sigma_v-missing-in-first-term", "The term Σ_TT of K_∞ has no σ_v².", G(first="unscaled")),
    _known("NNGP-for-NTK", "The NNGP kernel, σ_v² Σ_TT alone, is handed out for the NTK.", G(returned="nngp"),
           only=("limit_ntk", "limit_resnet_ntk")),
    _known("NTK-for-NNGP", "The NTK is handed out for the NNGP kernel.", G(returned="ntk"), only=("limit_nngp",)),
    _known("independent-weights", "The kernel is that of independent weights in every layer, not of shared ones.",
           F(gram="equal-times"), G(weights="independent"), G(weights="diffusion"), G(weights="diagonal")),
    _known("P-constant", "P is P_T throughout: it is not integrated.", G(adjoint="constant")),
    _known("P-reversed-in-time", "P is taken at (T − t, T − s), or integrated from 0: it runs the wrong way.",
           G(adjoint="reversed"), G(adjoint="forward")),
    _known("P-one-layer-early", "P is taken at the start of a layer, not at its end.", G(adjoint="shifted")),
    _known("sigma_w-missing-in-P", "The equation of P has no σ_w².", G(adjoint="no-sigma")),
    _known("P-for-NTK", "P_00 is handed out for K_∞.", G(returned="adjoint")),
    _known("dual-of-phi-for-phi'", "E[φφ] is used for E[φ'φ'].", G(slope="phi")),
    _known("dual-of-phi'-missing", "P is taken as if φ' were 1.", G(slope="one")),
    _known("dual-doubled", "E[φφ] and E[φ'φ'] are doubled, as for weights of variance 2/n.", G(doubled=True)),
    _known("variances-taken-as-1", "The dual activation sees the correlation of h only, not its variance.",
           G(normalised="variances")),
    _known("variances-not-updated", "The dual activation sees the variance of h_0 at all times.",
           G(normalised="initial")),
)  # fmt: skip


def _variant(name: str, explanation: str, *variants: str) -> Known:
    recipes: list[Recipe | LimitRecipe] = [Recipe(variant=v) for v in variants]
    return Known(name, explanation, (*recipes, *(LimitRecipe(variant=v) for v in variants)))


_ACTIVATIONS = (
    _variant("tanh-gelu", "gelu is its approximation by tanh, not z Φ(z).", "gelu:tanh"),
    _variant("sigmoid-gelu", "gelu is z σ(1.702 z), not z Φ(z).", "gelu:quick"),
    _variant("leaky-slope", "leaky_relu has the slope 0.1, 0.2, 0.3 or 0.001, not 0.01.",
             "leaky_relu:0.1", "leaky_relu:0.2", "leaky_relu:0.3", "leaky_relu:0.001"),
    _variant("elu-alpha", "elu has another α than 1.", "elu:0.1", "elu:0.5", "elu:2", "elu:selu"),
    _variant("softplus-beta", "softplus has another β than 1.", "softplus:2", "softplus:0.5"),
    _variant("softplus-shifted", "softplus is shifted by log 2.", "softplus:shifted"),
    _variant("silu-beta", "silu is z σ(1.702 z).", "silu:1.702"),
    _variant("hard-activation", "sigmoid, tanh or silu is piecewise linear or quadratic.", "sigmoid:hard", "tanh:hard",
             "silu:hard", "relu:6"),
    _variant("wrong-derivative", "φ' is not the derivative of φ, for one of them: a sign, a factor or a term is wrong.",
             *(name for name in VARIANTS if name.partition(":")[2] in ("derivative", "undamped", "twice"))),
    _variant("erf-scaled", "erf is erf(z/√2).", "erf:root"),
    _variant("quadratic-without-half", "quadratic is z², not z²/2.", "quadratic:square"),
    *(
        _variant(f"wrong-activation-{name}", f"φ is {name} where it is another.", name) for name in BUILTIN
    ),
)  # fmt: skip

KNOWN = (*_SCALES, *_FORWARD, *_ADJOINT, *_GRADIENT, *_KERNEL, *_LIMIT, *_ACTIVATIONS)
"""In the order in which one is named before another that gives the same numbers."""
