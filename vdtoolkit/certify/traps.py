"""Faults that public implementations had, and what catches them or rules them out here."""

from __future__ import annotations

# (the fault and where it was, the checks that catch a copy with it, or why it cannot occur)
TRAPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Attention layers in a plain dict: not trained, saved or copied to the target "
        "(simsimiSION's Qatten)",
        ("registered", "saves"),
        "",
    ),
    ("Head weights without abs (an earlier state of the same)", ("monotone", "igm"), ""),
    (
        "The number of unit features is asked of StarCraft (PyMARL2's Qatten)",
        (),
        "sizes come from the team's spaces",
    ),
    (
        "The first entries of any state are taken for the allies' features (all of Qatten's)",
        (),
        "unit features are the observation, or a slice that is named and checked for its size",
    ),
    ("Dead agents by action == 0 (Qatten in QPLEX's and WQMIX's code)", ("igm", "dead-unseen"), ""),
    ("Attention regulariser over padding (the same)", ("padding", "loss"), ""),
    (
        "Attention without softmax and abs (preciousxin's Qatten)",
        ("monotone", "qatten-attention"),
        "",
    ),
    (
        "A setting that is a flag in one file and a number in another (PyMARL2's Qatten)",
        (),
        "configs are typed dataclasses",
    ),
    ("Hidden states scrambled over agents and moments (PyMARL2's QTRAN)", ("loss",), ""),
    (
        "QTRAN differs from the paper without saying so: state in Q_jt, V_jt of the state, "
        "weight 0.1 (PyMARL)",
        (),
        "both forms are settings; certify one with --set",
    ),
    (
        "Modules that are imported do not exist (WQMIX's repository)",
        (),
        "every module is imported by the tests",
    ),
    (
        "QTRAN bootstraps from the sum of utilities, not Q_jt (the authors' code)",
        ("loss", "double-q"),
        "",
    ),
    (
        "Epsilon falls in test episodes too (the authors' trainer)",
        (),
        "epsilon is of the moves that were recorded; evaluation has an actor of its own",
    ),
    ("The target network's memory starts one moment late (starry-sky)", ("loss", "td-lambda"), ""),
    (
        "QTRAN-alt's others are (N - 1) times the agent's own encoding; next states pair with the "
        "hidden state before (XuanCe)",
        ("loss",),
        "",
    ),
    (
        "QTRAN's loss is overwritten by the plain one (a matrix-game baseline)",
        ("loss", "gradient-flow"),
        "",
    ),
    ("A time limit in mid-batch counts a phantom move (PyMARL's mask)", ("padding", "loss"), ""),
    (
        "TD(lambda) is wrong where an episode is cut before the batch's longest (PyMARL)",
        ("td-lambda",),
        "",
    ),
    (
        "A time limit counts as the end (starry-sky, and any env that does not report it to "
        "PyMARL)",
        ("ends", "loss"),
        "",
    ),
    (
        "Rewards standardised over padding; team losses divided by moves, not by moves and agents "
        "(EPyMARL)",
        ("loss",),
        "no statistics of rewards are kept",
    ),
    ("Masking by -9999999, which Q can fall below, or which is multiplied", ("masks",), ""),
    (
        "Double Q alone is supported, or its greedy actions come from the wrong network",
        ("double-q",),
        "",
    ),
    (
        "The last action is not zeros at first, or of the wrong moment on the target side",
        ("acting-is-learning", "loss"),
        "",
    ),
    (
        "Environments reseed numpy globally (QPLEX's)",
        ("repeats",),
        "of environments `check-env` tells",
    ),
    ("Target intervals count episodes in one code and updates in another", ("target-network",), ""),
    (
        "Central Q at the greedy action, target of the taken one (XuanCe's WQMIX)",
        ("loss", "central"),
        "",
    ),
    ("The two losses of WQMIX on different scales (PyMARL2)", ("loss",), ""),
    (
        "A comparison decided by the length of exploration (WQMIX issue 3)",
        (),
        "a matter of the experiment, not of the method; docs/methods.md has the settings",
    ),
    ("COMA trained on old data (PyMARL2)", ("on-policy",), ""),
    ("COMA's softmax before the mask (starry-sky)", ("coma-policy", "masks"), ""),
    ("COMA's floor over all actions, not the available ones (PyMARL)", ("coma-policy",), ""),
    (
        "A setting that nothing reads (WQMIX's central_rnn_hidden_dim)",
        (),
        "fields of typed configs are read by tests; the central network has the agents' sizes",
    ),
    ("Probabilities masked in place (XuanCe's COMA)", ("batch",), ""),
    (
        "QPLEX's chosen and best utilities from different networks: an advantage above 0, the "
        "bound is lost",
        ("loss", "double-q"),
        "",
    ),
    ("QPLEX's lambda collapses to 1e-10", (), "not a fault of form: IGM holds, see least-squares"),
    (
        "w of the weighted losses with gradient",
        ("loss",),
        "as published w is a step, whose gradient is 0: only a smooth w can be wrong here",
    ),
)
