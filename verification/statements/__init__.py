r'''One module per statement of the paper, named after its id (`verification.catalogue.PAPER`).

A module states the claim, runs an experiment, and returns what it found. It never judges a claim by eye: the verdict
of each claim is computed from its numbers, the verdict of the statement from its claims, and every statement compares
at least two roads, different methods. Random numbers come from ``config.rng(...)`` alone; a quick run takes seconds.
Texts are typed plainly (-1, 1e-12); the page sets the signs of print. A caption tells curves apart by legend or stroke:
black and white change places on a dark page. Thousands of marks go through `verification.style.rasterised`.
A complete module, ``verification/statements/euler.py`` if the catalogue had such an id::

    """Euler's method on ẏ = −y: the smallest example of a statement."""

    import numpy as np
    from scipy.linalg import expm

    from verification import Claim, Config, Result, Table, Verdict, compare
    from verification.fit import power_law
    from verification.style import guide, loglog, new_figure, series

    ID = "euler"
    TITLE = "Euler's method is of first order"
    CLAIM = r"$|y^L(T) - y(T)| \le C L^{-1}$ for the $L$-step method."


    def run(config: Config) -> Result:
        depths = 2 ** np.arange(4, 12 if config.full else 9)
        y0 = config.rng("initial value").uniform(1.0, 2.0)
        exact = y0 * np.exp(-1.0)
        error = [abs(y0 * (1 - 1 / L) ** L - exact) for L in config.progress(depths, "depth")]
        fit = power_law(depths, error)

        figure, (axes,) = new_figure()
        loglog(axes, "depth $L$", r"$|y^L(T) - y(T)|$", xticks=depths)
        series(axes, depths, error, label="measured")
        guide(axes, depths, slope=-1, through=(depths[0], error[0]), label=r"predicted $L^{-1}$")

        holds = abs(fit.slope + 1) <= fit.uncertainty + 1 / depths[0]  # next order of the expansion: O(1/L)
        rate = Claim("rate", "The error decays as $1/L$.", Verdict.HOLDS if holds else Verdict.FAILS,
                     measured=fit.slope, predicted=-1, uncertainty=fit.uncertainty)
        roads = compare("$y(T)$", {"closed form": exact, "scipy.linalg.expm": y0 * expm(np.array([[-1.0]]))[0, 0]},
                        allowed=1e-14, because="a few roundings")
        return Result(claims=[rate], agreements=[roads], experiment="Euler's method against the closed form.",
                      size={"L": depths, "seeds": 1}, figure=figure,
                      alt="Error against depth on log-log axes: a line of slope minus one.",
                      tables=[Table("Error of Euler's method", ["$L$", "error"], list(zip(depths, error)))])
'''
