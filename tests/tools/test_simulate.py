"""A bounded set of simulated clusters with faults, and the tools around them. `python -m tools.simulate` runs more."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from sprawl.runtime.simulated import Simulation
from tools.simulate.cluster import SimulatedCluster
from tools.simulate.damage import Damage
from tools.simulate.faults import Kind, schedule
from tools.simulate.ledger import keep, told
from tools.simulate.mutants import MUTANTS, caught_by
from tools.simulate.paces import PACES
from tools.simulate.planting import Mutant, StaleMutantError, planted
from tools.simulate.run import Outcome, plan, simulate
from tools.simulate.shrink import shrink

COURSES = [
    *(("dense", 20.0, seed) for seed in range(6)),
    *(("calm", 50.0, seed) for seed in range(6, 8)),
    *(("quiet", 150.0, seed) for seed in range(8, 10)),
]


@pytest.mark.parametrize(("pace", "seconds", "seed"), COURSES)
def test_a_cluster_survives_its_faults(pace: str, seconds: float, seed: int) -> None:
    outcome = simulate(plan(seed, seconds, pace=pace))
    command = f"python -m tools.simulate --seed {seed} --seconds {seconds} --pace {pace}"
    assert not outcome.problem, f"{command}: {outcome.problem}"
    assert outcome.acknowledged
    assert outcome.read
    assert outcome.compared


def test_quiet_worlds_are_long_and_dense_ones_short() -> None:
    plans = [plan(seed, 100) for seed in range(300)]
    assert sum(each.seconds for each in plans) / 300 == pytest.approx(100, rel=0.15)
    assert {each.seconds for each in plans} == {100 * pace.stretch for pace in PACES.values()}
    assert sum(pace.share for pace in PACES.values()) == pytest.approx(1)


def test_the_same_seed_takes_the_same_course() -> None:
    first, second = (simulate(plan(2, 3, pace="dense")) for _ in range(2))
    assert (first.digest, first.events) == (second.digest, second.events)


def test_every_mutant_can_still_be_planted_and_leaves_no_trace() -> None:
    for mutant in MUTANTS:
        with planted(mutant):
            pass
        with planted(mutant):  # it is as it was, or it could not be planted again
            pass
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


def test_a_mutant_whose_target_is_gone_says_so() -> None:
    where = "sprawl.partitions.partition:Partition.lead"
    for stale in (Mutant("gone", f"{where}s", "a", "b"), Mutant("changed", where, "words that are not there", "")):
        with pytest.raises(StaleMutantError, match=stale.name), planted(stale):
            pass


def test_a_planted_bug_is_caught() -> None:
    assert caught_by("no-dedup", 0, 6, share=0.5).seed is not None


def test_what_remains_of_a_schedule_stays_as_it_was() -> None:
    whole = plan(11, 60, pace="dense")
    some = plan(11, 60, pace="dense", only=[0, 3, 4])
    assert some.faults == tuple(whole.faults[number] for number in (0, 3, 4))
    assert (some.nodes, some.partitions, some.settings) == (whole.nodes, whole.partitions, whole.settings)


def test_every_kind_of_fault_is_drawn() -> None:
    drawn = {fault.kind for seed in range(40) for fault in plan(seed, 60, pace="dense").faults}
    assert drawn == set(Kind)
    assert {fault.kind for fault in schedule(random.Random(1), 60, [Kind.KILL], 1.0)} == {Kind.KILL}


def test_shrinking_finds_the_two_faults_that_matter() -> None:
    def fails(numbers: Sequence[int]) -> bool:
        return {3, 17} <= set(numbers)

    assert shrink(range(40), fails).faults == (3, 17)


def test_shrinking_ends_after_so_many_runs() -> None:
    found = shrink(range(100), lambda numbers: set(range(0, 100, 2)) <= set(numbers), most_runs=10)
    assert found.runs == 10
    assert set(range(0, 100, 2)) <= set(found.faults)


def test_no_disk_is_wiped_while_a_replica_is_missing() -> None:
    with Simulation(1, strict=False) as world:
        cluster = SimulatedCluster(world, 3)
        disks = {node_id: member.machine.disk.names for node_id, member in cluster.members.items()}
        damage = Damage(cluster, whole=lambda: False)

        async def story() -> bool:
            return await asyncio.wait_for(damage.wipe(random.Random(1), 2.0), 30)

        assert not world.run(story(), limit=60)
        assert {node_id: member.machine.disk.names for node_id, member in cluster.members.items()} == disks


def test_the_ledger_adds_up_what_was_simulated(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    well = Outcome(1, virtual_seconds=1800, cpu_seconds=6, events=10, acknowledged=3, fired=Counter({Kind.KILL: 2}))
    ill = Outcome(2, problem="HistoryError: lost", virtual_seconds=1800, events=5)
    for outcome in (well, ill):
        keep(file, "abc", f"--seed {outcome.seed}", outcome)
    lines = list(told(json.loads(line) for line in file.read_text().splitlines()))
    assert "| all | 1-2 | 2 | 1.00 | 6 | 15 | 3 | 2 | 1 |" in lines
    assert "| kill | 2 |" in lines
    assert lines[-2:] == ["Failed at `abc`: HistoryError: lost", "`--seed 2`"]
