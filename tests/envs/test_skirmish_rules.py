"""One test a rule of skirmish_v0's battle, with the numbers of the game's unit data."""

import numpy as np
import pytest

from vdtoolkit.envs._skirmish_battle import ATTACK, EAST, NO_OP, NORTH, SOUTH, STOP, WEST, Battle
from vdtoolkit.envs._skirmish_maps import MAPS, Map
from vdtoolkit.envs._skirmish_units import KINDS, NUMBER
from vdtoolkit.envs._skirmish_views import Views

MARINE = KINDS[NUMBER["marine"]]
FIRST, SECOND = ATTACK, ATTACK + 1  # attack the first enemy, the second


def battle_of(allies, enemies, goal=None, quiet=True):
    """One battle: lists of (kind, x, y); a quiet enemy neither walks nor shoots."""
    spec = Map(
        "test",
        100,
        tuple((1, kind, (x, y)) for kind, x, y in allies),
        tuple((1, kind, (x, y)) for kind, x, y in enemies),
        goal=goal,
    )
    battle = Battle(spec, 1)
    battle.put(0, np.array([(x, y) for _, x, y in (*allies, *enemies)], float).T)
    if quiet:
        battle.pace[battle.n :] = 0.0
        battle.cool[battle.n :] = 1e9
    return battle


def play(battle, *actions, moves=1):
    rewards = [battle.play(np.array(actions)[:, None])[0] for _ in range(moves)]
    return sum(rewards)


def lost(battle, unit):
    """Points of health and of shield that a unit lacks."""
    health = battle.health_max[unit, 0] - battle.health[unit, 0]
    return health, battle.shield_max[unit, 0] - battle.shield[unit, 0]


@pytest.mark.parametrize(
    ("attacker", "target", "health", "shield"),
    [
        ("marine", "hydralisk", 6, 0),
        ("marine", "marauder", 5, 0),  # armour 1
        ("marine", "spine_crawler", 4, 0),  # armour 2
        ("marauder", "marine", 10, 0),
        ("marauder", "marauder", 19, 0),  # 10 + 10 to armoured, less 1
        ("stalker", "marine", 13, 0),
        ("stalker", "stalker", 0, 18),  # 13 + 5, and a shield knows no armour
        ("stalker", "zealot", 0, 13),
        ("zealot", "marine", 16, 0),  # two blows of 8
        ("zealot", "marauder", 14, 0),  # each of which is lessened by 1
        ("colossus", "zergling", 30, 0),  # 2 x (10 + 5 to light)
        ("colossus", "marauder", 18, 0),
        ("hydralisk", "marine", 12, 0),
        ("zergling", "marine", 5, 0),
        ("zergling", "marauder", 4, 0),
        ("baneling", "zealot", 0, 35),  # 16 + 19 to light
        ("baneling", "marauder", 15, 0),
    ],
)
def test_one_attack_does_so_much(attacker, target, health, shield):
    battle = battle_of([(attacker, 10, 10)], [(target, 11.2, 10), ("marine", 30, 30)])
    play(battle, FIRST)
    regenerated = 0.2734 / 4 if KINDS[NUMBER[target]].race == "Z" else 0  # a tick after it
    assert lost(battle, 1) == pytest.approx((health - regenerated, shield), abs=1e-4)


def test_the_spine_crawler_does_30_to_armoured_and_cannot_walk():
    battle = battle_of([("marauder", 10, 10)], [("spine_crawler", 17, 10)], quiet=False)
    play(battle, STOP)
    assert lost(battle, 0)[0] == 25 + 5 - 1
    play(battle, WEST, moves=12)
    assert (battle.x[1, 0], battle.y[1, 0]) == (17, 10)


def test_what_a_shield_does_not_take_comes_through_less_armour():
    battle = battle_of([("stalker", 10, 10)], [("zealot", 14, 10)])
    battle.shield[1], battle.quiet[1] = 5, 0
    play(battle, FIRST)
    assert battle.shield[1, 0] == 0
    assert lost(battle, 1)[0] == 13 - 5 - 1
    two = battle_of([("zealot", 10, 10)], [("zealot", 11, 10)])
    two.shield[1], two.quiet[1] = 3, 0
    play(two, FIRST)
    assert lost(two, 1)[0] == (8 - 3 - 1) + (8 - 1)
    two = battle_of([("zealot", 10, 10)], [("zealot", 11, 10)])
    two.shield[1], two.quiet[1] = 8, 0
    play(two, FIRST)
    assert lost(two, 1)[0] == 8 - 1


def test_a_blow_does_half_a_point_at_least():
    battle = battle_of([("stalker", 10, 10)], [("zealot", 14, 10)])
    battle.shield[1], battle.quiet[1] = 12.75, 0
    play(battle, FIRST)
    assert lost(battle, 1)[0] == 0.5


@pytest.mark.parametrize(
    ("kind", "loops"),
    [
        ("marine", 13.8),
        ("marauder", 24),
        ("stalker", 30),
        ("zealot", 19.2),
        ("colossus", 24),
        ("hydralisk", 13.3),
        ("zergling", 11.1),
    ],
)
def test_a_weapon_fires_every_so_many_game_loops(kind, loops):
    battle = battle_of([(kind, 10, 10)], [("spine_crawler", 11.7, 10)])
    shots, cool = 0, 0.0
    for _ in range(100):
        play(battle, FIRST)
        battle.health[1] = 300  # it takes all of them
        shots += battle.cool[0, 0] > cool - 8 + 1e-3 and battle.cool[0, 0] > 0
        cool = battle.cool[0, 0]
    assert shots == np.ceil(800 / loops)


def test_each_weapon_is_a_loop_quicker_or_slower_at_most():
    battle = Battle(MAPS["2s3z"], 200)
    battle.begin(np.arange(200), [np.random.default_rng(e) for e in range(200)])
    off = battle.period - battle._period
    assert -1 <= off.min() < -0.95 < 0.95 < off.max() <= 1


@pytest.mark.parametrize(
    ("kind", "cells"),
    [("marine", 2.25), ("stalker", 2.95), ("zergling", 2.95), ("medivac", 2.5), ("baneling", 2.5)],
)
def test_a_unit_walks_so_many_cells_a_second(kind, cells):
    battle = battle_of([(kind, 10, 10)], [("marine", 30, 30)])
    for action, by in ((NORTH, (0, 1)), (SOUTH, (0, -1)), (EAST, (1, 0)), (WEST, (-1, 0))):
        before = battle.x[0, 0], battle.y[0, 0]
        play(battle, action, moves=2)
        moved = battle.x[0, 0] - before[0], battle.y[0, 0] - before[1]
        assert moved == pytest.approx((by[0] * cells, by[1] * cells), abs=1e-4)


def test_nobody_leaves_the_map():
    battle = battle_of([("marine", 1.5, 31.9)], [("marine", 30, 1)])
    play(battle, WEST, moves=4)
    play(battle, NORTH, moves=4)
    assert (battle.x[0, 0], battle.y[0, 0]) == (0, 32)


def test_an_attack_walks_into_reach_and_no_further():
    battle = battle_of([("marine", 10, 10)], [("marauder", 16.5, 10)])
    play(battle, FIRST)
    assert 16.5 - battle.x[0, 0] == pytest.approx(5 + 0.375 + 0.5625, abs=1e-3)
    assert lost(battle, 1)[0] == 5
    play(battle, FIRST)
    assert 16.5 - battle.x[0, 0] == pytest.approx(5 + 0.375 + 0.5625, abs=1e-3)
    far = battle_of([("marine", 10, 10)], [("marauder", 18, 10)])
    play(far, FIRST)
    assert far.x[0, 0] == 10 + 1.125
    assert lost(far, 1)[0] == 0


def test_who_flees_in_time_is_not_hit():
    """A stalker is quicker than a zealot: this is how 3s_vs_3z is won."""
    battle = battle_of([("stalker", 10, 10)], [("zealot", 11.4, 10)], quiet=False)
    play(battle, WEST, moves=8)
    assert lost(battle, 0) == (0, 0)
    assert battle.x[1, 0] - battle.x[0, 0] > 1.4


def test_agents_do_not_shoot_unless_told_to():
    battle = battle_of([("marine", 10, 10)], [("marine", 13, 10)])
    play(battle, STOP, moves=4)
    play(battle, NORTH)
    assert lost(battle, 1) == (0, 0)


def test_a_shield_waits_ten_seconds_and_regenerates_two_a_second():
    battle = battle_of([("stalker", 10, 10)], [("zealot", 14, 10)])
    play(battle, FIRST)
    assert battle.shield[1, 0] == 37
    play(battle, STOP, moves=19)
    assert battle.shield[1, 0] == 37
    play(battle, STOP, moves=2)
    assert 37 < battle.shield[1, 0] <= 38.5
    before = battle.shield[1, 0]
    play(battle, STOP, moves=2)
    assert battle.shield[1, 0] == before + 2
    play(battle, STOP, moves=30)
    assert battle.shield[1, 0] == 50
    battle.health[1] = 60
    play(battle, STOP, moves=30)
    assert battle.health[1, 0] == 60  # health does not


def test_damage_makes_a_shield_wait_anew():
    battle = battle_of([("stalker", 10, 10)], [("zealot", 14, 10)])
    play(battle, FIRST)
    for _ in range(4):
        play(battle, STOP, moves=15)
        play(battle, FIRST)
    assert lost(battle, 1)[1] == 50


def test_zerg_regenerate_and_others_do_not():
    battle = battle_of([("zergling", 10, 10), ("marine", 5, 5)], [("hydralisk", 25, 25)])
    battle.health[:] = 30
    play(battle, STOP, STOP, moves=20)
    assert battle.health[:, 0] == pytest.approx([30 + 2.734, 30, 30 + 2.734], abs=1e-3)
    play(battle, STOP, STOP, moves=40)
    assert battle.health[0, 0] == 35


def test_a_medivac_heals_nine_a_second_for_three_energy():
    battle = battle_of([("marine", 10, 10), ("medivac", 12, 10)], [("marine", 30, 30)])
    battle.health[0] = 20
    assert battle.energy[1, 0] == 50
    play(battle, STOP, FIRST, moves=2)
    assert battle.health[0, 0] == 29
    assert battle.energy[1, 0] == pytest.approx(50 - 3 + 0.5625, abs=1e-4)
    play(battle, STOP, FIRST, moves=10)
    assert battle.health[0, 0] == 45
    battle.health[0], battle.energy[1] = 20, 0
    play(battle, STOP, FIRST, moves=2)
    assert battle.health[0, 0] == pytest.approx(20 + 3 * 0.5625, abs=0.5)
    play(battle, STOP, STOP, moves=1000)
    assert battle.energy[1, 0] == 200


def test_a_medivac_flies_to_its_patient_and_heals_within_four_cells():
    battle = battle_of([("marine", 10, 10), ("medivac", 16, 10)], [("marine", 30, 30)])
    battle.health[0] = 20
    play(battle, STOP, FIRST)
    assert battle.x[1, 0] == pytest.approx(10 + 4 + 0.75 + 0.375, abs=1e-3)
    assert battle.health[0, 0] > 20


def test_the_enemys_medivac_heals_the_nearest_that_is_hurt():
    battle = battle_of(
        [("marine", 2, 2)], [("marine", 20, 20), ("marine", 22, 20), ("medivac", 23, 20)]
    )
    battle.health[1] = 20
    battle.pace[3] = 0.5
    play(battle, STOP)
    assert battle.health[1:3, 0].tolist() == [24.5, 45]
    battle.health[2] = 10
    play(battle, STOP)
    assert battle.health[2, 0] == 14.5


def test_only_some_weapons_hit_what_flies():
    for kind in ("marine", "stalker", "hydralisk"):
        battle = battle_of([(kind, 10, 10)], [("medivac", 11, 10), ("marine", 30, 30)])
        play(battle, FIRST)
        assert lost(battle, 1)[0] > 0
    for kind in ("marauder", "zealot", "colossus", "zergling", "baneling"):
        battle = battle_of([(kind, 10, 10)], [("medivac", 11, 10), ("marine", 30, 30)])
        play(battle, FIRST)
        assert lost(battle, 1) == (0, 0)
        assert battle.x[0, 0] == 10
    ground = battle_of([("medivac", 12, 10)], [("zealot", 11, 10)], quiet=False)
    play(ground, STOP, moves=3)
    assert lost(ground, 0) == (0, 0)


def test_a_colossus_burns_a_line_across_its_fire():
    battle = battle_of(
        [("colossus", 10, 10)],
        [
            ("zergling", 15, 10),
            ("zergling", 15, 11.7),  # 1.4 and its radius away: on the line
            ("zergling", 15, 8.2),  # 1.8: beside it
            ("zergling", 15.4, 10.9),  # 0.15 and its radius behind: on the line
            ("zergling", 16, 10),  # behind it
            ("medivac", 15, 9),  # above it
        ],
    )
    play(battle, FIRST)
    hurt = [lost(battle, u)[0] > 10 for u in range(1, 7)]
    assert hurt == [True, True, False, True, False, False]


def test_a_baneling_bursts_once_and_hits_all_within_two_cells_of_its_enemies():
    battle = battle_of(
        [("baneling", 10, 10), ("marine", 10.5, 10.5)],
        [("marine", 10.9, 10), ("marauder", 12, 10), ("marine", 12.7, 10), ("marine", 10, 7.5)],
    )
    play(battle, FIRST, STOP)
    assert battle.health[0, 0] == 0
    assert battle.health[1, 0] == 45  # its own are spared
    assert [lost(battle, u)[0] for u in range(2, 6)] == [35, 15, 0, 35]
    play(battle, NO_OP, STOP)
    assert [lost(battle, u)[0] for u in range(2, 6)] == [35, 15, 0, 35]


def test_who_overlaps_is_pushed_apart_and_who_flies_is_not():
    battle = battle_of(
        [("marine", 10, 10), ("marine", 10.2, 10), ("medivac", 10.1, 10)], [("marine", 30, 30)]
    )
    play(battle, STOP, STOP, STOP)
    assert battle.x[1, 0] - battle.x[0, 0] > 0.6
    assert battle.x[0, 0] + battle.x[1, 0] == pytest.approx(20.2, abs=1e-4)
    assert battle.x[2, 0] == pytest.approx(10.1)
    same = battle_of([("marine", 10, 10), ("marine", 10, 10)], [("marine", 30, 30)])
    play(same, STOP, STOP)
    assert abs(same.x[1, 0] - same.x[0, 0]) > 0.6


def test_who_walks_makes_way_for_who_stands():
    battle = battle_of([("marine", 10, 10), ("marine", 11.2, 10)], [("marine", 30, 30)])
    play(battle, EAST, STOP, moves=3)
    assert battle.x[1, 0] == pytest.approx(11.2)
    assert battle.x[0, 0] <= 11.2 - 0.95 * 0.75 + 1e-3


# -- the enemy ---------------------------------------------------------------------------------


def test_the_enemy_walks_to_its_goal_and_attacks_what_it_meets():
    battle = battle_of([("marine", 4, 4)], [("marine", 20, 10)], goal=(8, 10), quiet=False)
    play(battle, STOP)
    assert (battle.x[1, 0], battle.y[1, 0]) == pytest.approx((20 - 1.125, 10))
    play(battle, STOP, moves=20)
    assert (battle.x[1, 0], battle.y[1, 0]) == pytest.approx((8, 10), abs=1e-3)
    assert lost(battle, 0) == (0, 0)  # 7.2 away: out of its scan
    battle = battle_of([("marine", 12, 10)], [("marine", 17.7, 10)], goal=(1, 10), quiet=False)
    play(battle, STOP)
    assert lost(battle, 0)[0] == 6
    assert battle.x[1, 0] == pytest.approx(17.7)


def test_the_enemy_goes_for_the_nearest():
    battle = battle_of(
        [("marine", 10, 10), ("marine", 14, 10)], [("marine", 16, 10)], goal=(1, 1), quiet=False
    )
    play(battle, STOP, STOP)
    assert [lost(battle, u)[0] for u in (0, 1)] == [0, 6]


def test_who_is_hit_looks_for_targets_wherever_they_are():
    battle = battle_of([("colossus", 10, 10)], [("zealot", 18.4, 10)], goal=(18.4, 10), quiet=False)
    play(battle, STOP, moves=3)
    assert battle.x[1, 0] == pytest.approx(18.4)  # 8.4 away: out of its scan
    play(battle, FIRST)
    play(battle, STOP)
    assert battle.x[1, 0] == pytest.approx(18.4 - 1.125)
    for _ in range(2):  # it is calm again after a second, unless it is near
        play(battle, WEST)
    before = battle.x[1, 0]
    play(battle, WEST)
    assert battle.x[1, 0] > before


def test_an_enemy_without_a_goal_hunts():
    battle = battle_of([("marine", 30, 2)], [("zergling", 4, 30)], quiet=False)
    play(battle, STOP, moves=40)
    assert lost(battle, 0)[0] > 0


# -- rewards and ends ---------------------------------------------------------------------------


def test_damage_kills_and_the_victory_are_paid():
    battle = battle_of([("marine", 10, 10)], [("marine", 13, 10), ("marauder", 30, 30)])
    most = 10 * 2 + 200 + 45 + 125
    assert play(battle, FIRST) == pytest.approx(20 * 6 / most)
    battle.health[1] = 3
    battle.cool[0] = 0
    battle._value -= 36  # as if it had been paid
    assert play(battle, FIRST) == pytest.approx(20 * (3 + 10) / most)
    assert not battle.over[0]
    battle.health[2], battle.cool[0] = 1, 0
    battle.x[2], battle.y[2] = 12, 10
    battle._value -= 124
    assert play(battle, SECOND) == pytest.approx(20 * (1 + 10 + 200) / most)
    assert battle.over[0] and battle.won[0]


def test_a_shield_that_grows_back_pays_nothing_and_costs_nothing():
    battle = battle_of([("stalker", 10, 10)], [("zealot", 14, 10)])
    assert play(battle, FIRST) > 0
    assert play(battle, STOP, moves=40) == 0
    assert battle.shield[1, 0] == 50


def test_a_victory_is_worth_20_where_nobody_regenerates():
    envs = 40
    battle, rng = Battle(MAPS["3m"], envs), np.random.default_rng(0)
    battle.begin(np.arange(envs), [rng] * envs)
    battle.health[3:] = 1
    battle._value[:] = battle.scale * 0 + 3
    views, total, won = Views(battle), np.zeros(envs), np.zeros(envs, bool)
    for _ in range(60):
        views.look()
        lots = np.where(views.masks, rng.random(views.masks.shape), -1)
        lots[:, ATTACK:] *= 5
        total += battle.play(lots.argmax(1)) * ~won
        won |= battle.won
        if (battle.won | battle.over).all():
            break
    assert won.sum() > 10
    assert total[won] == pytest.approx(20 * (3 + 30 + 200) / (135 + 30 + 200), abs=1e-4)


def test_if_both_fall_at_once_nobody_has_won():
    battle = battle_of([("marine", 10, 10)], [("marine", 13, 10)], quiet=False)
    battle.health[:] = 3
    reward = play(battle, FIRST)
    assert battle.over[0] and not battle.won[0]
    assert reward == pytest.approx(20 * (42 + 3 + 10) / 255)  # 42 were lost before


def test_a_team_with_nobody_left_but_healers_has_lost():
    battle = battle_of([("marine", 10, 10), ("medivac", 2, 2)], [("marine", 13, 10)], quiet=False)
    battle.health[0] = 3
    play(battle, STOP, STOP)
    assert battle.over[0] and not battle.won[0]
    battle = battle_of([("marine", 10, 10)], [("marine", 13, 10), ("medivac", 30, 30)])
    battle.health[1] = 3
    play(battle, FIRST)
    assert battle.over[0] and battle.won[0]


# -- what is shown ------------------------------------------------------------------------------


def test_masks_are_smacs():
    battle = battle_of(
        [("marine", 0.5, 31.5), ("marine", 16, 16)], [("marine", 22, 16), ("marine", 22.1, 16)]
    )
    views = Views(battle)
    views.look()
    assert views.masks[0, :, 0].tolist() == [False, True, False, True, True, False, False, False]
    assert views.masks[1, :, 0].tolist() == [False, True, True, True, True, True, True, False]
    battle.x[0], battle.y[0] = 31.5, 0.5
    views.look()
    assert views.masks[0, 2:6, 0].tolist() == [True, False, False, True]
    battle._bury(np.array([1]))
    battle._bury(np.array([2]))
    views.look()
    assert views.masks[1, :, 0].tolist() == [True] + [False] * 7
    battle.x[0], battle.y[0] = 22, 17
    views.look()
    assert views.masks[0, ATTACK:, 0].tolist() == [False, True]


def test_a_medivacs_attack_actions_are_its_team():
    battle = battle_of(
        [("marine", 10, 10), ("medivac", 12, 10), ("marine", 20, 10)], [("marine", 13, 10)] * 4
    )
    views = Views(battle)
    views.look()
    assert views.masks[1, ATTACK:, 0].tolist() == [True, False, False, False]
    assert views.masks[0, ATTACK:, 0].tolist() == [True] * 4


def test_an_observation_and_a_state_by_hand():
    battle = battle_of([("stalker", 10, 10), ("stalker", 14, 7)], [("zealot", 13, 14)])
    battle.shield[0], battle.health[1], battle.health[2] = 40, 20, 25
    battle.cool[0] = 7
    views = Views(battle)
    views.acted(np.array([[4, 6]]))
    views.look()
    nine = 9.0
    foe = [1, 5 / nine, 3 / nine, 4 / nine, 0.25, 1]
    mate = [1, 5 / nine, 4 / nine, -3 / nine, 0.25, 1]
    np.testing.assert_allclose(views.obs()[0, 0], [1, 1, 1, 1, *foe, *mate, 1, 0.5], rtol=1e-6)
    unseen = battle_of([("stalker", 10, 10), ("stalker", 14, 7)], [("zealot", 19, 10)])
    views_of_unseen = Views(unseen)
    views_of_unseen.look()
    assert views_of_unseen.obs()[0, 0, 4:10].tolist() == [0] * 6  # at 9 cells: not seen
    units = [1, 0.2, -6 / 32, -6 / 32, 0.5, 0.25, 0, -2 / 32, -9 / 32, 1]
    last = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    enemy = [0.25, -3 / 32, -2 / 32, 1]
    np.testing.assert_allclose(views.state()[0], [*units, *enemy, *last], rtol=1e-6)


def test_the_dead_see_nothing_and_are_not_seen():
    battle = battle_of([("stalker", 10, 10), ("stalker", 14, 7)], [("zealot", 13, 14)])
    battle._bury(np.array([1]))
    battle._bury(np.array([2]))
    views = Views(battle)
    views.look()
    assert not views.obs()[0, 1].any()
    assert views.obs()[0, 0].tolist() == [1, 1, 1, 1] + [0] * 12 + [1, 1]
    assert not views.state()[0, 5:].any()


def test_kinds_are_told_in_smacs_bits_which_differ_by_side():
    battle = Battle(MAPS["2s3z"], 1)
    battle.begin(np.zeros(1, int), [np.random.default_rng(0)])
    views = Views(battle)
    views.look()
    assert views.obs()[0, 0, -2:].tolist() == [1, 0]  # a stalker of ours
    assert views.obs()[0, 4, -2:].tolist() == [0, 1]
    enemies = views.state()[0, 5 * 7 : 5 * 7 + 5 * 6].reshape(5, 6)
    assert enemies[:, -2:].tolist() == [[0, 1]] * 2 + [[1, 0]] * 3


def test_energy_stands_for_the_cooldown_of_who_heals():
    battle = Battle(MAPS["MMM"], 1)
    battle.begin(np.zeros(1, int), [np.random.default_rng(0)])
    battle.cool[:] = 5
    views = Views(battle)
    views.look()
    allies = views.state()[0, : 10 * 7].reshape(10, 7)
    np.testing.assert_allclose(allies[:, 1], [5 / 25] * 2 + [5 / 15] * 7 + [50 / 200])


# name: agents, enemies, limit, observation, state, actions (SMAC's own, with its defaults)
SIZES = {
    "3m": (3, 3, 60, 30, 48, 9),
    "8m": (8, 8, 120, 80, 168, 14),
    "25m": (25, 25, 150, 250, 950, 31),
    "5m_vs_6m": (5, 6, 70, 55, 98, 12),
    "8m_vs_9m": (8, 9, 120, 85, 179, 15),
    "10m_vs_11m": (10, 11, 150, 105, 243, 17),
    "27m_vs_30m": (27, 30, 180, 285, 1170, 36),
    "MMM": (10, 10, 150, 160, 290, 16),
    "MMM2": (10, 12, 180, 176, 322, 18),
    "2s3z": (5, 5, 120, 80, 120, 11),
    "3s5z": (8, 8, 150, 128, 216, 14),
    "3s5z_vs_3s6z": (8, 9, 170, 136, 230, 15),
    "3s_vs_3z": (3, 3, 150, 36, 54, 9),
    "3s_vs_4z": (3, 4, 200, 42, 61, 10),
    "3s_vs_5z": (3, 5, 250, 48, 68, 11),
    "1c3s5z": (9, 9, 180, 162, 270, 15),
    "2m_vs_1z": (2, 1, 150, 16, 26, 7),
    "corridor": (6, 24, 400, 156, 282, 30),
    "6h_vs_8z": (6, 8, 150, 78, 140, 14),
    "2s_vs_1sc": (2, 1, 300, 17, 27, 7),
    "so_many_baneling": (7, 32, 100, 202, 397, 38),
    "bane_vs_bane": (24, 24, 200, 336, 984, 30),
    "2c_vs_64zg": (2, 64, 400, 332, 342, 70),
    **{
        f"{race}_{n}v{m}": (n, m, 200, obs, state, actions)
        for races, sizes in (
            (("terran", "zerg"), ((82, 120), (162, 290), (170, 306), (322, 780), (346, 858))),
            (("protoss",), ((92, 130), (182, 310), (191, 327), (362, 820), (389, 901))),
        )
        for race in races
        for (obs, state), (n, m, actions) in zip(
            sizes, ((5, 5, 11), (10, 10, 16), (10, 11, 17), (20, 20, 26), (20, 23, 29)), strict=True
        )
    },
}
# 10 a kill, 200, and all there is of health and shields, where the paper's code says it
MOST = {"3m": 365, "MMM2": 1205, "1c3s5z": 1870, "bane_vs_bane": 1260, "2c_vs_64zg": 3080}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_and_limits_are_smacs(name):
    battle = Battle(MAPS[name], 2)
    battle.begin(np.arange(2), [np.random.default_rng(e) for e in range(2)])
    views = Views(battle)
    views.look()
    n, m, limit, obs, state, actions = SIZES[name]
    assert (battle.n, battle.m, battle.map.limit) == (n, m, limit)
    assert views.obs().shape == (2, n, obs)
    assert views.state().shape == (2, state)
    assert views.available().shape == (2, n, actions)
    if name in MOST:
        assert 20 / battle.scale[0] == pytest.approx(MOST[name])


def test_every_map_has_its_sizes_tested():
    assert set(SIZES) == set(MAPS)


@pytest.mark.parametrize("name", ["terran_5v5", "protoss_10v11", "zerg_5v5", "zerg_20v23"])
def test_drawn_teams_are_alike_and_stand_apart_or_around(name):
    battle = Battle(MAPS[name], 300)
    battle.begin(np.arange(300), [np.random.default_rng(e) for e in range(300)])
    n, kinds = battle.n, battle.kind
    names = np.array([kind.name for kind in KINDS])
    for e in range(300):
        ours, theirs = names[kinds[:n, e]], names[kinds[n:, e]]
        assert sorted(ours) == list(ours)  # SMAC's order
        assert sorted(theirs[:n]) == sorted(ours)
        assert set(ours) - {battle.map.never_alone}
    share = [np.mean(names[kinds[:n]] == kind) for kind in battle.map.ally_bits]
    assert share == pytest.approx(battle.map.weights, abs=0.04)
    mirrored = (battle.x[:n] < 16).all(0) & (battle.x[n:] > 16).all(0)
    middle = (np.abs(battle.x[:n] - 16) < 5).all(0) & (np.abs(battle.y[:n] - 16) < 5).all(0)
    assert 0.4 < (mirrored & ~middle).mean() < 0.6
    assert 0.4 < middle.mean() < 0.6
    assert (battle.health[:, 0] == battle.health_max[:, 0]).all()
    assert len(np.unique(battle.scale)) >= 10  # the most there is, of each pair of teams


def test_teams_that_face_each_other_are_mirrored():
    for name in ("3m", "8m", "25m", "MMM", "2s3z", "3s5z", "1c3s5z"):
        places = MAPS[name].places
        n = MAPS[name].n_agents
        ours = {(round(float(x), 3), round(float(y), 3)) for x, y in places[:, :n].T}
        theirs = {(round(32 - float(x), 3), round(float(y), 3)) for x, y in places[:, n:].T}
        assert ours == theirs
