"""What can be done wrong, as switches: a `Recipe` is the plain computation with some of them off."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """A network of finite width as somebody computes it; the defaults are right.

    Parameters
    ----------
    variant : str or None
        Stands for φ, see `functions.function`.
    slope : str
        Stands for φ', see `functions.slope_of`.
    sigma_u, sigma_w, sigma_v : int
        Powers of the σ's in h_0, in the scaled W and in the scaled v.
    root_w, root_v, root_d : float
        W is divided by n to the power `root_w`, v by n to `root_v`, and h_0 by d to `root_d`.
    transposed : bool
        Wᵀ for W in the forward pass and, by differentiation, everywhere.
    horizon : {"own", "one", "squared", "half", "double"}
    extra_layers : int
    step : {"own", "1/L", "1", "T", "fitting", "ode"}
        Length of a layer: T/L, …; "fitting" is T over the number of layers with the extra ones, and "ode" solves the
        Neural ODE instead.
    steps : int
        Euler steps for the Neural ODE; 0 solves it.
    per_time : bool
        Whether `steps` and `rectangles` are numbers per unit of time.
    outside : bool
        φ(W h) for W φ(h).
    skip : bool
        Whether a layer adds to h.
    phi_input, phi_output : bool
        Whether φ is applied to h_0, and to h_T.
    sign : {1, -1}
        Of the adjoint equation.
    factor_lambda : bool
        Whether the right-hand side of the adjoint equation has the factor λ.
    adjoint_w : {"transposed", "plain", "none"}
    slope_inside : bool
        Wᵀ(φ' ⊙ λ) for φ' ⊙ (Wᵀ λ).
    slope_at : {"now", "start", "end", "next", "previous", "reversed", "never"}
    terminal_slope : str
        "none" if λ_T has no factor φ'(h_T), or what it has for it, see `functions.slope_of`; "own" is `slope`.
    through : bool
        Whether ∂f/∂U is made of λ_0, not of λ_T.
    unit_inputs : bool
        Whether ∂f/∂U takes x/|x|.
    adjoint_sigma_w, adjoint_root, terminal_sigma_v, terminal_root : float or None
        Powers in the adjoint equation and in λ_T; None: those of the forward pass.
    blocks : str
        The parameters that are differentiated by.
    factor_u, factor_w, factor_v : {"own", "root", "sigma", "half", "none"}
        What a block of the gradient is multiplied by, as in σ_w/√n for W: all of it, or this part only;
        "half" has √σ_w.
    pairing : str
        Which λ and φ are multiplied in ∂f/∂W: "own", "right", "left", "both", "reversed", "transposed", "state" (h for
        φ), "last", "first", or all layers but one, "no-first" and "no-last".
    weight : {"own", "none", "one"}
        Whether the products are multiplied by T/L, or by dt; "one" leaves out T alone.
    rectangles : int
        Rectangles in the integral of λφᵀ, counted negatively if their height is taken on the right; 0 integrates.
    batch : {"sum", "mean", "loss", "squares", "first", "last"}
        What is differentiated.
    gram : str
        What is done to K_θ, see `finite.distorted`.
    returned : {"own", "initial", "phi", "terminal", "unscaled", "negative"}
        What is handed out for h_T and λ_0.
    """

    variant: str | None = None
    slope: str = "own"
    sigma_u: float = 1
    sigma_w: float = 1
    sigma_v: float = 1
    root_w: float = 0.5
    root_v: float = 0.5
    root_d: float = 0.0
    transposed: bool = False
    horizon: str = "own"
    extra_layers: int = 0
    step: str = "own"
    steps: int = 0
    per_time: bool = False
    outside: bool = False
    skip: bool = True
    phi_input: bool = False
    phi_output: bool = True
    sign: int = 1
    factor_lambda: bool = True
    adjoint_w: str = "transposed"
    slope_inside: bool = False
    slope_at: str = "now"
    terminal_slope: str = "own"
    through: bool = True
    unit_inputs: bool = False
    adjoint_sigma_w: float | None = None
    adjoint_root: float | None = None
    terminal_sigma_v: float | None = None
    terminal_root: float | None = None
    blocks: str = "UWv"
    factor_u: str = "own"
    factor_w: str = "own"
    factor_v: str = "own"
    pairing: str = "own"
    weight: str = "own"
    rectangles: int = 0
    batch: str = "sum"
    gram: str = "own"
    returned: str = "own"


@dataclass(frozen=True)
class LimitRecipe:
    """The limit n → ∞ as somebody computes it; the defaults are right.

    Parameters
    ----------
    variant : str or None
        Stands for φ, see `functions.function`.
    sigma_u, sigma_w, sigma_v : int
        Powers of the σ's in q, before the integrals, and in Σ^{T,T} and P_T.
    root_d : int
        q is divided by d to this power.
    horizon, extra_layers, step
        As for `Recipe`; step "ode" takes the limit of the Neural ODE for that of the residual network.
    normalised : {"no", "inputs", "variances", "initial"}
        Inputs of norm 1, or variances of 1 with the correlation for the covariance, or variances of h_0 throughout.
    slope : {"own", "phi", "one"}
        E[φφ] for E[φ'φ'], or 1.
    doubled : bool
        Twice E[φφ] and E[φ'φ'], as where the weights have variance 2/n.
    weights : {"shared", "independent", "diffusion", "diagonal"}
        Another W in every layer; a Wiener process of them; the middle term over equal times alone.
    last : {"own", "Sigma", "none", "terminal", "unscaled", "S"}
        q P_00, or Σ_00 P_00, nothing, q P_T, x·x̄ P_00, S_TT P_00.
    middle : {"own", "none", "terminal", "unweighted", "once", "no-sigma", "root-sigma", "S"}
        ∬ Σ P, or nothing, T² Σ_TT P_T, without the square of the step, the step, σ_w² or one σ_w, S for Σ.
    first : {"own", "none", "S", "unscaled"}
        σ_v² Σ_TT, or nothing, σ_v² S_TT, Σ_TT.
    adjoint : {"own", "constant", "reversed", "forward", "shifted", "no-sigma"}
        P at the times that are meant, P_T throughout, P_{T−t,T−s}, integrated from 0, one layer too early,
        without σ_w².
    returned : {"own", "nngp", "ntk", "state", "adjoint"}
        What is handed out for the other; "state" is S_TT, "adjoint" P_00.
    gram : str
        What is done to the kernel, see `finite.distorted`.
    """

    variant: str | None = None
    sigma_u: float = 2
    sigma_w: float = 2
    sigma_v: float = 2
    root_d: float = 0.0
    horizon: str = "own"
    extra_layers: int = 0
    step: str = "own"
    normalised: str = "no"
    slope: str = "own"
    doubled: bool = False
    weights: str = "shared"
    last: str = "own"
    middle: str = "own"
    first: str = "own"
    adjoint: str = "own"
    returned: str = "own"
    gram: str = "own"


TRUTH, LIMIT_TRUTH = Recipe(), LimitRecipe()
