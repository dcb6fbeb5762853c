"""Faults that public implementations had, and what catches them or rules them out here."""

from __future__ import annotations

from typing import NamedTuple


class Trap(NamedTuple):
    """number: some have several forms, a row each.  caught: checks that catch a copy with it."""

    number: str
    fault: str
    caught: tuple[str, ...] = ()
    why: str = ""  # it cannot occur in a method


TRAPS = (
    Trap(
        "1",
        "Attention layers in a plain dict: not trained, saved or copied to the target "
        "(simsimiSION's Qatten)",
        ("registered",),
    ),
    Trap("2", "Head weights without abs (an earlier state of the same)", ("monotone", "igm")),
    Trap(
        "3",
        "The number of unit features is asked of StarCraft (PyMARL2's Qatten)",
        why="sizes come from the team's spaces",
    ),
    Trap(
        "4",
        "The first entries of any state are taken for the allies' features (all of Qatten's)",
        ("symmetric",),
        "a slice is named by the user and checked for its size",
    ),
    Trap("5", "Dead agents by action == 0 (Qatten in QPLEX's and WQMIX's code)", ("igm",)),
    Trap("6", "Attention regulariser over padding (the same)", ("padding", "loss")),
    Trap(
        "7",
        "Attention without softmax and abs (preciousxin's Qatten)",
        ("monotone", "qatten-attention"),
    ),
    Trap(
        "8",
        "A setting that is a flag in one file and a number in another (PyMARL2's Qatten)",
        why="configs are typed dataclasses",
    ),
    Trap(
        "9",
        "Hidden states scrambled over agents and moments (PyMARL2's QTRAN)",
        ("loss", "own-history"),
    ),
    Trap(
        "10",
        "QTRAN differs from the paper without saying so: V_jt of the state, L_nopt counts 0.1 "
        "(PyMARL)",
        ("reads", "loss"),
        "both forms are settings",
    ),
    Trap(
        "11",
        "Modules that are imported do not exist (WQMIX's repository)",
        why="every module is imported by the tests",
    ),
    Trap(
        "11",
        "QTRAN-alt: the own Q is not taken out of the sum; unavailable actions in the minimum "
        "(the same)",
        ("loss", "masks"),
    ),
    Trap(
        "12",
        "QTRAN bootstraps from the sum of utilities, not Q_jt (the authors' code)",
        ("loss", "double-q"),
    ),
    Trap("12", "Q_jt of the mean over agents, not the sum (the same)", ("qtran-joint",)),
    Trap(
        "12",
        "QMIX with the bias outside of ELU (the same); Non-monotonic QMIX can have it as well",
        ("qmix-mixing", "nonmonotonic-mixing"),
    ),
    Trap("13", "Epsilon falls in test episodes too (the authors' trainer)", ("evaluating",)),
    Trap(
        "14",
        "The target network's memory starts one moment late (starry-sky)",
        ("acting-is-learning",),
    ),
    Trap(
        "15",
        "QTRAN-alt's others are (N - 1) times the agent's own encoding (XuanCe)",
        ("loss", "qtran-joint"),
    ),
    Trap("15", "Next states pair with the hidden state before (the same)", ("loss",)),
    Trap(
        "16",
        "QTRAN's loss is overwritten by the plain one (a matrix-game baseline)",
        ("loss", "gradient-flow"),
    ),
    Trap(
        "17", "A time limit in mid-batch counts a phantom move (PyMARL's mask)", ("padding", "loss")
    ),
    Trap(
        "17",
        "TD(lambda) is wrong where an episode ends before the batch's longest (PyMARL)",
        ("td-lambda",),
    ),
    Trap(
        "18",
        "A batch is cut where the first episode terminates (starry-sky)",
        ("every-move", "loss"),
    ),
    Trap(
        "19",
        "A time limit counts as the end (starry-sky, and any env that does not report it to "
        "PyMARL)",
        ("ends", "loss"),
    ),
    Trap("20", "Rewards standardised, over padding as well (EPyMARL)", ("padding", "loss")),
    Trap("20", "Team losses divided by moves, not by moves and agents (EPyMARL)", ("loss",)),
    Trap("20", "n-step returns that bootstrap after a true end (EPyMARL)", ("ends", "loss")),
    Trap("21", "Masks of -9999999, below which Q can fall, or multiplied with Q", ("masks",)),
    Trap(
        "22",
        "Double Q alone is supported, or its greedy actions come from the wrong network",
        ("double-q",),
    ),
    Trap("23", "The last action is of the wrong moment", ("acting-is-learning",)),
    Trap("23", "The same on the target side alone", ("acting-is-learning", "loss")),
    Trap(
        "24",
        "numpy is reseeded globally (QPLEX's environments)",
        ("repeats",),
        "of environments `check-env` tells",
    ),
    Trap(
        "25",
        "Target intervals count episodes in one code and updates in another; so may epsilon",
        ("target-network", "acting"),
    ),
    Trap(
        "26",
        "Central Q at the greedy action, target of the taken one (XuanCe's WQMIX)",
        ("loss", "central"),
    ),
    Trap("27", "The two losses of WQMIX on different scales (PyMARL2)", ("loss",)),
    Trap(
        "28",
        "A comparison decided by the length of exploration (WQMIX issue 3)",
        why="a matter of the experiment, not of the method; docs/literature.md has the settings",
    ),
    Trap("29", "COMA trained on old data (PyMARL2)", ("on-policy",)),
    Trap("29", "COMA's loss without the floor that acting has (PyMARL2)", ("loss",)),
    Trap("30", "COMA's softmax before the mask (starry-sky)", ("masks", "loss")),
    Trap(
        "31",
        "COMA's floor over all actions, not the available ones, in learning or in play (PyMARL)",
        ("coma-policy", "acting"),
    ),
    Trap("31b", "A setting that nothing reads (WQMIX's central_rnn_hidden_dim)", ("settings",)),
    Trap("32", "Tensors of a batch masked in place (XuanCe's COMA)", ("batch",)),
    Trap(
        "33",
        "QPLEX's chosen and best utilities from different networks: an advantage above 0, the "
        "bound is lost",
        ("loss", "double-q"),
    ),
    Trap(
        "34",
        "QPLEX's lambda collapses to 1e-10",
        why="not a fault of form: IGM holds whatever lambda is, `qplex-dueling`",
    ),
)
