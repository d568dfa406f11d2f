"""Random names for containers nobody named: an adjective and the surname of somebody who moved computing or science.

Docker's form (``adjective_surname``); the lists are our own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

__all__ = ["random_name"]

_ADJECTIVE_WORDS = """
able agile airy ample amused apt ardent astute avid awake balanced beaming blithe bold bouncy brainy brave breezy
bright brisk bubbly busy calm candid careful cheerful chipper civil clever cosy crisp curious dandy dapper daring
dazzling deft devoted diligent dreamy driven eager earnest easy elated elegant eloquent epic exact fair faithful
fearless festive fluent focused fond frank free fresh friendly frosty funny gallant gentle gifted glad gleaming
golden graceful grand grateful happy hardy hearty helpful honest hopeful humble inspired intrepid jaunty jolly
jovial joyful keen kind lively logical loving loyal lucid lucky mellow merry mighty modest musing neat nimble noble
novel observant open patient peaceful pensive playful plucky poised polite practical precise proud prudent quick
quiet quirky radiant rapid ready relaxed resolute robust rustic sage serene sharp sincere skilful smiling snappy
sober solid sparkling spirited splendid spry stately steady stoic sturdy subtle sunny swift tactful tender
thoughtful thrifty tidy tireless tranquil trusty upbeat useful valiant vibrant vigilant vivid warm watchful
whimsical willing wise witty wonderful worthy zany zealous zesty
"""
_SURNAME_WORDS = """
abel aiken alhazen allen ampere apery archimedes aristarchus avicenna avogadro babbage banach bartik becquerel
bernoulli bessel blackwell bohr boole borel bose brahe brooks bush cantor cardano carnot carson cauchy cavendish
celsius cerf church clarke codd conway copernicus coriolis coulomb cray curie daubechies davies dedekind descartes
dijkstra diophantus dirac dirichlet doppler dorn easley eckert eddington edison einstein emden engelbart euclid
euler faraday fermat fermi feynman fibonacci fizeau flamm foucault fourier franklin frege fresnel galilei galois
gauss gibbs godel granville hadamard halley hamilton hamming hausdorff haynes heaviside herschel hertz hilbert hoare
hollerith hooke hopper hubble huffman huygens hypatia iverson jacobi jacquard jemison johnson joule kaplan kelvin
kepler kilby kirchhoff kleene kowalski kummer lagrange lamarr lambert landau laplace lavoisier lebesgue legendre
leibniz liouville lorentz lovelace lukasiewicz maclaurin mandelbrot markov mauchly maxwell mcnulty mendel mercator
michelson millikan minkowski moebius moore morland napier neper neumann newell newton noether ohm oresme papert
pascal pauli payne peano pell perlis planck poisson postel ptolemy pythagoras ramanujan rejewski riemann ritchie
rutherford sammet schmidt scholes shannon shockley simon sklodowska somerville spaerck stibitz stirling stokes
sylvester taussig taylor tesla thales torricelli turing ulam venn viete volta wallis watt weber weierstrass wiener
wilkes wirth zermelo zuse
"""
_ADJECTIVES = _ADJECTIVE_WORDS.split()
_SURNAMES = _SURNAME_WORDS.split()


def random_name(taken: Callable[[str], bool]) -> str:
    """Give a name that is not taken; a digit is added when chance is against us, as Docker does."""
    name = ""
    for attempt in range(6):
        name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_SURNAMES)}"
        if attempt:
            name += str(secrets.randbelow(10))
        if not taken(name):
            return name
    return f"{name}{secrets.token_hex(4)}"
